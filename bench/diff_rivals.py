"""Rival ways to compute the RDF diff of an edit, and how to judge their answers.

wbd starts from the snapshots of both revisions and ends with the message for Kafka; everybody else starts from two
exports of the same revisions in Turtle (PyLD from N-Quads, it reads no Turtle) and ends with two sets of triples.

    python -m bench.diff_rivals NAME OLD NEW

runs one of them on two files and prints seconds and answer as JSON: what a rival that may never end is started as.
"""

from __future__ import annotations

import gc
import logging
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
import pyoxigraph
import rdflib
import rdflib.compare
from pyld import jsonld

from bench.diff_cases import Case
from wbd.diff.graphs import diff_graphs
from wbd.diff_stream.messages import EventWriter
from wbd.diff_stream.plan import Chain, ChainPlanner, Link
from wbd.events.entity_diff import EntityDiff
from wbd.mapping.context import MappingContext

# It writes a traceback for every year BCE, which would be timed as well.
logging.getLogger("rdflib.term").disabled = True

NT, TURTLE = pyoxigraph.RdfFormat.N_TRIPLES, pyoxigraph.RdfFormat.TURTLE
RDFC = pyoxigraph.CanonicalizationAlgorithm.RDFC_1_0

# Longer than an event of any edit here; it has never to be cut.
_EVENT_BYTES = 1_000_000
_RECORDED_AT = datetime(2026, 7, 1, 12)

Lines = list[str]
Answer = tuple[Lines, Lines]
"""N-Triples lines that came, and that went."""


def planner(context: MappingContext) -> ChainPlanner:
    """Return the planner of the diff worker."""
    return ChainPlanner(
        context,
        EventWriter(
            context.vocabulary, "entity_diff", "turtle", "2.0.0", "wikibase.entity_diff", "bench", _EVENT_BYTES
        ),
    )


def chain(case: Case) -> Chain:
    """Return the work of the diff worker for one edit."""
    old, new = case.snapshots
    link = Link(case.new["lastrevid"], new, _RECORDED_AT)
    return Chain(case.entity_id, case.old["lastrevid"], old, [link])


def event_answer(messages: list[bytes]) -> Answer:
    """Return the lines that a consumer reads in an event."""
    events = [EntityDiff.from_bytes(message) for message in messages]
    added, removed = (
        [line for text in texts for line in _oxigraph_lines(text.encode(), TURTLE)]
        for texts in ([e.rdf_added_data for e in events], [e.rdf_removed_data for e in events])
    )
    return added, removed


def _oxigraph_parse(data: bytes, syntax: pyoxigraph.RdfFormat = TURTLE) -> Any:
    return pyoxigraph.parse(data, format=syntax, lenient=True)


def _oxigraph_lines(data: bytes, syntax: pyoxigraph.RdfFormat = NT) -> Lines:
    return [f"{quad.triple} ." for quad in _oxigraph_parse(data, syntax)]


def _oxigraph_sets(old: bytes, new: bytes) -> tuple[set[Any], set[Any]]:
    before, after = set(_oxigraph_parse(old)), set(_oxigraph_parse(new))
    return after - before, before - after


def _oxigraph_rdfc(old: bytes, new: bytes) -> tuple[set[Any], set[Any]]:
    before, after = (_oxigraph_canonical(data) for data in (old, new))
    return after - before, before - after


def _oxigraph_canonical(data: bytes) -> set[Any]:
    dataset = pyoxigraph.Dataset(_oxigraph_parse(data))
    dataset.canonicalize(RDFC)
    return set(dataset)


def _oxigraph_answer(output: tuple[set[Any], set[Any]]) -> Answer:
    added, removed = ([f"{quad.triple} ." for quad in side] for side in output)
    return added, removed


def _rdflib_difference(old: bytes, new: bytes) -> tuple[rdflib.Graph, rdflib.Graph]:
    before, after = (rdflib.Graph().parse(data=data, format="turtle") for data in (old, new))
    return after - before, before - after


def _rdflib_canonical(old: bytes, new: bytes) -> tuple[rdflib.Graph, rdflib.Graph]:
    before, after = (rdflib.Graph().parse(data=data, format="turtle") for data in (old, new))
    _, removed, added = rdflib.compare.graph_diff(before, after)
    return added, removed


def _rdflib_answer(output: tuple[rdflib.Graph, rdflib.Graph]) -> Answer:
    added, removed = (_rdflib_text(side) for side in output)
    return added, removed


def _rdflib_lines(data: bytes) -> Lines:
    return _rdflib_text(rdflib.Graph().parse(data=data, format="nt"))


def _rdflib_text(graph: rdflib.Graph) -> Lines:
    return [line for line in graph.serialize(format="nt").split("\n") if line]


def _pyld_canonical(data: bytes) -> set[str]:
    options = {"algorithm": "URDNA2015", "inputFormat": "application/n-quads", "format": "application/n-quads"}
    return set(jsonld.normalize(data.decode(), options).split("\n")[:-1])


def _pyld(old: bytes, new: bytes) -> tuple[set[str], set[str]]:
    before, after = _pyld_canonical(old), _pyld_canonical(new)
    return after - before, before - after


