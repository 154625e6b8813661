"""The deeds of a chaos run: a plan made from a seed, and each deed with the losses that it may cause.

Reads:   the group
Writes:  the group, by signals and by removing files
Repeats: every deed takes something away; calm(), at the latest, brings it back
"""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.chaos.ids_group import ChaosStuck, Group, Host, Process, Taker, left_in, wait_until
from tests.chaos.ids_judge import Allowance
from wbd.ids import EntityType

# The deeds that end a process, each with its share of all kills.
_SHARES = {"taker": 34, "serving": 24, "standby": 6, "stop": 13, "cut_stop": 5, "database": 13, "orphan": 5}
KILLS = {
    "taker": "taker killed",
    "serving": "serving worker killed",
    "standby": "worker killed that stands by",
    "stop": "serving worker stopped in order",
    "cut_stop": "serving worker killed while it stops",
    "database": "MariaDB killed",
    "orphan": "ring's file removed, and its worker killed at once",
}
# The deeds that end no process, each with its number per ten kills.
_DISTURBANCES_A_TEN = {"sleep": 4, "removed": 1, "replaced": 1}
DISTURBANCES = {
    "sleep": "taker stopped in the middle, and continued later",
    "removed": "ring's file removed",
    "replaced": "ring's file replaced",
}
# Between a stop's SIGTERM and its SIGKILL.
_CUT_MAX_S = 0.3
# Takers may have to wait for something that is away; the next deed follows after this time nevertheless.
_AWAY_S = 0.5
# A sleeper stays asleep for up to this many deeds, so that its slot of the ring is rewritten meanwhile.
_SLEEP_DEEDS = 9


@dataclass(frozen=True, slots=True)
class Step:
    """
    One deed of the plan.

    choice: within 0..1; which host or taker.
    back_after: how many deeds later the victim is brought back.
    progress_bytes: how many bytes takers have to write before the next deed.
    """

    name: str
    choice: float
    back_after: int
    progress_bytes: int


