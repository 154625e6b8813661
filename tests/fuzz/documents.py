"""RDF documents to canonical text: `read_document`, `read_pair`, `diff_graphs`.

Oracle: any bytes are BadInput or lines. A fault of syntax has its line and column, which lie in the document. Lines
read again are the same lines. Two versions read together are the same graphs as read one by one, or the same
BadInput. The diff of two graphs applied to the canonical lines of the old one gives those of the new one.

Input: a byte for the syntax, a byte that says how the second document comes from the first one, and the first one.
"""

from __future__ import annotations

import re

from tests.fuzz.choices import Choices
from wbd.diff.graphs import canonical_text, diff_graphs, has_own_labels
from wbd.errors import BadInput, GraphTooHard
from wbd.rdf.documents import MEDIA_TYPES, N_QUADS, N_TRIPLES, RDF_XML, TRIG, TURTLE, Document, read_document
from wbd.rdf.graph_diff import apply
from wbd.rdf.labels import label_by_content
from wbd.rdf.versions import read_pair

MAX_INPUT_BYTES = 2048
# A text of prefixes can grow by thousands of times; that is the limit's business.
_MAX_TEXT_BYTES = 1 << 20
_WORK_LIMIT = 20_000
_SYNTAXES: tuple[str | None, ...] = (TURTLE, RDF_XML, N_TRIPLES, TRIG, N_QUADS, None)
_PLACE = re.compile(r"line ([0-9]+), column ([0-9]+)")
# Faults of the whole.
_PLACELESS = ("RDF 1.2", "as N-Triples; graph set aside", "a term of over 16 MiB")

_TURTLE = b"""@prefix e: <http://e.test/> .
e:s e:p [ e:q 'a'@en, "b\\n" ; e:r ( 1 2.5 true ) ] . # c .
_:a e:p _:b .
_:b e:p _:a, _:c .
e:s a e:T ;
  e:p \"\"\"long .
\"\"\" .
"""
_TRIPLES = b"""<http://a.test/s> <http://a.test/p> "x\\u00e9\\"y"@zh-classical .
_:a <http://a.test/p> _:b .
_:b <http://a.test/p> "1"^^<http://www.w3.org/2001/XMLSchema#integer> .
"""
_XML = b"""<?xml version="1.0"?>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:e="http://e.test/" xml:base="http://b.test/">
<rdf:Description rdf:about="x"><e:p rdf:nodeID="9a"/><e:q xml:lang="en">t &amp; u</e:q>
<e:r rdf:parseType="Resource"><e:p rdf:parseType="Literal"><b/></e:p></e:r>
<e:c rdf:parseType="Collection"><e:X rdf:ID="i"/></e:c></rdf:Description>
</rdf:RDF>
"""
_QUADS = _TRIPLES + b"_:a <http://a.test/p> _:b <http://a.test/g> .\n_:a <http://a.test/p> _:b _:g .\n"
_TRIG = b"@prefix e: <http://e.test/> .\ne:g { e:s e:p _:a , [ e:q 1 ] } { _:a e:p <x> } GRAPH _:g { _:a a e:T }\n"
SEEDS = tuple(
    bytes([syntax, way, 1, 3]) + text
    for way in (0, 1, 2, 3, 4)
    for syntax, text in ((0, _TURTLE), (1, _XML), (2, _TRIPLES), (3, _TRIG), (4, _QUADS), (5, _XML), (5, _TRIPLES))
)


def _read(data: bytes, media_type: str | None) -> Document | BadInput:
    try:
        return read_document(data, media_type, max_text_bytes=_MAX_TEXT_BYTES)
    except BadInput as error:
        return error


def _other(data: bytes, choices: Choices, way: int, first: int, second: int) -> bytes:
    """Return another version of a document: a line less, a line twice, two lines changed, or one halved."""
    lines = data.split(b"\n")
    one, two = first % len(lines), second % len(lines)
    match way % 5:
        case 0:
            del lines[one]
        case 1:
            lines.insert(two, lines[one])
        case 2:
            lines[one], lines[two] = lines[two], lines[one]
        case 3:
            lines[one] = lines[one][: second % (len(lines[one]) + 1)]
        case _:
            lines[one] = lines[one].replace(b"a", b"b")
    return b"\n".join(lines)


def _check_fault(error: BadInput, data: bytes) -> None:
    if any(text in str(error) for text in _PLACELESS):
        return
    match = _PLACE.fullmatch(error.place)
    assert match, f"no place: {error}"
    line, column = int(match[1]), int(match[2])
    # XML has three ends of lines, Turtle two.
    rows = re.split(rb"\r\n|\n|\r", data)
    assert 1 <= line <= len(rows) and column >= 1, f"{error}: the document has {len(rows)} lines"
    # The parser counts columns of a term that is broken over lines from its first one.
    assert column <= len(data) + 2, f"{error}: the document has {len(data)} bytes"


def check(data: bytes) -> None:
    choices = Choices(data)
    media_type = _SYNTAXES[choices.byte() % len(_SYNTAXES)]
    assert media_type is None or media_type in MEDIA_TYPES
    way, first, second = choices.byte(), choices.byte(), choices.byte()
    old = choices.rest()
    new = _other(old, choices, way, first, second)
    apart = (_read(old, media_type), _read(new, media_type))
    for document, source in zip(apart, (old, new), strict=True):
        if isinstance(document, BadInput):
            _check_fault(document, source)
        else:
            _check_document(document)
    try:
        together: tuple[Document, Document] | BadInput = read_pair(old, new, media_type, max_text_bytes=_MAX_TEXT_BYTES)
    except BadInput as error:
        together = error
    faults = [each for each in apart if isinstance(each, BadInput)]
    if isinstance(together, BadInput):
        assert faults, f"readable one by one, and together {together}"
        assert (str(together), together.place) == (str(faults[0]), faults[0].place)
        return
    assert not faults, f"readable together, and alone {faults[0]}"
    try:
        for document, alone in zip(together, apart, strict=True):
            assert isinstance(alone, Document)
            left, right = (label_by_content(each.lines(), _WORK_LIMIT) for each in (document, alone))
            assert left == right, f"together {left}, alone {right}"
        _check_diff(old, new, media_type)
    except GraphTooHard:
        pass


def _check_document(document: Document) -> None:
    assert not document.text or document.text.endswith(b"\n")
    again = read_document(document.text, N_QUADS)
    assert again.text == document.text, f"read again: {again.text!r}, first: {document.text!r}"


def _check_diff(old: bytes, new: bytes, media_type: str | None) -> None:
    change = diff_graphs(old, new, media_type=media_type, work_limit=_WORK_LIMIT)
    documents = [read_document(each, media_type) if each else Document(b"") for each in (old, new)]
    keep = all(has_own_labels(document, source) for document, source in zip(documents, (old, new), strict=True))
    before, after = (
        set(canonical_text(each, keep_labels=keep, work_limit=_WORK_LIMIT).decode().split("\n")[:-1])
        for each in documents
    )
    assert set(apply(change, before)) == after
    assert not set(change.added) & before and not set(change.removed) & after
