"""Blank node labels that follow from content, so that a small change stays small in a diff.

RDFC-1.0 numbers blank nodes by their rank in the whole graph: one new node renames the others. Here every connected
component of blank nodes is put into a canonical order on its own and its labels start with the component's hash, so
only components that changed get new labels. Triples without blank nodes are left as they are. Wikibase's own labels
follow from content already; keep_labels leaves them alone.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import pyoxigraph

from wbd.errors import BadInput
from wbd.rdf import rdfc
from wbd.rdf.refinement import WORK_LIMIT, Triple, Work, canonical_places

MEDIA_TYPES: Final[dict[str, pyoxigraph.RdfFormat]] = {
    "text/turtle": pyoxigraph.RdfFormat.TURTLE,
    "application/rdf+xml": pyoxigraph.RdfFormat.RDF_XML,
    "application/n-triples": pyoxigraph.RdfFormat.N_TRIPLES,
    "text/plain": pyoxigraph.RdfFormat.N_TRIPLES,
}

_LINE: Final = re.compile(r"(<[^\x00-\x20<>\"{}|^`\\]*>|_:[^ ]+) (<[^\x00-\x20<>\"{}|^`\\]*>) (.+) \.")
_DATATYPE: Final = re.compile(r'".*"\^\^<[^\x00-\x20<>"{}|^`\\]*>')

# Hexadecimal digits of a component's hash in its labels: 128 bits.
_HASH_DIGITS: Final = 32


def split_line(line: str) -> Triple:
    """
    Split a canonical N-Triples line into its three terms.

    Raises:
        BadInput: not such a line, or an IRI with a character that no IRI may hold.
    """
    match = _LINE.fullmatch(line)
    if match is None or (match[3][0] == "<" and not _LINE.fullmatch(f"{match[3]} <p> {match[3]} .")):
        raise BadInput(f"no canonical triple: {line[:200]!r}; graph set aside")
    return match[1], match[2], match[3]


def _components(triples: Sequence[Triple]) -> list[list[Triple]]:
    """Group triples by the connected component of their blank nodes (union by path halving)."""
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for subject, _, target in triples:
        if subject.startswith("_:") and target.startswith("_:"):
            parent[root(subject)] = root(target)
    groups: dict[str, list[Triple]] = defaultdict(list)
    for triple in triples:
        groups[root(triple[0] if triple[0].startswith("_:") else triple[2])].append(triple)
    return list(groups.values())


def label_by_content(lines: Iterable[str], work_limit: int = WORK_LIMIT) -> list[str]:
    """
    Relabel the blank nodes of a graph by content.

    Two components that are alike are told apart by a number, so that none is lost.

    Args:
        lines: canonical N-Triples lines, each once.
        work_limit: steps for the whole graph, see refinement.py.

    Returns:
        Sorted lines; equal lists for isomorphic graphs.

    Raises:
        GraphTooHard: the work limit was passed.
    """
    result: list[str] = []
    blank: list[Triple] = []
    for line in lines:
        if line[0] == "_" or "> _:" in line:
            triple = split_line(line)
            if triple[0][0] == "_" or triple[2].startswith("_:"):
                blank.append(triple)
                continue
        result.append(line)
    seen: dict[str, int] = defaultdict(int)
    work = Work(work_limit, f"labelling of {len(blank)} triples with blank nodes")
    for component in _components(blank):
        text, places = canonical_places(component, work)
        digest = hashlib.sha256("\n".join(text).encode()).hexdigest()[:_HASH_DIGITS]
        number = seen[digest]
        seen[digest] += 1
        stem = f"_:b{digest}" if number == 0 else f"_:b{digest}r{number}"
        labels = {node: f"{stem}n{place}" for node, place in places.items()}
        result += [f"{labels.get(s, s)} {p} {labels.get(o, o)} ." for s, p, o in component]
    result.sort()
    return result


def parse_lines(data: bytes, media_type: str) -> list[str]:
    """
    Parse a document to N-Triples lines, each once, blank nodes as the document names them.

    Language tags are lower case afterwards.

    Raises:
        BadInput: unknown media type, or a syntax error; its place is the line and column.
    """
    syntax = MEDIA_TYPES.get(media_type.partition(";")[0].strip().lower())
    if syntax is None:
        known = ", ".join(sorted(MEDIA_TYPES))
        raise BadInput(f"no parser for {media_type!r}, known are {known}; graph set aside")
    try:
        # Lenient: Wikibase writes language tags and IRIs that RFC 5646 and RFC 3987 do not allow.
        quads = pyoxigraph.parse(data, format=syntax, lenient=True)
        text = pyoxigraph.serialize((quad.triple for quad in quads), format=pyoxigraph.RdfFormat.N_TRIPLES)
    except SyntaxError as error:
        place = f"line {error.lineno}, column {error.offset}" if error.lineno else ""
        raise BadInput(f"{error.msg}; graph set aside", place) from error
    except ValueError as error:
        raise BadInput(f"{error}; graph set aside") from error
    return list(dict.fromkeys((text or b"").decode().split("\n")[:-1]))


def canonical_lines(
    data: bytes, media_type: str, *, keep_labels: bool = False, work_limit: int = WORK_LIMIT
) -> list[str]:
    """
    Parse a document to sorted canonical lines with content labels.

    Args:
        keep_labels: leave blank node labels as they are, for Wikibase's own output.

    Raises:
        BadInput: not parseable.
        GraphTooHard: blank nodes that the work limit does not tell apart.
    """
    lines = parse_lines(data, media_type)
    return sorted(lines) if keep_labels else label_by_content(lines, work_limit)


def rdfc_lines(data: bytes, media_type: str, *, work_limit: int = rdfc.WORK_LIMIT) -> list[str]:
    """Parse a document to the sorted lines of plain RDFC-1.0."""
    triples = [split_line(line) for line in parse_lines(data, media_type)]
    names = rdfc.canonical_labels(triples, work_limit)
    return sorted(f"{names.get(s, s)} {p} {names.get(o, o)} ." for s, p, o in triples)
