"""Chaos for ids: takers go on while workers, takers, rings and the database are killed; then every id is counted.

Reads:   nothing
Writes:  a temporary folder, removed at the end if all went well
Repeats: harmless; the same seed plans the same deeds, but not at the same moments

Exit codes: 0 when no id came twice, losses are within the promise and the order holds; 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos import ids_native
from tests.chaos.ids_deeds import DISTURBANCES, KILLS, Deeds, plan
from tests.chaos.ids_group import ChaosStuck, Group, Host, Taker
from tests.chaos.ids_judge import Verdict, judge, reserved_ranges
from tests.chaos.ids_taker import Options

# After this many deeds everything is brought back, and every taker has to get ids.
_CALM_EVERY = 10
_SHM = Path("/dev/shm")
# The table's columns and their widths; the last five say how ids were lost.
_COLUMNS = {
    **{"reserved": 12, "taken": 12, "duplicates": 12, "lost": 10},
    **{"lost ring": 12, "left ring": 11, "unpublished": 13, "skipped": 9, "otherwise": 11},
}


@dataclass(frozen=True, slots=True)
class Setup:
    """
    The processes of a run.

    sizes: smallest and largest range of each host, one pair per host.
    natives: extensions that the takers use in turn; "" is the installed one.
    """

    kills: int
    seed: int
    sizes: tuple[tuple[int, int], ...] = ((50, 400), (50, 1500))
    workers: tuple[int, ...] = (2, 2)
    takers: int = 8
    natives: tuple[str, ...] = ("",)
    pause_s: float = 0.15


@dataclass(slots=True)
class Report:
    """The deeds of a run and their outcome."""

    seed: int
    deeds: Counter[str]
    verdict: Verdict
    elapsed_s: float
    processes: int
    longest_wait_s: float
    allowance: dict[str, int] = field(default_factory=dict)

    @property
    def kills(self) -> int:
        return sum(self.deeds[name] for name in KILLS)

    def as_json(self) -> dict[str, Any]:
        verdict = self.verdict
        return {
            "seed": self.seed,
            "kills": self.kills,
            "deeds": dict(sorted(self.deeds.items())),
            "taker_processes": self.processes,
            "elapsed_s": round(self.elapsed_s, 1),
            "longest_wait_s": round(self.longest_wait_s, 2),
            "ids": verdict.taken,
            "duplicates": verdict.duplicates,
            "lost": verdict.lost,
            "lost_bound": verdict.bound,
            "allowance": self.allowance,
            "calls": verdict.calls,
            "calls_attached_to_ring": verdict.ring_calls,
            "calls_without_ids": verdict.unavailable,
            "out_of_order": verdict.disorder,
            "types": {
                str(entity_type): {
                    "reserved": one.reserved,
                    "taken": one.taken,
                    "duplicates": one.duplicates,
                    "lost": one.lost,
                    "lost_in_lost_rings": one.in_lost_rings,
                    "lost_in_left_rings": one.in_left_rings,
                    "lost_unpublished": sum(one.unpublished),
                    "lost_skipped": one.skipped,
                    "lost_otherwise": one.otherwise,
                }
                for entity_type, one in verdict.types.items()
            },
            "problems": verdict.problems,
        }

    def summary(self) -> str:
        """Return the outcome in one line."""
        return (
            f"chaos of ids, seed {self.seed}: {self.kills} kills, {self.elapsed_s:.0f} s; {self.verdict.taken:,} ids, "
            f"{self.verdict.duplicates} duplicates, {self.verdict.lost:,} lost of at most {self.verdict.bound:,}"
        )

    def as_text(self) -> str:
        fields = self.as_json()
        lines = [
            self.summary(),
            "",
            *(f"  {KILLS.get(name) or DISTURBANCES[name]:<58}{count:>6}" for name, count in self.deeds.most_common()),
            "",
            f"  {'':<14}" + "".join(f"{word:>{width}}" for word, width in _COLUMNS.items()),
        ]
        for name, one in fields["types"].items():
            numbers = zip(one.values(), _COLUMNS.values(), strict=True)
            lines.append(f"  {name:<14}" + "".join(f"{number:>{width},}" for number, width in numbers))
        lines += [
            "",
            f"  {self.processes} taker processes, {self.verdict.calls:,} calls, {self.verdict.ring_calls:,} of them "
            f"attached to the ring, {self.verdict.unavailable} without ids",
            f"  out of order: {self.verdict.disorder}; all got ids within {self.longest_wait_s:.1f} s of a repair",
            *(f"  PROBLEM: {problem}" for problem in self.verdict.problems),
        ]
        return "\n".join(lines)


def run(setup: Setup, folder: Path) -> Report:
    """
    Start everything in *folder*, do the deeds, stop everything, and judge.

    Raises:
        ChaosStuck: something that should have gone on did not.
    """
    begun_mono_s = time.monotonic()
    rings = Path(tempfile.mkdtemp(prefix="wbd-chaos-", dir=_SHM if _SHM.is_dir() else folder))
    group = _group(setup, folder, rings)
    try:
        group.start()
        deeds = Deeds(group)
        for number, step in enumerate(plan(setup.kills, setup.seed), 1):
            deeds.do(step)
            if number % _CALM_EVERY == 0:
                deeds.calm()
        deeds.calm()
        deeds.finish()
        written, moves = group.written(), group.moves()
    finally:
        group.close()
        shutil.rmtree(rings, ignore_errors=True)
    verdict = judge(written, reserved_ranges(moves), deeds.allowance)
    verdict.problems += deeds.problems
    allowance = {name: getattr(deeds.allowance, name) for name in ("calls", "ranges", "gap", "late_ids")}
    return Report(
        setup.seed,
        deeds.done,
        verdict,
        time.monotonic() - begun_mono_s,
        len(written),
        deeds.longest_wait_s,
        allowance,
    )


def _group(setup: Setup, folder: Path, rings: Path) -> Group:
    hosts = [
        Host(name, folder / name, rings / name / "ids.segment", *sizes, worker_count=count)
        for name, sizes, count in zip("ABCD", setup.sizes, setup.workers, strict=False)
    ]
    takers = []
    for number in range(setup.takers):
        host = hosts[number % len(hosts)]
        # On each host one taker uses the socket only, and one forks.
        turn = number // len(hosts)
        options = Options(
            socket=str(host.socket),
            file="",
            seed=setup.seed * 1_000_000 + number * 10_000,
            shared_memory=turn != 1,
            forks=turn == 2,
            native=setup.natives[turn % len(setup.natives)],
            pause_s=setup.pause_s,
        )
        takers.append(Taker(f"{host.name}-{turn}", host, options, folder))
    return Group(folder, hosts, takers)


def main(arguments: list[str] | None = None) -> int:
    """Run with the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos.ids", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--kills", type=int, default=200, help="how many processes to kill in all (default 200)")
    parser.add_argument("--seed", type=int, help="plan of the deeds (default: from the clock)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--keep", action="store_true", help="keep the folder of logs and ids")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = Path(tempfile.mkdtemp(prefix="wbd-chaos-"))
    natives = [""]
    if ids_native.compiler():
        natives.append(str(ids_native.build(folder, "slow", ids_native.SLOW)))
    seed = options.seed if options.seed is not None else time.time_ns() // 1_000_000 % 1_000_000
    try:
        report = run(Setup(options.kills, seed, natives=tuple(natives)), folder)
    except ChaosStuck as error:
        print(f"chaos of ids, seed {seed}: {error}; see {folder}", file=sys.stderr)
        return 1
    print(json.dumps(report.as_json(), indent=2) if options.json else report.as_text())
    if report.verdict.problems or options.keep:
        print(f"logs and ids are in {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder)
    return 1 if report.verdict.problems else 0


if __name__ == "__main__":
    sys.exit(main())
