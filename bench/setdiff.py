"""How long does the difference of two graphs in canonical N-Triples take?

Every rival starts from the same two texts in bytes, as a store or a parser hands them over, and answers with what came
and what went: the native difference, its Python twin, rdflib and pyoxigraph. Two kinds of rows beside them answer
narrower questions: "parsed" starts from graphs in memory, and "str" from lists of lines as diff_lines takes them, first
with fresh strings, then with strings whose hashes are known. Checked before a figure counts: all answers are the same
triples.

    python -m bench.setdiff [--runs 30] [--json]

Graphs are generated from a seed, with lines of the sizes that Wikidata's have (140 bytes on average, 3 % not ASCII). A
slow rival stops at its share of the time, after 3 runs at least; the table says how many it had.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import math
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
import pyoxigraph
import rdflib

from bench.machine import RESULTS, facts
from wbd.diff.entities import diff_lines
from wbd.rdf.setdiff import difference, difference_twin

SEED = 1
NT = pyoxigraph.RdfFormat.N_TRIPLES

# A rival stops when it has had this long in one case, and has run three times.
BUDGET_S = 0.5

ENTITY = "http://www.wikidata.org/entity"


def graph(lines: int, rng: random.Random) -> list[str]:
    """Return about as many distinct canonical lines as asked for, grouped by subject as a parser gives them."""
    result: dict[str, None] = {}
    while len(result) < lines:
        subject = f"<{ENTITY}/statement/Q{rng.randrange(10**6)}-{rng.randbytes(8).hex()}>"
        for _ in range(min(rng.randint(2, 8), lines - len(result))):
            predicate = f"<http://www.wikidata.org/prop/P{rng.randrange(9000)}>"
            kind = rng.random()
            if kind < 0.6:
                target = f"<{ENTITY}/Q{rng.randrange(10**8)}>"
            elif kind < 0.97:
                target = f'"{rng.randbytes(rng.randint(2, 16)).hex()}"'
            else:
                target = f'"Дуглас {rng.randrange(10**6)}"@ru'
            result[f"{subject} {predicate} {target} ."] = None
    return list(result)


@dataclass(frozen=True)
class Case:
    """Two graphs; *old* and *new* are their lines."""

    name: str
    old: list[str]
    new: list[str]
    # rdflib parses about 30,000 lines a second; it takes part where that leaves time for the others.
    rdflib: bool = True


def cases() -> list[Case]:
    """Return small and large graphs, edits, other orders, a creation."""
    result = []
    for lines in (20, 1_000, 16_000):
        old = graph(lines, random.Random(SEED))
        result.append(Case(f"{lines:,} lines, one edit", old, edited(old)))
    shuffled = edited(old)
    random.Random(SEED).shuffle(shuffled)
    result.append(Case("16,000 lines, one edit, shuffled", old, shuffled, rdflib=False))
    result.append(Case("16,000 lines, creation", [], old, rdflib=False))
    large = graph(200_000, random.Random(SEED))
    result.append(Case("200,000 lines, one edit", large, edited(large), rdflib=False))
    return result


def edited(lines: list[str]) -> list[str]:
    """Return the lines after one statement lost three triples and another one got two."""
    middle = len(lines) // 2
    added = [f'<{ENTITY}/statement/new> <http://www.wikidata.org/prop/qualifier/P1> "{i}" .' for i in range(2)]
    return [*lines[: middle - 3], *lines[middle:], *added]


def text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def rdflib_graph(data: bytes) -> rdflib.Graph:
    return rdflib.Graph().parse(data=data, format="nt")


def oxigraph_triples(data: bytes) -> set[Any]:
    return {quad.triple for quad in pyoxigraph.parse(data, format=NT, lenient=True)}


def through_native(old: list[str], new: list[str]) -> tuple[list[str], list[str]]:
    """Do the work of diff_lines by the native difference."""
    added, removed = difference("\n".join(old).encode(), "\n".join(new).encode())
    return added.decode().split("\n")[:-1], removed.decode().split("\n")[:-1]


def both_ways(old: Any, new: Any) -> tuple[Any, Any]:
    return new - old, old - new


@dataclass(frozen=True)
class Rival:
    """A way to the answer: *prepare* makes its input anew for each run, untimed."""

    name: str
    prepare: Callable[[], tuple[Any, Any]]
    run: Callable[[Any, Any], Any]


def rivals(case: Case) -> list[Rival]:
    """Return everybody who takes part in a case."""
    old, new = text(case.old), text(case.new)

    def texts() -> tuple[bytes, bytes]:
        return old, new

    def fresh_lines() -> tuple[list[str], list[str]]:
        return old.decode().split("\n")[:-1], new.decode().split("\n")[:-1]

    def prepared(value: tuple[Any, Any]) -> Callable[[], tuple[Any, Any]]:
        return lambda: value

    lines = fresh_lines()
    diff_lines(*lines)
    parsed = oxigraph_triples(old), oxigraph_triples(new)
    result = [
        Rival("native", texts, difference),
        Rival("python twin", texts, difference_twin),
        Rival("pyoxigraph", texts, lambda a, b: both_ways(oxigraph_triples(a), oxigraph_triples(b))),
        Rival("pyoxigraph, parsed", prepared(parsed), both_ways),
        Rival("str: sets, fresh", fresh_lines, diff_lines),
        Rival("str: sets, hashes known", prepared(lines), diff_lines),
        Rival("str: encoded for native", fresh_lines, through_native),
    ]
    if case.rdflib:
        graphs = rdflib_graph(old), rdflib_graph(new)
        result.append(Rival("rdflib", texts, lambda a, b: both_ways(rdflib_graph(a), rdflib_graph(b))))
        result.append(Rival("rdflib, parsed", prepared(graphs), both_ways))
    return result


def triples(answer: Any) -> tuple[set[Any], set[Any]]:
    """Return any rival's answer as two sets of triples."""
    sides = (answer.added, answer.removed) if hasattr(answer, "added") else answer
    result = []
    for side in sides:
        if isinstance(side, rdflib.Graph):
            side = side.serialize(format="nt", encoding="utf-8")
        elif isinstance(side, list):
            side = text(side)
        result.append(oxigraph_triples(side) if isinstance(side, bytes) else side)
    return result[0], result[1]


