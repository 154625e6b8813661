"""Canonical lines to Turtle, N-Triples and RDF/XML: `write_lines`.

Oracle: what is written in Turtle and N-Triples reads as exactly the lines that went in, and in RDF/XML as an
isomorphic graph. Sorted lines are written in C as by the twin. RDF/XML may refuse a graph, and only one with a
predicate that is no XML name or a character that XML cannot hold.

Input: an even first byte chooses triples of awkward terms; behind an odd one stands N-Triples that the reader takes.
"""

from __future__ import annotations

import re

from tests.fuzz.choices import Choices
from wbd.errors import BadInput, GraphTooHard
from wbd.mapping.vocabulary import Vocabulary
from wbd.rdf.documents import N_TRIPLES, RDF_XML, TURTLE, read_document
from wbd.rdf.formats import write_lines
from wbd.rdf.labels import label_by_content, split_line
from wbd.rdf.terms import iri, language_suffix, literal
from wbd.rdf.turtle import to_turtle, turtle_twin

MAX_INPUT_BYTES = 1024
_VOCABULARY = Vocabulary.wikidata()
_LINES = 10
_BASES = (
    *_VOCABULARY.prefixes.values(),
    "http://a.test/",
    "http://www.wikidata.org/",
    "urn:x:",
    "http://www.wikidata.org/entity/statement/",
)
_TAGS = ("", "@en", "@zh-classical", "@de-x-formal", "@sr-ec")
_XML_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*>\Z", re.ASCII)
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
SEEDS = (
    bytes([0, 3, 0, 0, 1, 81, 0, 2, 3, 80, 49, 50, 0, 1, 4, 4, 97, 34, 92, 10, 0, 1, 2, 9, 9]),
    *(bytes([0, 5, *(number * step % 256 for number in range(60))]) for step in (1, 7, 11, 37, 101)),
    b'\x01<http://a.test/s> <http://a.test/p> "x\\u0001"@en .\n_:9a <a:b-c> _:b .\n',
    b"\x01_:a <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <http://wikiba.se/ontology#Item> .\n",
)


def _iri(choices: Choices) -> str:
    return iri(choices.one(_BASES) + choices.text())


def _blank(choices: Choices) -> str:
    return f"_:{choices.one(('a', 'b0', '9', 'a.b', 'a-b', 'é', '16696d7ad1e9ae4903df6b9ddab8a877'))}"


def _target(choices: Choices) -> str:
    match choices.number(4):
        case 0:
            return _iri(choices)
        case 1:
            return _blank(choices)
        case 2:
            return f"{literal(choices.text())}^^{_iri(choices)}"
        case _:
            tag = choices.one(_TAGS)
            return f"{literal(choices.text())}{language_suffix(tag[1:]) if tag else ''}"


def _lines(choices: Choices) -> list[str]:
    triples = []
    for _ in range(choices.number(_LINES)):
        subject = _blank(choices) if choices.byte() & 1 else _iri(choices)
        triples.append(f"{subject} {_iri(choices)} {_target(choices)} .")
    return list(dict.fromkeys(triples))


def _refusable(lines: list[str]) -> bool:
    for line in lines:
        _, predicate, target = split_line(line)
        if not _XML_NAME.search(predicate):
            return True
        if target[0] == '"':
            plain = re.sub(r"\\u([0-9A-F]{4})", lambda match: chr(int(match[1], 16)), target.replace("\\\\", ""))
            if _NOT_XML.search(plain.replace("\\b", "\b").replace("\\f", "\f")):
                return True
    return False


def check(data: bytes) -> None:
    choices = Choices(data)
    if choices.byte() & 1:
        try:
            lines = read_document(choices.rest(), N_TRIPLES).lines()
        except BadInput:
            return
    else:
        text = "".join(f"{line}\n" for line in _lines(choices)).encode()
        # As the reader writes them: language tags in lower case, xsd:string left out.
        lines = read_document(text, N_TRIPLES).lines()
    wanted = sorted(lines)
    for name, media_type in (("turtle", TURTLE), ("ntriples", N_TRIPLES)):
        written = write_lines(lines, name, _VOCABULARY).encode()
        read_back = sorted(read_document(written, media_type).lines())
        assert read_back == wanted, f"{name}: wrote {written!r}, read {read_back}, wanted {wanted}"
    assert to_turtle(wanted, _VOCABULARY) == turtle_twin(wanted, _VOCABULARY)
    try:
        written = write_lines(lines, "rdfxml", _VOCABULARY).encode()
    except BadInput as error:
        assert _refusable(lines), f"refused for no reason: {error}"
        return
    read_back = read_document(written, RDF_XML).lines()
    try:
        left, right = label_by_content(read_back), label_by_content(lines)
    except GraphTooHard:
        return
    assert left == right, f"rdfxml: wrote {written!r}, read {left}, wanted {right}"
