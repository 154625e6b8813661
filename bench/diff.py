"""How long does the RDF diff of an edit take, from the snapshots of both revisions to the event?

One edit of each kind, on Q42 and three smaller items:
  wbd              snapshots in JSON to the message for Kafka, as the diff worker computes it; and Turtle to Turtle
  pyoxigraph       parse, then a set difference of the labels as they are given, and of RDFC-1.0's
  rdflib           parse, then a difference of graphs as they are, and of its canonical ones
  PyLD             URDNA2015, from N-Quads
Rivals start from two exports in Turtle, definitions of properties included. In turns; ratios within each turn. The slow
ones take part in one edit, and on Q42 once, in a process that is ended after --limit seconds.

Then triples a second of the mapping, items of 100 to 20,000 statements, one process and two, and revisions a second
through MariaDB, objects and Kafka.

Checked before a figure counts: what an event says came and went is exactly the difference of the two mapped revisions,
and so is what wbd finds between two graphs. Of the others, triples that are no change are counted, after blank nodes
have been matched in their favour.

    python -m bench.diff [--runs 5] [--limit 400] [--quick] [--json]

WBD_CORPUS names a folder of real entities, which is no part of wbd; without it all are generated, at the same sizes.
The figures go to bench/results/diff.json and from there into docs/benchmarks.md, docs/diff.svg and README.md; --quick
records none.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from bench import diff_figures, diff_scale, pipeline
from bench.diff_cases import SIZES, Case, Size, cases, statements
from bench.diff_rivals import Rival, in_a_process, judge, rivals, timed_ms, versions
from bench.machine import RESULTS, facts, spread
from wbd.errors import ConfigError, WbdError
from wbd.mapping.context import MappingContext
from wbd.runtime import logs

# The edit that slow rivals compute for every size, and that the table of rivals shows.
SHOWN = "unknown value"
# Rivals that have to be exact.
EXACT = ("wbd", "wbd_turtle")


@dataclass(frozen=True)
class Lengths:
    """How long parts take; a figure of a run is the median of calls within *budget_s*."""

    budget_s: float
    statements: Sequence[int]
    batch: int
    entities: int
    once: bool
    """Whether the slow rivals try the largest entity."""


FULL = Lengths(budget_s=0.25, statements=diff_scale.STATEMENTS, batch=400, entities=2000, once=True)
QUICK = Lengths(budget_s=0.01, statements=(100, 1000), batch=20, entities=50, once=False)


def measure(
    runs: int, lengths: Lengths, limit_s: float, corpus: Path | None, *, sizes: Sequence[Size] = SIZES
) -> dict[str, Any]:
    """Make the cases, check everybody, time everybody, in turns."""
    if reason := pipeline.why_missing():
        # Before and not after the minutes that everything else takes.
        raise ConfigError(reason)
    machine = facts()
    begun = time.perf_counter()

    def progress(text: str) -> None:
        say(f"{time.perf_counter() - begun:6.0f} s  {text}")

    context = MappingContext.wikidata()
    results = {}
    shown = []
    for size in sizes:
        edits, source = cases(size, corpus, context)
        by_edit = {case.edit: case for case in edits}
        shown.append(by_edit[SHOWN])
        verdicts = check(edits)
        progress(f"{size.label}: checked")
        results[size.key] = {
            "label": size.label,
            "source": source,
            **described(by_edit[SHOWN]),
            **_times(edits, verdicts, runs, lengths, progress),
            "slow": _slow(by_edit[SHOWN], size, runs, limit_s, lengths, progress),
        }
    mapping = diff_scale.mapping(shown, runs, lengths.budget_s)
    progress("mapping done")
    scaling = diff_scale.with_statements(lengths.statements, runs, lengths.budget_s)
    progress("scaling with statements done")
    processes = diff_scale.with_processes(shown[1:], (1, 2), runs, lengths.batch, 4 * lengths.budget_s)
    progress("scaling with processes done")
    end_to_end = pipeline.measure(lengths.entities, lengths.entities, min(runs, 3))
    progress("pipeline done")
    return {
        "question": "from the snapshots of an edit to the triples that it changed",
        "command": f"python -m bench.diff --runs {runs}" + (" --quick" if lengths is QUICK else ""),
        "corpus": corpus is not None,
        "sizes": results,
        "mapping": mapping,
        "statements": scaling,
        "processes": processes,
        "pipeline": end_to_end,
        "rivals": versions(),
        "machine": machine,
    }


def described(case: Case) -> dict[str, Any]:
    """Return how large an entity is."""
    return {
        "snapshot_bytes": len(case.snapshots[0]),
        "statements": len(statements(case.old)),
        "triples": len(case.lines[0]),
        "export_bytes": len(case.exports[0]),
        "export_triples": case.exports_nt[0].count(b"\n"),
    }


def check(edits: Sequence[Case]) -> dict[str, dict[str, dict[str, int]]]:
    """Return rival -> edit -> spurious and missing triples, of those that are not slow. Raises when wbd has some."""
    verdicts: dict[str, dict[str, dict[str, int]]] = {}
    for rival in rivals().values():
        for case in edits:
            if rival.slow:
                continue
            spurious, missing = judge(rival, rival.answer(rival.run(*rival.prepare(case))), case)
            if rival.key in EXACT:
                assert (spurious, missing) == (0, 0), f"{rival.key}, {case.size}, {case.edit}: {spurious}, {missing}"
            verdicts.setdefault(rival.key, {})[case.edit] = {"spurious": spurious, "missing": missing}
    return verdicts


def _times(
    edits: Sequence[Case],
    verdicts: dict[str, dict[str, dict[str, int]]],
    runs: int,
    lengths: Lengths,
    progress: Any,
) -> dict[str, Any]:
    """Time everybody who is not slow on every edit, in turns."""
    players = [rival for rival in rivals().values() if not rival.slow]
    took_ms: dict[tuple[str, str], list[float]] = {(r.key, case.edit): [] for r in players for case in edits}
    for turn in range(runs):
        for case in edits:
            for rival in players:
                took_ms[rival.key, case.edit].append(timed_ms(rival, case, lengths.budget_s))
        progress(f"{edits[0].size}: turn {turn + 1} of {runs}")

    def ratios(rival: Rival, edit: str, base: str) -> dict[str, float | int]:
        pairs = zip(took_ms[rival.key, edit], took_ms[base, edit], strict=True)
        return spread([mine / theirs for mine, theirs in pairs])

    return {
        "edits": {case.edit: {"added": len(case.exact[0]), "removed": len(case.exact[1])} for case in edits},
        "rivals": {
            rival.key: {
                "label": rival.label,
                "edits": {
                    case.edit: {
                        "ms": spread(took_ms[rival.key, case.edit]),
                        "times_wbd": ratios(rival, case.edit, "wbd"),
                        "times_wbd_turtle": ratios(rival, case.edit, "wbd_turtle"),
                        **verdicts[rival.key][case.edit],
                    }
                    for case in edits
                },
            }
            for rival in players
        },
    }


def _slow(case: Case, size: Size, runs: int, limit_s: float, lengths: Lengths, progress: Any) -> dict[str, Any]:
    """Time those that may take minutes, each in a process of its own; once where the entity is large."""
    results: dict[str, Any] = {}
    largest = size.key == SIZES[0].key
    if largest and not lengths.once:
        return results
    everybody = rivals()
    for rival in everybody.values():
        if not rival.slow:
            continue
        took_ms: list[float] = []
        ratios: list[float] = []
        for _ in range(1 if largest else runs):
            done = in_a_process(rival, case, limit_s)
            if done is None:
                break
            took_ms.append(done[0])
            ratios.append(done[0] / timed_ms(everybody["wbd"], case, lengths.budget_s))
        row: dict[str, Any] = {"label": rival.label, "edit": case.edit, "limit_s": limit_s, "ended": done is not None}
        if done is not None:
            spurious, missing = judge(rival, done[1], case)
            row |= {"ms": spread(took_ms), "times_wbd": spread(ratios), "spurious": spurious, "missing": missing}
        results[rival.key] = row
        progress(f"{size.label}: {rival.label} {'done' if done else 'stopped'}")
    return results


def rounded(value: Any) -> Any:
    """Return figures with five digits that count: more are noise, and make the record hard to read."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, help="turns; 5, with --quick 1")
    parser.add_argument("--limit", type=float, default=400.0, help="seconds that a slow rival has (default: 400)")
    parser.add_argument("--quick", action="store_true", help="short runs, a minute in all; records nothing")
    parser.add_argument("--json", action="store_true", help="print the result as JSON instead of the tables")
    args = parser.parse_args()
    runs = (1 if args.quick else 5) if args.runs is None else args.runs
    if runs < 1:
        parser.error(f"--runs {runs}: at least 1 is needed")
    corpus = Path(os.environ["WBD_CORPUS"]) if os.environ.get("WBD_CORPUS") else None
    if corpus is not None and not corpus.is_dir():
        parser.error(f"WBD_CORPUS {corpus}: no folder")
    # The engines that were started stop too, whoever ends this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    logs.configure("WARNING", "structured")
    try:
        result = measure(runs, QUICK if args.quick else FULL, args.limit, corpus)
    except WbdError as error:
        say(f"bench.diff: {error}")
        return 1
    result = rounded(result)
    data = orjson.dumps(result, option=orjson.OPT_INDENT_2) + b"\n"
    if not args.quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "diff.json").write_bytes(data)
        diff_figures.write(result)
    print(data.decode() if args.json else diff_figures.plain(result), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
