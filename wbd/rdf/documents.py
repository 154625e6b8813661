"""RDF documents to canonical text: Turtle, RDF/XML, N-Triples, TriG, N-Quads, or terms that a parser made.

The text has one line a triple, as canonical N-Triples; a triple of a named graph ends in the graph's name, as in
N-Quads. Every line of the text is one triple of the document and nothing else: terms that would read as something else
in a line are refused. Blank nodes keep the names of the document. Language tags are lower case afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import IO, Final, TypeAlias, cast

import pyoxigraph
from pyoxigraph import RdfFormat

from wbd.errors import BadInput
from wbd.rdf import rdfxml

TURTLE: Final = "text/turtle"
RDF_XML: Final = "application/rdf+xml"
N_TRIPLES: Final = "application/n-triples"
N_QUADS: Final = "application/n-quads"
TRIG: Final = "application/trig"

MEDIA_TYPES: Final[dict[str, RdfFormat]] = {
    TURTLE: RdfFormat.TURTLE,
    RDF_XML: RdfFormat.RDF_XML,
    N_TRIPLES: RdfFormat.N_TRIPLES,
    "text/plain": RdfFormat.N_TRIPLES,
    N_QUADS: RdfFormat.N_QUADS,
    TRIG: RdfFormat.TRIG,
}

_SUFFIXES: Final = {
    ".ttl": TURTLE,
    ".turtle": TURTLE,
    ".nt": N_TRIPLES,
    ".rdf": RDF_XML,
    ".owl": RDF_XML,
    ".xml": RDF_XML,
    ".nq": N_QUADS,
    ".trig": TRIG,
}
_COMPRESSED: Final = (".gz", ".bz2", ".zst")

MAX_TEXT_BYTES: Final = 1 << 30
"""Canonical text of one graph. Prefixes and XML entities can make a small document a large one."""

UTF8_MARK: Final = b"\xef\xbb\xbf"
_XML_START: Final = re.compile(rb"\s*<(\?xml|!DOCTYPE|!--|[A-Za-z_][\w.-]*:?[\w.-]*[\s>][^<]*xmlns)")
# What an IRI cannot hold, RFC 3987; in a line it would end the term, or the line.
_NOT_IRI: Final = re.compile(r"[\x00-\x20<>\"{}|^`\\]")
# What follows the @ of a literal, in the grammar of N-Triples; a lenient parser takes anything for a language.
_LANGUAGE: Final = re.compile(r"[A-Za-z]+(?:-[A-Za-z0-9]+)*")
_TRIPLE_TERM: Final = re.compile(rb"^(?:<[^>]*>|_:[^ ]+) <[^>]*> <<", re.MULTILINE)
# Of a message of the parser, which names the place twice.
_PLACE_IN_MESSAGE: Final = re.compile(r"^Parser error (?:at|between) .*?: (?=\S)|^error while |(?<=.) \(line \d+\)$")

Terms: TypeAlias = Iterable[pyoxigraph.Triple] | Iterable[pyoxigraph.Quad]
Source: TypeAlias = bytes | Terms
"""A document, or the triples or quads of a pyoxigraph.Dataset, a parser or a store."""


@dataclass(frozen=True, slots=True)
class Document:
    r"""
    What was read.

    text: canonical lines, each ended by \n, in the order of the document; one that comes twice is there twice.
    prefixes: prefix -> namespace as the document has them.
    """

    text: bytes
    prefixes: Mapping[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Return the distinct lines."""
        return list(dict.fromkeys(self.text.decode().split("\n")[:-1]))


def media_type_of(name: str, data: bytes = b"") -> str:
    """Return the media type by the file's name, ignoring a compression suffix, or else by the first bytes."""
    path = PurePath(name)
    if path.suffix.lower() in _COMPRESSED:
        path = path.with_suffix("")
    known = _SUFFIXES.get(path.suffix.lower())
    if known is not None:
        return known
    # N-Triples is Turtle too.
    return RDF_XML if _XML_START.match(data.removeprefix(UTF8_MARK)[:4096]) else TURTLE


def read_document(source: Source, media_type: str | None = None, *, max_text_bytes: int = MAX_TEXT_BYTES) -> Document:
    """
    Read one graph or dataset.

    Args:
        source: a whole document, or its triples or quads as pyoxigraph has them.
        media_type: of a document, with parameters or without; None to tell it by its first bytes.

    Raises:
        BadInput: an unknown media type, a document that is broken (its place is the line and column), a term that no
            line can hold, a triple as a term (RDF 1.2), or more text than *max_text_bytes*.
    """
    if not isinstance(source, bytes):
        return Document(_checked_text(source, max_text_bytes))
    syntax = MEDIA_TYPES.get(syntax_name(source, media_type))
    if syntax is None:
        raise BadInput(f"no parser for {media_type!r}, known are {', '.join(sorted(MEDIA_TYPES))}; graph set aside")
    data = source.removeprefix(UTF8_MARK)
    if syntax == RdfFormat.RDF_XML:
        return _read_rdfxml(data, max_text_bytes)
    return _read(data, syntax, max_text_bytes)


