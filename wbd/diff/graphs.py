"""Two graphs or datasets, as documents or as terms of a parser, become the triples that were added and removed. Pure.

Triples without blank nodes are never canonicalized, and those of both sides never become Python objects. Blank nodes
are labelled by content, each connected component on its own (labels.py), so the labels of a diff are those of
canonical_text. Labels that Wikibase wrote are the same in every export of an entity and stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from typing import Final

import pyoxigraph

from wbd.diff.shared import with_shared
from wbd.errors import GraphTooHard
from wbd.mapping.vocabulary import Vocabulary
from wbd.rdf.documents import Document, Source, read_document
from wbd.rdf.graph_diff import RdfDiff, diff_ntriples
from wbd.rdf.labels import MAX_BLANK_TRIPLES, label_by_content
from wbd.rdf.versions import read_pair

_WIKIBASE: Final = b"http://wikiba.se/ontology"
_LABEL: Final = re.compile(rb"_:([^ ]+)(?= )")
_OWN_LABEL: Final = re.compile(rb"[0-9a-f]{32}")
# As N-Triples and Turtle write a label, and as RDF/XML does.
_WRITTEN_LABEL: Final = re.compile(rb"_:([0-9a-f]{32})(?![\w.-])")
_NODE_ID: Final = re.compile(rb"nodeID=[\"']([0-9a-f]{32})[\"']")

# Up to this many nodes are searched for one by one; for more, all subjects of the text are collected.
_FEW_NODES: Final = 8


def diff_graphs(
    old: Source,
    new: Source,
    *,
    media_type: str | None = None,
    new_media_type: str | None = None,
    vocabulary: Vocabulary | None = None,
    keep_labels: bool | None = None,
    work_limit: int | None = None,
) -> RdfDiff:
    """
    Return what changed between two graphs.

    Args:
        old, new: documents in bytes, or triples or quads such as a pyoxigraph.Dataset; b"" is an empty graph.
        media_type: of both documents, or of the old one; by default told by their first bytes.
        new_media_type: of the new one, if it has another.
        vocabulary: where shared nodes are; Wikidata's by default.
        keep_labels: compare blank nodes by the labels that the documents have; by default only where all of them are
            labels of Wikibase.
        work_limit: maximum number of steps for the labels of one side, see label_by_content.

    Returns:
        Lines as N-Triples; of named graphs as N-Quads. apply() of it to the lines of canonical_text(old) gives those
        of canonical_text(new).

    Raises:
        BadInput: as read_document.
        GraphTooHard: blank nodes that the work limit does not tell apart.
    """
    if isinstance(old, bytes) and isinstance(new, bytes) and old and new and new_media_type in (None, media_type):
        before, after = read_pair(old, new, media_type)
    else:
        before = read_document(old, media_type) if old != b"" else Document(b"")
        after = read_document(new, new_media_type or media_type) if new != b"" else Document(b"")
    if keep_labels is None:
        keep_labels = has_own_labels(before, old) and has_own_labels(after, new)
    return diff_documents(before, after, vocabulary, keep_labels=keep_labels, work_limit=work_limit)


def diff_documents(
    old: Document,
    new: Document,
    vocabulary: Vocabulary | None = None,
    *,
    keep_labels: bool = False,
    work_limit: int | None = None,
) -> RdfDiff:
    """Return what changed between two documents that were read; as diff_graphs."""
    before, after = (canonical_text(each, keep_labels=keep_labels, work_limit=work_limit) for each in (old, new))
    return with_shared(
        diff_ntriples(before, after),
        vocabulary or Vocabulary.wikidata(),
        lambda nodes: _subjects_in(before, nodes),
        lambda nodes: _subjects_in(after, nodes),
    )


def canonical_text(document: Document, *, keep_labels: bool = False, work_limit: int | None = None) -> bytes:
    """
    Return the lines of a graph with blank nodes labelled by content, in no particular order.

    Raises:
        GraphTooHard: as label_by_content.
    """
    if keep_labels or b"_:" not in document.text:
        return document.text
    ground, blank = _divide(document.text)
    labelled = label_by_content((line.decode() for line in blank), work_limit)
    return b"".join([*ground, *(f"{line}\n".encode() for line in labelled)])


def _divide(text: bytes) -> tuple[list[bytes], list[bytes]]:
    """Divide a text into pieces without blank nodes, and lines that can have some, each once."""
    ground: list[bytes] = []
    blank: dict[bytes, None] = {}
    start = 0
    at = text.find(b"_:")
    while at >= 0:
        # Elsewhere it is part of a literal or an IRI, which can have millions of them.
        if at == start or text[at - 1] in b" \n":
            first, end = text.rfind(b"\n", start, at) + 1 or start, text.index(b"\n", at) + 1
            ground.append(text[start:first])
            blank[text[first : end - 1]] = None
            if len(blank) > MAX_BLANK_TRIPLES:
                raise GraphTooHard(f"over {MAX_BLANK_TRIPLES} triples with blank nodes; graph set aside")
            start = end
            at = text.find(b"_:", end)
        else:
            at = text.find(b"_:", at + 2)
    ground.append(text[start:])
    return ground, list(blank)


def has_own_labels(document: Document, source: Source) -> bool:
    """
    Tell whether all labels of blank nodes are Wikibase's: MD5 digests that stand in the source.

    A parser invents such labels too, for nodes without one.
    """
    if b"_:" not in document.text:
        return True
    if not isinstance(source, bytes) or _WIKIBASE not in source:
        return False
    # A literal can contain something like a label, so only lines with blank nodes count then.
    return _are_own(set(_LABEL.findall(document.text)), source) or _are_own(
        set(_LABEL.findall(b"\n".join(_divide(document.text)[1]))), source
    )


def _are_own(labels: set[bytes], source: bytes) -> bool:
    if not all(map(_OWN_LABEL.fullmatch, labels)):
        return False
    return labels.issubset(_WRITTEN_LABEL.findall(source)) or labels.issubset(_NODE_ID.findall(source))


def _subjects_in(text: bytes, nodes: Set[str]) -> set[str]:
    """Return the *nodes* that are subjects in a text."""
    if len(nodes) <= _FEW_NODES:
        return {node for node in nodes if _has_subject(text, node)}
    subjects = {line[: line.find(b" ")] for line in text.split(b"\n")}
    return {node for node in nodes if node.encode() in subjects}


def _has_subject(text: bytes, node: str) -> bool:
    start = f"{node} ".encode()
    return text.startswith(start) or b"\n" + start in text


def dataset_of(lines: Iterable[str]) -> pyoxigraph.Dataset:
    """Return lines as a pyoxigraph.Dataset."""
    text = "".join(f"{line}\n" for line in lines).encode()
    return pyoxigraph.Dataset(pyoxigraph.parse(text, format=pyoxigraph.RdfFormat.N_QUADS, lenient=True))