def percentile(values: list[float], percent: float) -> float:
    """Return the value at a rank, of a sorted list."""
    return values[max(0, math.ceil(len(values) * percent / 100) - 1)]


def measure(case: Case, runs: int) -> dict[str, dict[str, float | int]]:
    """Check that all give the same answer, then time them in turns; milliseconds."""
    players = rivals(case)
    expected = triples(difference_twin(text(case.old), text(case.new)))
    for rival in players:
        assert triples(rival.run(*rival.prepare())) == expected, f"{rival.name} answers differently: {case.name}"
    times: dict[str, list[float]] = {rival.name: [] for rival in players}
    gc.collect()
    for turn in range(runs):
        for rival in players:
            had = times[rival.name]
            if turn >= 3 and sum(had) > BUDGET_S * 1000:
                continue
            args = rival.prepare()
            begun = time.perf_counter()
            answer = rival.run(*args)
            had.append((time.perf_counter() - begun) * 1000)
            del answer, args
    native_ms = percentile(sorted(times["native"]), 50)
    return {
        name: {
            "p50_ms": percentile(sorted(had), 50),
            "p99_ms": percentile(sorted(had), 99),
            "runs": len(had),
            "times_native": percentile(sorted(had), 50) / native_ms,
        }
        for name, had in times.items()
    }


def rate(run: Callable[[bytes, bytes], object], old: bytes, new: bytes, threads: int) -> float:
    """Return the differences a second of this many threads, measured over half a second."""
    counts = [0] * threads
    begun = time.perf_counter()

    def work(place: int) -> None:
        while time.perf_counter() < begun + 0.5:
            run(old, new)
            counts[place] += 1

    workers = [threading.Thread(target=work, args=(place,)) for place in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.perf_counter() - begun)


def scaling(case: Case) -> dict[str, dict[str, float]]:
    """Return the median of five rates for one thread and for two, taken in turns."""
    old, new = text(case.old), text(case.new)
    result = {}
    for name, run in (("native", difference), ("python twin", difference_twin)):
        rates: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(5):
            for threads, values in rates.items():
                values.append(rate(run, old, new, threads))
        result[name] = {f"threads_{threads}_per_s": statistics.median(values) for threads, values in rates.items()}
    return result


def print_table(result: dict[str, Any]) -> None:
    for case in result["cases"]:
        print(f"\n{case['case']} ({case['bytes']:,} bytes; {case['added']} added, {case['removed']} removed)")
        for name, row in case["rivals"].items():
            print(
                f"  {name:<24} p50 {row['p50_ms']:>10.3f} ms   p99 {row['p99_ms']:>10.3f} ms   "
                f"{row['runs']:>3} runs   {row['times_native']:>7.1f} x native"
            )
    print("\n16,000 lines, one edit, differences a second")
    for name, rates in result["threads"].items():
        print(f"  {name:<24} " + "   ".join(f"{key}: {value:,.0f}" for key, value in rates.items()))
    print("\n" + ", ".join(f"{key} {value}" for key, value in result["machine"].items()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30, help="runs of each rival, fewer for slow ones (default: 30)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    args = parser.parse_args()
    if importlib.util.find_spec("wbd.rdf._setdiff") is None:
        print("the extension is not built; run make first", file=sys.stderr)
        return 1
    measured = []
    all_cases = cases()
    # As timeit does; otherwise the lists of one rival are gone through in the time of another.
    gc.disable()
    for case in all_cases:
        change = diff_lines(case.old, case.new)
        measured.append(
            {
                "case": case.name,
                "bytes": len(text(case.old)) + len(text(case.new)),
                "added": len(change.added),
                "removed": len(change.removed),
                "rivals": measure(case, max(args.runs, 3)),
            }
        )
    result = {
        "question": "time to the difference of two graphs in canonical N-Triples",
        "command": f"python -m bench.setdiff --runs {args.runs}",
        "seed": SEED,
        "cases": measured,
        "threads": scaling(all_cases[2]),
        "rivals": {"rdflib": rdflib.__version__, "pyoxigraph": pyoxigraph.__version__},
        "machine": facts(),
    }
    data = orjson.dumps(result, option=orjson.OPT_INDENT_2) + b"\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "setdiff.json").write_bytes(data)
    if args.json:
        print(data.decode(), end="")
    else:
        print_table(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
