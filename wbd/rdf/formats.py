"""N-Triples lines to Turtle, N-Triples and RDF/XML.

Law: parsing the output gives exactly the triples that went in, blank node labels included for Turtle and
N-Triples. RDF/XML has no form for some graphs; those raise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

import pyoxigraph

from wbd.errors import BadInput
from wbd.rdf.labels import split_line
from wbd.rdf.prefixes import Prefixes
from wbd.rdf.turtle import to_turtle

# The last part of an IRI that can be the local name of an XML element.
_XML_LOCAL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z", re.ASCII)

# Labels that become an XML name by a letter in front.
_XML_TAIL: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)

# What XML 1.0 cannot hold even escaped, as it stands in an N-Triples line.
_NOT_XML: Final = re.compile(r"\\u(?:00(?:0[0-8BCEF]|1[0-9A-F])|FFFE|FFFF)|\\[bf]")


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


FORMATS: Final[dict[str, tuple[str, Callable[[Iterable[str], Prefixes], str]]]] = {
    "turtle": ("text/turtle", to_turtle),
    "rdfxml": ("application/rdf+xml", lambda lines, _: to_rdfxml(lines)),
    "ntriples": ("application/n-triples", lambda lines, _: to_ntriples(lines)),
}
"""Name of a format -> its media type, and what writes canonical lines in it."""


def write_lines(lines: Iterable[str], name: str, prefixes: Prefixes) -> str:
    """
    Write canonical lines in a format of FORMATS.

    Raises:
        BadInput: an unknown format, or lines that it has no form for.
    """
    known = FORMATS.get(name)
    if known is None:
        raise BadInput(f"no format {name!r}, known are {', '.join(FORMATS)}")
    return known[1](lines, prefixes)
