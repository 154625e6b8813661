"""Fuzz one target after the other, each for a stated time, under Atheris (libFuzzer).

Reads:   build/fuzz/NAME/corpus, inputs of earlier runs that reached new code
Writes:  the same, build/fuzz/NAME/found with inputs that broke a promise, and NAME/log
Repeats: go on where the last run stopped; delete the folder to start anew

Two planted faults, an exception in Python and a read out of bounds in C, are looked for first: a fuzzer that does not
find them proves nothing.

Exit codes: 0 nothing found; 1 a target broke its promise, and the input is named; 2 the fuzzer does not work.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import random
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz import native_build
from tests.fuzz.native_build import KERNELS, ROOT

TARGETS = (
    "mapping", "entity_diff", "snapshots", "documents", "blank_nodes", "formats", "native_setdiff", "json_reader",
)  # fmt: skip
PLANTED = ("planted", "planted_native")
DEFAULT_FOLDER = ROOT / "build" / "fuzz"
_PLANTED_S = 20
# One input may take so long; slower is a fault as a crash is.
_TIMEOUT_S = 25
_MEMORY_MB = 2048
_TAIL_LINES = 30


@dataclass(frozen=True, slots=True)
class Result:
    """
    What came of one target.

    coverage: branches reached by the corpus at the start, and by all at the end.
    found: the input that broke a promise, if any.
    """

    executions: int
    elapsed_s: float
    coverage: tuple[int, int]
    new_inputs: int
    code: int
    found: Path | None
    log: Path

    def row(self, name: str) -> str:
        old, new = self.coverage
        crashes = int(self.found is not None)
        return (
            f"{name:16}{self.executions:12,}{self.elapsed_s:9.0f}{old:10,}{new:10,}{new - old:8,}"
            f"{self.new_inputs:12,}{crashes:9}"
        )


HEADING = (
    f"{'target':16}{'executions':>12}{'seconds':>9}{'branches':>10}{'at end':>10}{'new':>8}{'new inputs':>12}"
    f"{'crashes':>9}"
)


def fuzz(name: str, seconds: int, seed: int, folder: Path) -> Result:
    """Fuzz one target in a process of its own."""
    place = folder / name
    corpus, seeds, found = (place / part for part in ("corpus", "seeds", "found"))
    for each in (corpus, seeds, found):
        each.mkdir(parents=True, exist_ok=True)
    if name in PLANTED:
        # What an earlier run found would spare the search.
        for old in (*corpus.iterdir(), *found.iterdir()):
            old.unlink()
    target = importlib.import_module(f"tests.fuzz.{name}")
    for number, data in enumerate(target.SEEDS):
        (seeds / f"seed-{number:03}").write_bytes(data)
    native = folder / "native"
    if name in KERNELS:
        native_build.build(native, KERNELS[name])
    log = place / "log"
    before = set(found.iterdir())
    command = [sys.executable, "-m", "tests.fuzz.worker", name, str(native)]
    command += [f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={target.MAX_INPUT_BYTES}"]
    command += [f"-timeout={_TIMEOUT_S}", f"-rss_limit_mb={_MEMORY_MB}", f"-artifact_prefix={found}/"]
    command += ["-print_final_stats=1", str(corpus), str(seeds)]
    started = time.monotonic()
    with log.open("wb") as output:
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=native_build.environment() if name in KERNELS else None,
        )
    elapsed_s = time.monotonic() - started
    text = log.read_text(errors="replace")
    executions = re.findall(r"stat::number_of_executed_units: (\d+)", text)
    branches = [int(number) for number in re.findall(r"^#\d+\s+\w+\s+cov: (\d+)", text, re.MULTILINE)]
    return Result(
        executions=int(executions[-1]) if executions else 0,
        elapsed_s=elapsed_s,
        coverage=(branches[0], branches[-1]) if branches else (0, 0),
        new_inputs=len(re.findall(r"^#\d+\s+NEW ", text, re.MULTILINE)),
        code=done.returncode,
        found=min(set(found.iterdir()) - before, default=None),
        log=log,
    )


def show_failure(name: str, result: Result) -> None:
    """Print what broke, where its input is, and how to see it again."""
    print(f"\n{name}: a promise is broken; the end of {result.log}:\n")
    lines = result.log.read_text(errors="replace").splitlines()
    print("\n".join(line[:400] for line in lines[-_TAIL_LINES:]))
    if result.found is not None:
        print(f"\nthe input is {result.found}")
        print(f"see it again: {sys.executable} -m tests.fuzz.run {name} --input {result.found}")


def find_planted(name: str, seed: int, folder: Path) -> bool:
    """Tell whether the fuzzer finds a planted fault."""
    result = fuzz(name, _PLANTED_S, seed, folder)
    print(f"{name}: {'found' if result.found else 'NOT FOUND'} after {result.executions:,} executions", flush=True)
    return result.found is not None and result.code != 0


def once(name: str, path: Path, folder: Path) -> int:
    """Run one input, the C code with sanitizers."""
    command = [sys.executable, "-m", "tests.fuzz.worker", name, str(folder / "native"), str(path)]
    if name in KERNELS:
        native_build.build(folder / "native", KERNELS[name])
        return min(1, subprocess.run(command, cwd=ROOT, env=native_build.environment()).returncode)
    importlib.import_module(f"tests.fuzz.{name}").check(path.read_bytes())
    print(f"{name}: {path} keeps the promise")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz.run",
        description="Fuzz the targets, or those that are named; each one's file in tests/fuzz says what it promises.",
        epilog="example: python -m tests.fuzz.run documents formats --seconds 300",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(TARGETS)}; default: all")
    parser.add_argument("--seconds", type=int, default=60, help="time for each target; default: 60")
    parser.add_argument("--seed", type=int, help="of the random numbers; default: another one each time, it is printed")
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="corpus and findings; default: build/fuzz")
    parser.add_argument("--input", type=Path, help="run one target on this file and show what it raises")
    options = parser.parse_args(arguments)
    names = options.names or list(TARGETS)
    folder = options.folder.resolve()
    for name in names:
        if name not in (*TARGETS, *PLANTED):
            parser.error(f"no target {name!r}, known are {', '.join(TARGETS)}")
    if options.seconds < 1:
        parser.error("--seconds: at least 1")
    if options.input is not None:
        if len(names) != 1:
            parser.error("--input: name one target")
        return once(names[0], options.input.resolve(), folder)
    if importlib.util.find_spec("atheris") is None:
        print("fuzz: atheris is not installed; pip install --editable '.[fuzz]', or make fuzz", file=sys.stderr)
        return 2
    seed = options.seed or random.SystemRandom().randrange(1, 1 << 31)
    print(f"seed {seed}, {options.seconds} s each, corpus in {folder}", flush=True)
    if not all(find_planted(name, seed, folder) for name in PLANTED):
        print(f"fuzz: a planted fault was not found; see {folder}/planted*/log", file=sys.stderr)
        return 2
    print(HEADING, flush=True)
    broken = {}
    for name in names:
        result = fuzz(name, options.seconds, seed, folder)
        print(result.row(name), flush=True)
        if result.code or result.found or not result.executions:
            broken[name] = result
    for name, result in broken.items():
        show_failure(name, result)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