def plan(kills: int, seed: int) -> list[Step]:
    """Return the deeds of a run: *kills* kills, every kind by its share and at least once, and disturbances."""
    chance = random.Random(seed)
    names = list(KILLS)[:kills]
    while len(names) < kills:
        # The kind that is furthest below its share.
        now = Counter(names)
        names.append(min(_SHARES, key=lambda name: now[name] / _SHARES[name]))
    for name, count in _DISTURBANCES_A_TEN.items():
        names += [name] * max(1, count * kills // 10)
    chance.shuffle(names)
    steps = [Step(name, chance.random(), chance.randrange(3), chance.randint(500, 30_000)) for name in names]
    return [replace(one, back_after=chance.randint(1, _SLEEP_DEEDS)) if one.name == "sleep" else one for one in steps]


class Deeds:
    """Does the steps of a plan, and counts the losses that they may cause."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self.done: Counter[str] = Counter()
        self.allowance = Allowance()
        self.longest_wait_s = 0.0
        # After how many deeds, and how, something is brought back.
        self._back: list[tuple[int, Callable[[], None]]] = []
        self._asleep: set[str] = set()
        # For workers that were told to stop and not awaited: their logs, and at most how many ids their rings held.
        self._stops: dict[Path, int] = {}
        self.problems: list[str] = []

    def do(self, step: Step) -> None:
        """Do one deed, and wait until ids have been taken after it. Raises ChaosStuck."""
        before = self._group.bytes_written()
        done = self._try(step)
        if not done:
            # Its victim is dead or asleep already; after calm() there is one.
            self.calm()
            done = self._try(step)
        if not done:
            raise ChaosStuck(f"nothing to do for {step}")
        self.done[step.name] += 1
        due = [back for left, back in self._back if left == 0]
        self._back = [(left - 1, back) for left, back in self._back if left > 0]
        for back in due:
            back()
        with suppress(ChaosStuck):
            # calm() checks whether all takers go on again.
            wait_until(lambda: self._group.bytes_written() >= before + step.progress_bytes, "takers get on", _AWAY_S)

    def calm(self) -> None:
        """Bring everything back, and wait until every taker gets ids. Raises ChaosStuck."""
        for _, back in self._back:
            back()
        self._back = []
        begun_mono_s = time.monotonic()
        self._group.wait_for_all()
        self.longest_wait_s = max(self.longest_wait_s, time.monotonic() - begun_mono_s)
        self._group.check_alive()

    def finish(self) -> None:
        """
        Stop takers, then workers, with SIGTERM; those that stand by come first, so that none takes over.

        Raises:
            ChaosStuck: one does not stop, or stops with an error.
        """
        self._group.finish_takers()
        for host in self._group.hosts:
            while (worker := host.pick_worker(serving=False) or host.pick_worker(serving=True)) is not None:
                self._stop(host, worker)
                host.workers.remove(worker)
        for path in sorted(path for host in self._group.hosts for path in host.folder.glob("worker-*.log")):
            for line in map(json.loads, path.read_text().splitlines()):
                self._learn(path, line)

    def _stop(self, host: Host, worker: Process) -> None:
        left = left_in(host.ring())
        self.allowance.left_rings += left
        # Before it stops, one more range of each type may come into the ring.
        self._stops[worker.log] = sum(map(len, left)) + len(EntityType) * host.size_max
        worker.end(signal.SIGTERM)

    def _learn(self, path: Path, line: dict[str, Any]) -> None:
        """Read from a line of a worker's log which ids were not given back, or an error that must not occur."""
        unknown = "given back in time" in line["msg"] or (line["msg"] == "unused ids" and "error" in line)
        if path in self._stops:
            self.allowance.gap += self._stops[path] if unknown else line.get("gap", 0)
        if line["level"] in ("error", "critical") or line.get("kind") == "RangeRefused":
            self.problems.append(f"{path.name} {line['time']}: {line['msg']}")

    def _try(self, step: Step) -> bool:
        """Do one deed; False when there is no victim for it now."""
        match step.name:
            case "taker" | "sleep":
                awake = [one for one in self._group.takers if one.process is not None and one.name not in self._asleep]
                taker = awake[int(step.choice * len(awake))] if awake else None
                return taker is not None and self._on_taker(step, taker)
            case "database":
                return self._kill_database(step)
            case _:
                host = self._group.hosts[int(step.choice * len(self._group.hosts))]
                return self._on_host(step, host)

    def _on_taker(self, step: Step, taker: Taker) -> bool:
        process = taker.process
        assert process is not None
        # Its call may end after its deadline, or never.
        self.allowance.calls += 1
        if step.name == "taker":
            process.end(signal.SIGKILL)
            taker.process = None
            self._later(step, taker.start)
            return True

        def wake() -> None:
            process.popen.send_signal(signal.SIGCONT)
            self._asleep.discard(taker.name)

        process.popen.send_signal(signal.SIGSTOP)
        self._asleep.add(taker.name)
        self._later(step, wake)
        return True

    def _kill_database(self, step: Step) -> bool:
        if self._group.database.pid is None:
            return False
        # The worker of each host may have sent a commit whose answer was lost.
        self.allowance.ranges += len(self._group.hosts)
        self._group.database.kill()
        self._later(step, self._group.start_database)
        return True

    def _on_host(self, step: Step, host: Host) -> bool:
        serving = host.pick_worker(serving=True)
        worker = host.pick_worker(serving=False) if step.name == "standby" else serving
        if serving is None or worker is None:
            return False
        if step.name in ("removed", "replaced"):
            _lose_ring(host, replace_it=step.name == "replaced", choice=step.choice)
            wait_until(host.is_attachable, f"host {host.name} has a ring again")
            return True
        if step.name == "stop":
            self._stop(host, worker)
        else:
            if step.name != "standby":
                # One range may be reserved and not published, and each client's last reply may be lost.
                self.allowance.ranges += 1
                self.allowance.calls += sum(1 + one.options.forks for one in self._group.takers if one.host is host)
            if step.name == "cut_stop":
                self._begin_stop(step, host, worker)
            ring = host.ring()
            if step.name == "orphan":
                host.segment.unlink(missing_ok=True)
            worker.end(signal.SIGKILL)
            if step.name == "orphan":
                # Attached takers go on with it until it is dry.
                self.allowance.lost_rings += left_in(ring)
        host.workers.remove(worker)
        self._later(step, lambda: self._group.fill(host))
        return True

    def _begin_stop(self, step: Step, host: Host, worker: Process) -> None:
        """Let a worker begin to stop; the ids in its ring may be lost when it is killed meanwhile."""
        ring = host.ring()
        self.allowance.lost_rings += left_in(ring)
        worker.popen.send_signal(signal.SIGTERM)
        self.allowance.lost_rings += left_in(ring)
        # Between the two readings one more range of each type may have come in.
        self.allowance.late_ids += host.size_max
        time.sleep(_CUT_MAX_S * (step.progress_bytes % 100) / 100)

    def _later(self, step: Step, back: Callable[[], None]) -> None:
        self._back.append((step.back_after, back))


def _lose_ring(host: Host, *, replace_it: bool, choice: float) -> None:
    """Remove the ring's file; or put a copy of it, bytes that are no ring, or an empty file in its place."""
    if not replace_it:
        host.segment.unlink()
        return
    other = host.segment.with_suffix(".other")
    content = host.segment.read_bytes()
    other.write_bytes((content, content[::-1], b"")[int(choice * 1000) % 3])
    other.rename(host.segment)
