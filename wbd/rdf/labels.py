"""Blank node labels that follow from content, so that a small change stays small in a diff.

RDFC-1.0 numbers blank nodes by their rank in the whole graph: one new node renames the others. Here every connected
component of blank nodes is put into a canonical order on its own and its labels start with the component's hash, so
only components that changed get new labels. Triples without blank nodes stay as they are. Labels that already
follow from content stay too, with keep_labels.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from wbd.errors import BadInput, GraphTooHard
from wbd.rdf import rdfc
from wbd.rdf.documents import Source, read_document
from wbd.rdf.rdfc import Quad
from wbd.rdf.refinement import WORK_LIMIT, Triple, Work, canonical_places

# The terms of a line.
_IRI: Final = r"<[^\x00-\x20<>\"{}|^`\\]*>"
_BLANK: Final = r"_:[^ ]+"
_LITERAL: Final = rf'"[^"\\]*(?:\\.[^"\\]*)*"(?:@[^ ]+|\^\^{_IRI})?'
_LINE: Final = re.compile(rf"({_IRI}|{_BLANK}) ({_IRI}) ({_IRI}|{_BLANK}|{_LITERAL})(?: ({_IRI}|{_BLANK}))? \.")

# Hexadecimal digits of a component's hash in its labels: 128 bits.
_HASH_DIGITS: Final = 32

# Steps more for each triple with blank nodes: a large graph that is not hard needs a few.
_STEPS_PER_TRIPLE: Final = 16

MAX_BLANK_TRIPLES: Final = 2_000_000
"""Triples with blank nodes of one graph; each takes about a kilobyte and 0.1 ms at most while they are labelled."""


def split_quad(line: str) -> Quad:
    """
    Split a canonical line into its three terms and the name of its graph, "" for the default graph.

    Raises:
        BadInput: not such a line, or an IRI with a character that no IRI may hold.
    """
    match = _LINE.fullmatch(line)
    if match is None:
        raise BadInput(f"no canonical triple: {line[:200]!r}; graph set aside")
    return match[1], match[2], match[3], match[4] or ""


def split_line(line: str) -> Triple:
    """
    Split a canonical N-Triples line into its three terms.

    Raises:
        BadInput: as split_quad, or a triple of a named graph.
    """
    subject, predicate, target, graph = split_quad(line)
    if graph:
        raise BadInput(f"triple of the named graph {graph}, expected none; graph set aside")
    return subject, predicate, target


def _blank_nodes(quad: Quad) -> list[str]:
    return [term for term in (quad[0], quad[2], quad[3]) if term.startswith("_:")]


def _components(quads: Iterable[Quad]) -> list[list[Quad]]:
    """Group quads by the connected component of their blank nodes (union by path halving)."""
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    firsts = []
    for quad in quads:
        first, *others = _blank_nodes(quad)
        for other in others:
            parent[root(first)] = root(other)
        firsts.append((first, quad))
    groups: dict[str, list[Quad]] = defaultdict(list)
    for first, quad in firsts:
        groups[root(first)].append(quad)
    return list(groups.values())


def _as_triples(quads: Iterable[Quad]) -> Iterator[Triple]:
    """Write quads as triples, which are isomorphic if and only if the quads are."""
    for number, (s, p, o, g) in enumerate(quads):
        if not g:
            yield s, p, o
        elif not g.startswith("_:"):
            yield s, f"{p} {g}", o
        else:
            # No label holds a blank.
            node = f"_:quad {number}"
            yield node, f"s {p}", s
            yield node, "o", o
            yield node, "g", g


def _places(component: Sequence[Quad], work: Work) -> tuple[list[str], dict[str, int]]:
    """As canonical_places; a component of one blank node, as most are, needs no search."""
    nodes = {node for quad in component for node in _blank_nodes(quad)}
    if len(nodes) > 1 or any(quad[3] for quad in component):
        return canonical_places(list(_as_triples(component)), work)
    work.spend(1 + len(component))
    (node,) = nodes
    lines = [f"{'_:n0' if s == node else s} {p} {'_:n0' if o == node else o} ." for s, p, o, _ in component]
    return sorted(lines), {node: 0}


def label_by_content(lines: Iterable[str], work_limit: int | None = None) -> list[str]:
    """
    Relabel the blank nodes of a graph by content.

    Two components that are alike are told apart by a number, so that none is lost.

    Args:
        lines: canonical N-Triples or N-Quads lines, each once.
        work_limit: steps for the whole graph, see refinement.py; by default WORK_LIMIT and some for each triple.

    Returns:
        Sorted lines; equal lists for isomorphic graphs.

    Raises:
        GraphTooHard: the work limit was passed, or MAX_BLANK_TRIPLES.
    """
    result: list[str] = []
    blank: list[Quad] = []
    for line in lines:
        if line[0] == "_" or " _:" in line:
            quad = split_quad(line)
            if _blank_nodes(quad):
                blank.append(quad)
                if len(blank) > MAX_BLANK_TRIPLES:
                    raise GraphTooHard(f"over {MAX_BLANK_TRIPLES} triples with blank nodes; graph set aside")
                continue
        result.append(line)
    seen: dict[str, int] = defaultdict(int)
    if work_limit is None:
        work_limit = WORK_LIMIT + _STEPS_PER_TRIPLE * len(blank)
    work = Work(work_limit, f"labelling of {len(blank)} triples with blank nodes")
    for component in _components(blank):
        text, places = _places(component, work)
        digest = hashlib.sha256("\n".join(text).encode()).hexdigest()[:_HASH_DIGITS]
        number = seen[digest]
        seen[digest] += 1
        stem = f"_:b{digest}" if number == 0 else f"_:b{digest}r{number}"
        labels = {node: f"{stem}n{place}" for node, place in places.items()}
        result += _renamed(component, labels)
    result.sort()
    return result


def _renamed(quads: Iterable[Quad], names: Mapping[str, str]) -> list[str]:
    get = names.get
    return [f"{get(s, s)} {p} {get(o, o)} {f'{get(g, g)} ' if g else ''}." for s, p, o, g in quads]


def canonical_lines(
    data: Source, media_type: str | None = None, *, keep_labels: bool = False, work_limit: int | None = None
) -> list[str]:
    """
    Parse a document to sorted canonical lines with content labels.

    Args:
        data, media_type: as read_document.
        keep_labels: leave blank node labels as they are, if they already follow from content.

    Raises:
        BadInput: as read_document.
        GraphTooHard: blank nodes that the work limit does not tell apart.
    """
    lines = read_document(data, media_type).lines()
    return sorted(lines) if keep_labels else label_by_content(lines, work_limit)


def rdfc_lines(
    data: Source, media_type: str | None = None, *, work_limit: int | None = None, hash_name: str = "sha256"
) -> list[str]:
    """Parse a document to the sorted lines of plain RDFC-1.0; see canonical_labels, errors as canonical_lines."""
    quads = [split_quad(line) for line in read_document(data, media_type).lines()]
    return sorted(_renamed(quads, rdfc.canonical_labels(quads, work_limit, hash_name=hash_name)))