def read_strictly(data: bytes, media_type: str, *, max_text_bytes: int = MAX_TEXT_BYTES) -> Document:
    """
    Read a document of a known media type, RDF/XML excepted, by the letter of its standard.

    Raises:
        BadInput: as read_document, without a place; and for what only read_document bears with.
    """
    parser = pyoxigraph.parse(data, format=MEDIA_TYPES[media_type])
    try:
        text = _serialize(parser, max_text_bytes)
    except SyntaxError as error:
        raise BadInput(f"{error.msg}; graph set aside") from error
    return _document(text, parser)


def _document(text: bytes, parser: pyoxigraph.QuadParser) -> Document:
    if b" <<" in text and _TRIPLE_TERM.search(text):
        raise _triple_term()
    return Document(text, parser.prefixes)


def syntax_name(data: bytes, media_type: str | None) -> str:
    """Return a media type without its parameters, or guess it from the first bytes of a document."""
    return (media_type or media_type_of("", data)).partition(";")[0].strip().lower()


def _read(data: bytes, syntax: RdfFormat, max_text_bytes: int) -> Document:
    parser = pyoxigraph.parse(data, format=syntax)
    try:
        # Quads of the default graph in N-Quads are N-Triples, and the parser's own need no detour through Python.
        text = _serialize(parser, max_text_bytes)
    except SyntaxError as strict:
        # Real exports contain language tags and IRIs that RFC 5646 and RFC 3987 do not allow.
        parser = pyoxigraph.parse(data, format=syntax, lenient=True)
        try:
            text = _checked_text(parser, max_text_bytes)
        except SyntaxError as error:
            raise _broken(error, data, syntax) from error
        except BadInput as error:
            raise error.at(_place(strict, data, syntax, lenient=False), ": ") from error
    return _document(text, parser)


def _read_rdfxml(data: bytes, max_text_bytes: int) -> Document:
    rdfxml.check(data)
    marked, mark = rdfxml.marked(data)
    if not mark:
        return _read(data, RdfFormat.RDF_XML, max_text_bytes)
    try:
        document = _read(marked, RdfFormat.RDF_XML, max_text_bytes)
    except BadInput as error:
        raise BadInput(error.message, rdfxml.unmarked(error.place, marked, mark)) from error
    return Document(document.text.replace(mark, b""), document.prefixes)


class _Text:
    """Collects written bytes, up to a limit."""

    def __init__(self, max_bytes: int) -> None:
        self.pieces: list[bytes] = []
        self.room_bytes = max_bytes
        self.max_bytes = max_bytes

    def write(self, piece: bytes) -> int:
        self.room_bytes -= len(piece)
        if self.room_bytes < 0:
            raise BadInput(f"graph of over {self.max_bytes} bytes as N-Triples; graph set aside")
        self.pieces.append(piece)
        return len(piece)

    def flush(self) -> None:
        """Do nothing: all bytes are written already."""


def _serialize(quads: Iterable[pyoxigraph.Quad], max_bytes: int) -> bytes:
    text = _Text(max_bytes)
    try:
        pyoxigraph.serialize(quads, cast(IO[bytes], text), format=RdfFormat.N_QUADS)
    except MemoryError as error:
        if "buffer maximal size" not in str(error):
            raise
        # The parser bounds one token.
        raise BadInput("a term of over 16 MiB; graph set aside") from error
    return b"".join(text.pieces)


def _checked_text(terms: Terms, max_bytes: int) -> bytes:
    return _serialize(_checked(terms), max_bytes)


def _checked(terms: Terms) -> Iterator[pyoxigraph.Quad]:
    """Yield quads, checked so that each term reads back as itself when it is written."""
    languages: set[str] = set()
    for each in terms:
        if isinstance(each, pyoxigraph.Triple):
            each = pyoxigraph.Quad(*each)
        elif not isinstance(each, pyoxigraph.Quad):
            raise BadInput(f"expected a triple or a quad, found {type(each).__name__}; graph set aside")
        for term in each:
            if isinstance(term, pyoxigraph.Triple):
                raise _triple_term()
            if isinstance(term, pyoxigraph.Literal):
                language = term.language
                if language is not None:
                    if language not in languages:
                        _check_language(language)
                        languages.add(language)
                    continue
                term = term.datatype
            if isinstance(term, pyoxigraph.NamedNode) and (found := _NOT_IRI.search(term.value)):
                raise BadInput(f"IRI {term.value[:80]!r} holds {found[0]!r}, which no IRI can; graph set aside")
        yield each


def _check_language(language: str) -> None:
    if not _LANGUAGE.fullmatch(language):
        raise BadInput(f"language {language[:80]!r}, which no literal can have; graph set aside")


def _triple_term() -> BadInput:
    return BadInput("a triple as a term (RDF 1.2), which wbd does not read; graph set aside")


def _broken(error: SyntaxError, data: bytes, syntax: RdfFormat) -> BadInput:
    message = _PLACE_IN_MESSAGE.sub("", str(error.msg))
    return BadInput(f"{message}; graph set aside", _place(error, data, syntax))


def _place(error: SyntaxError, data: bytes, syntax: RdfFormat, *, lenient: bool = True) -> str:
    if error.lineno:
        return f"line {error.lineno}, column {error.offset}"
    return rdfxml.place_of_fault(data, lenient) if syntax == RdfFormat.RDF_XML else ""