def _pyld_lines(data: bytes) -> Lines:
    return sorted(_pyld_canonical(data))


@dataclass(frozen=True)
class Rival:
    """
    Somebody who finds differences.

    prepare: its input, untimed.
    run: timed; gives what *answer* turns into lines, untimed.
    lines: an N-Triples document as *answer* would spell it, so that spelling alone is nobody's fault.
    slow: may take minutes on a large entity.
    """

    key: str
    label: str
    prepare: Callable[[Case], tuple[Any, ...]]
    run: Callable[..., Any]
    answer: Callable[[Any], Answer]
    lines: Callable[[bytes], Lines]
    slow: bool = False


def rivals() -> dict[str, Rival]:
    """Return everybody, wbd first."""

    def turtle(case: Case) -> tuple[Any, ...]:
        return case.exports

    everybody = [
        Rival(
            "wbd",
            "wbd, JSON to event",
            lambda case: (planner(case.context), chain(case)),
            lambda plans, work: plans.plan(work),
            lambda planned: event_answer(planned[0].messages),
            _oxigraph_lines,
        ),
        Rival(
            "wbd_turtle",
            "wbd, Turtle to Turtle",
            turtle,
            diff_graphs,
            lambda diff: (diff.added, diff.removed),
            _oxigraph_lines,
        ),
        Rival(
            "oxigraph_sets",
            "pyoxigraph, labels as given",
            turtle,
            _oxigraph_sets,
            _oxigraph_answer,
            _oxigraph_lines,
        ),
        Rival("oxigraph_rdfc", "pyoxigraph, RDFC-1.0", turtle, _oxigraph_rdfc, _oxigraph_answer, _oxigraph_lines),
        Rival("rdflib", "rdflib, difference", turtle, _rdflib_difference, _rdflib_answer, _rdflib_lines),
        Rival(
            "rdflib_canonical",
            "rdflib, canonical",
            turtle,
            _rdflib_canonical,
            _rdflib_answer,
            _rdflib_lines,
            slow=True,
        ),
        Rival(
            "pyld",
            "PyLD, URDNA2015",
            lambda case: case.exports_nt,
            _pyld,
            lambda output: (sorted(output[0]), sorted(output[1])),
            _pyld_lines,
            slow=True,
        ),
    ]
    return {rival.key: rival for rival in everybody}


def versions() -> dict[str, str]:
    """Return which rivals took part."""
    return {name: version(name) for name in ("pyoxigraph", "rdflib", "PyLD")}


_BLANK = re.compile(r"(?<![^ ])_:[^ ]+(?= )")


def judge(rival: Rival, answer: Answer, case: Case) -> tuple[int, int]:
    """
    Return how many triples of an answer are no change, and how many changes it leaves out.

    Blank nodes count as equal whatever their labels: where triples differ in nothing else, the answer gets the
    better of it.
    """
    spurious = missing = 0
    for lines, exact in zip(answer, case.exact, strict=True):
        given = shapes(lines)
        wanted = shapes(rival.lines("".join(f"{line}\n" for line in exact).encode()))
        spurious += (given - wanted).total()
        missing += (wanted - given).total()
    return spurious, missing


def shapes(lines: Iterable[str]) -> Counter[str]:
    """Return triples with blank nodes that have no name."""
    return Counter(_BLANK.sub("_:", line) for line in lines)


@contextmanager
def alone() -> Iterator[None]:
    """
    Keep what is in memory now out of the collections that timed calls cause.

    The bench holds dozens of parsed entities, which a worker does not.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def timed_ms(rival: Rival, case: Case, budget_s: float) -> float:
    """Return the median of calls within *budget_s*, of one at least."""
    args = rival.prepare(case)
    took_ms: list[float] = []
    with alone():
        until = time.perf_counter() + budget_s
        while not took_ms or time.perf_counter() < until:
            begun = time.perf_counter()
            rival.run(*args)
            took_ms.append((time.perf_counter() - begun) * 1000)
    return statistics.median(took_ms)


def in_a_process(rival: Rival, case: Case, limit_s: float) -> tuple[float, Answer] | None:
    """Run a rival once in a process of its own; return milliseconds and its answer, None when the time was over."""
    with tempfile.TemporaryDirectory(prefix="wbd-b-") as folder:
        paths = [Path(folder) / name for name in ("old", "new")]
        for path, data in zip(paths, rival.prepare(case), strict=True):
            path.write_bytes(data)
        command = [sys.executable, "-m", "bench.diff_rivals", rival.key, *map(str, paths)]
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=limit_s, check=True, cwd=Path(__file__).parents[1]
            )
        except subprocess.TimeoutExpired:
            return None
    answer = orjson.loads(done.stdout)
    return answer["ms"], (answer["added"], answer["removed"])


def main() -> int:
    key, *paths = sys.argv[1:]
    rival = rivals()[key]
    old, new = (Path(path).read_bytes() for path in paths)
    begun = time.perf_counter()
    output = rival.run(old, new)
    ms = (time.perf_counter() - begun) * 1000
    added, removed = rival.answer(output)
    sys.stdout.buffer.write(orjson.dumps({"ms": ms, "added": added, "removed": removed}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
