"""RDF/XML before and after the RDF parser: checks, changes and places of faults that the parser lacks.

It accepts some XML that is not well-formed, needs quadratic time in depth, refuses labels of blank nodes that start
with a digit, and does not say where a fault is.
"""

from __future__ import annotations

import hashlib
import re
from typing import IO, Final, cast
from xml.parsers import expat

import pyoxigraph
from pyoxigraph import RdfFormat

from wbd.errors import BadInput

_PLACE: Final = re.compile(r"line ([0-9]+), column ([0-9]+)")
# Exports have labels of blank nodes that start with a digit, which no XML name does.
_DIGIT_NODE_ID: Final = re.compile(rb"(rdf:nodeID\s*=\s*[\"'])(?=[0-9])")
_INVALID_TOKEN: Final = expat.errors.codes[expat.errors.XML_ERROR_INVALID_TOKEN]
# The RDF parser takes quadratic time in depth; RDF written by programs is five or six deep.
_MAX_XML_DEPTH: Final = 1000
# RDF/XML is read by so many bytes at a time when the place of a fault is looked for.
_WINDOW_BYTES: Final = 2048


def check(data: bytes) -> None:
    """Refuse XML that is not well-formed, which the RDF parser sometimes overlooks, huge by entities, or deep."""
    parser = expat.ParserCreate()
    depth = 0

    def start(_name: str, _attributes: object) -> None:
        nonlocal depth
        depth += 1
        if depth > _MAX_XML_DEPTH:
            place = f"line {parser.CurrentLineNumber}, column {parser.CurrentColumnNumber + 1}"
            raise BadInput(f"XML nested over {_MAX_XML_DEPTH} deep; graph set aside", place)

    def end(_name: str) -> None:
        nonlocal depth
        depth -= 1

    parser.StartElementHandler, parser.EndElementHandler = start, end
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        if error.code == _INVALID_TOKEN and b"<!ENTITY" not in data:
            # Names that XML allows since its fifth edition are none for expat; the RDF parser decides.
            return
        message = expat.ErrorString(error.code)
        raise BadInput(f"{message}; graph set aside", f"line {error.lineno}, column {error.offset + 1}") from error


def marked(data: bytes) -> tuple[bytes, bytes]:
    """
    Return the document with blank nodes whose labels are XML names, and the mark put in front of what was none.

    Text that looks like such a label is marked too, so the mark has to go from all that was read. No document can
    hold it, spelt in whatever way: it comes of the whole document. Without such labels it is empty.
    """
    if not _DIGIT_NODE_ID.search(data):
        return data, b""
    mark = b"digit-%s-" % hashlib.blake2b(data, digest_size=16).hexdigest().encode()
    return _DIGIT_NODE_ID.sub(rb"\1" + mark, data), mark


def unmarked(place: str, data: bytes, mark: bytes) -> str:
    """Return the place in the document of a place in *data*, the one with marks."""
    match = _PLACE.fullmatch(place)
    if match is None:
        return place
    line, column = int(match[1]), int(match[2])
    before = data.split(b"\n", line)[line - 1][:column]
    return f"line {line}, column {max(1, column - len(mark) * before.count(mark))}"


class _Pieces:
    """Gives a document in windows, from *start* on byte by byte, and knows what it gave."""

    def __init__(self, data: bytes, start: int) -> None:
        self.data = data
        self.start = start
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        count = 1 if self.given >= self.start else min(_WINDOW_BYTES, self.start - self.given)
        piece = self.data[self.given : self.given + count]
        self.given += len(piece)
        return piece


def place_of_fault(data: bytes, lenient: bool) -> str:
    """Return where the RDF parser stops in well-formed XML; it does not say."""
    start = len(data)
    for _ in range(2):
        pieces = _Pieces(data, start)
        try:
            for _ in pyoxigraph.parse(cast(IO[bytes], pieces), format=RdfFormat.RDF_XML, lenient=lenient):
                pass
            return ""
        except SyntaxError:
            start = max(0, pieces.given - _WINDOW_BYTES)
    # The place of the last byte that it took; the end of a line belongs to that line.
    last = max(0, pieces.given - 1)
    line, column = data.count(b"\n", 0, last) + 1, last - data.rfind(b"\n", 0, last)
    return f"line {line}, column {column}"
