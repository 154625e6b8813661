"""N-Triples lines to Turtle, N-Triples and RDF/XML.

Law: parsing the output gives exactly the triples that went in, blank node labels included for Turtle and
N-Triples. RDF/XML has no form for some graphs; those raise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import pyoxigraph

from wbd.errors import BadInput
from wbd.rdf.labels import split_line
from wbd.rdf.vocabulary import RDF, Vocabulary

# Local names that need no escape in Turtle; others are written as whole IRIs.
_SAFE_LOCAL: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?", re.ASCII)

# The last part of an IRI that can be the local name of an XML element.
_XML_LOCAL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z", re.ASCII)

# Labels that become an XML name by a letter in front.
_XML_TAIL: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)

# What XML 1.0 cannot hold even escaped, as it stands in an N-Triples line.
_NOT_XML: Final = re.compile(r"\\u(?:00(?:0[0-8BCEF]|1[0-9A-F])|FFFE|FFFF)|\\[bf]")


class _Names:
    """Shortens IRIs by prefixes, and remembers which it used."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.by_namespace: dict[str, str] = {}
        for prefix, namespace in vocabulary.prefixes.items():
            self.by_namespace.setdefault(namespace, prefix)
        self.used: set[str] = set()
        self.known: dict[str, str] = {}

    def iri(self, term: str) -> str:
        short = self.known.get(term)
        if short is None:
            short = self.known[term] = self._shorten(term)
        return short

    def _shorten(self, term: str) -> str:
        inside = term[1:-1]
        cut = max(inside.rfind("/"), inside.rfind("#")) + 1
        prefix = self.by_namespace.get(inside[:cut])
        if prefix is None or not _SAFE_LOCAL.fullmatch(inside, cut):
            return term
        self.used.add(prefix)
        return f"{prefix}:{inside[cut:]}"

    def term(self, term: str) -> str:
        if term[0] == "<":
            return self.iri(term)
        if term[0] == '"' and term[-1] == ">":
            value, _, datatype = term.rpartition("^^")
            return f"{value}^^{self.iri(datatype)}"
        return term


def to_turtle(lines: Iterable[str], vocabulary: Vocabulary) -> str:
    """
    Write Turtle: the prefixes that are used, then the triples grouped by subject and predicate.

    Subjects, predicates and objects keep the order in which they come first.
    """
    names = _Names(vocabulary)
    graph: dict[str, dict[str, list[str]]] = {}
    for line in lines:
        subject, predicate, target = split_line(line)
        graph.setdefault(subject, {}).setdefault(predicate, []).append(target)
    is_a = f"<{RDF}type>"
    blocks = []
    for subject, predicates in graph.items():
        parts = []
        for predicate, targets in predicates.items():
            verb = "a" if predicate == is_a else names.iri(predicate)
            parts.append(f"{verb} {', '.join(names.term(target) for target in targets)}")
        subject_text = names.iri(subject) if subject[0] == "<" else subject
        blocks.append(f"{subject_text} " + " ;\n\t".join(parts) + " .\n")
    head = [
        f"@prefix {prefix}: <{namespace}> .\n"
        for prefix, namespace in vocabulary.prefixes.items()
        if prefix in names.used
    ]
    return "\n".join([*(["".join(head)] if head else []), *blocks])


def to_ntriples(lines: Iterable[str]) -> str:
    """Write N-Triples: the lines as they are."""
    return "".join(f"{line}\n" for line in lines)


def _node_id(term: str) -> str:
    """Rename a blank node to an XML name, each to another one; leave other terms alone."""
    if term[0] != "_":
        return term
    label = term[2:]
    return f"_:b{label}" if _XML_TAIL.fullmatch(label) else f"_:x{label.encode().hex()}"


def to_rdfxml(lines: Iterable[str]) -> str:
    """
    Write RDF/XML; blank nodes get labels that are XML names, the graph is isomorphic.

    Raises:
        BadInput: a predicate that cannot be an element name, or a character that XML cannot hold.
    """
    kept = []
    for line in lines:
        subject, predicate, target = split_line(line)
        if _XML_LOCAL.search(predicate[1:-1]) is None:
            raise BadInput(f"predicate {predicate} has no RDF/XML form; use another format")
        if target[0] == '"' and _NOT_XML.search(target.replace("\\\\", "")):
            raise BadInput(f"literal {target[:80]} has no RDF/XML form; use another format")
        if subject[0] == "_" or target[0] == "_":
            line = f"{_node_id(subject)} {predicate} {_node_id(target)} ."
        kept.append(line)
    quads = pyoxigraph.parse(to_ntriples(kept).encode(), format=pyoxigraph.RdfFormat.N_TRIPLES, lenient=True)
    text = pyoxigraph.serialize((quad.triple for quad in quads), format=pyoxigraph.RdfFormat.RDF_XML)
    return (text or b"").decode()
