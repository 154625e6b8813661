"""Reading RDF: each line is one triple of the document, faults have their place, and work is bounded."""

from __future__ import annotations

import itertools

import pyoxigraph
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.build.graphs import graphs
from wbd.diff.graphs import dataset_of
from wbd.errors import BadInput
from wbd.rdf import versions
from wbd.rdf.documents import (
    N_QUADS,
    N_TRIPLES,
    RDF_XML,
    TRIG,
    TURTLE,
    media_type_of,
    read_document,
    read_strictly,
)
from wbd.rdf.labels import label_by_content
from wbd.rdf.versions import read_pair

RDF_NS = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"


def rdfxml(inside: str, before: str = "") -> bytes:
    """A document whose third line is *inside*."""
    head = f'<?xml version="1.0"?>{before}\n<rdf:RDF xmlns:rdf="{RDF_NS}" xmlns:e="http://e.test/">\n'
    return f"{head}{inside}\n</rdf:RDF>\n".encode()


@settings(deadline=None, max_examples=40)
@given(graphs)
def test_canonical_lines_are_read_as_what_they_are(lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines).encode()
    for media_type in (N_TRIPLES, TURTLE, N_QUADS, None):
        assert set(read_document(text, media_type).lines()) == set(lines)
    assert set(read_document(dataset_of(lines)).lines()) == set(lines)


@pytest.mark.parametrize(
    ("name", "data", "media_type"),
    [
        ("Q42.ttl", b"", TURTLE),
        ("q42.NT.gz", b"", N_TRIPLES),
        ("dump.nq.bz2", b"", N_QUADS),
        ("x.trig", b"", TRIG),
        ("Q42.rdf", b"", RDF_XML),
        ("x.owl", b"", RDF_XML),
        ("-", b"@prefix a: <b:> .", TURTLE),
        ("-", b"<http://a.test/s> <http://a.test/p> 1 .", TURTLE),
        ("-", b"\xef\xbb\xbf  <?xml version='1.0'?>", RDF_XML),
        ("noname", b"<rdf:RDF xmlns:rdf='x'>", RDF_XML),
        ("noname", b"<!-- x --><rdf:RDF>", RDF_XML),
    ],
)
def test_the_name_tells_the_media_type_and_else_the_first_bytes(name: str, data: bytes, media_type: str) -> None:
    assert media_type_of(name, data) == media_type


@pytest.mark.parametrize(
    ("data", "media_type", "place"),
    [
        (b"<a:s> <a:p> <a:o> .\n<a:s> oops", TURTLE, "line 2, column 7"),
        (b"<a:s> <a:p> <a:o> .\n<a:s> oops .", N_TRIPLES, "line 2, column 7"),
        (b"<a:s> <a:p> <a:o> .\n<a:s> <a:p> <a:b c> .", TURTLE, "line 2, column 13"),
        (b'<a:s> <a:p> "\xff" .', N_TRIPLES, "line 1, column 14"),
        (b'<a:s> <a:p> "\\uD800" .', TURTLE, "line 1, column 14"),
        (b"<a:s> <a:p> <a:o>", TURTLE, "line 1, column 18"),
        (rdfxml("<rdf:Description>"), RDF_XML, "line 4, column 3"),
        (rdfxml("")[:-12], RDF_XML, "line 3, column 1"),
        (rdfxml('<e:X rdf:about="http://a b/"/>'), RDF_XML, "line 3, column 30"),
        (rdfxml('<e:X>\n<e:p rdf:nodeID="a b"/></e:X>'), RDF_XML, "line 4, column 23"),
        # The label is longer for the parser than in the document.
        (rdfxml('<e:X><e:p rdf:nodeID="9"/><e:p rdf:nodeID="a b"/></e:X>'), RDF_XML, "line 3, column 49"),
        # Where the parser stops behind the end of a line, the place is that end.
        (b'<e:X a="p b="L">\n', RDF_XML, "line 1, column 17"),
        (b'<e:X a="p b="L">\n\n', RDF_XML, "line 2, column 1"),
    ],
)
def test_a_fault_has_its_line_and_column(data: bytes, media_type: str, place: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_document(data, media_type)
    assert caught.value.place == place


@pytest.mark.parametrize("target", ["a:x>y", "a:x y", "a:x> .\n<b:s> <b:p> <b:o", 'a:x"y', "a:\x7f\\"])
def test_an_iri_never_becomes_another_triple(target: str) -> None:
    """Escapes can write into an IRI what would end it in a line."""
    escaped = "".join(f"\\u{ord(c):04X}" if c in '> \n"\\' else c for c in target)
    for text in (
        f"<a:s> <a:p> <{escaped}> .",
        f'<a:s> <a:p> "x"^^<{escaped}> .',
        f'<a:s> <a:p> "x"@zh-classical, <{escaped}> .',
    ):
        with pytest.raises(BadInput):
            read_document(text.encode(), TURTLE)


@pytest.mark.parametrize("tag", ["en .&#10;&lt;http://x/> &lt;http://x/> &lt;http://x/", "en&#x7f;", "en-", "1", "é"])
def test_a_language_never_becomes_another_triple(tag: str) -> None:
    """The lenient parser keeps any xml:lang."""
    with pytest.raises(BadInput, match="which no literal can have") as caught:
        read_document(rdfxml(f'<e:X rdf:about="http://a.test/"><e:p xml:lang="{tag}">t</e:p></e:X>'), RDF_XML)
    assert caught.value.place.startswith("line 3, column ")


def test_terms_of_a_lenient_parser_are_checked_too() -> None:
    quads = pyoxigraph.parse(b"<a:s> <a:p> <a:x\\u003E\\u0020.> .", format=pyoxigraph.RdfFormat.TURTLE, lenient=True)
    with pytest.raises(BadInput, match="which no IRI can"):
        read_document(pyoxigraph.Dataset(quads))
    with pytest.raises(BadInput, match="expected a triple or a quad, found int"):
        read_document([1])  # type: ignore[arg-type]


def test_wikibases_language_tags_and_relative_iris_are_read() -> None:
    document = read_document(b'<s> <a:p> "x"@zh-classical .', TURTLE)
    assert document.lines() == ['<s> <a:p> "x"@zh-classical .']


@pytest.mark.parametrize("target", ['"x"@zh-classical', '"two\nlines"', "<relative>"])
def test_strict_reading_refuses_what_the_standard_does(target: str) -> None:
    source = f"<a:s> <a:p> {target} .".encode()
    assert len(read_document(source, TURTLE).lines()) == 1
    with pytest.raises(BadInput, match="graph set aside"):
        read_strictly(source, TURTLE)


def test_a_byte_order_mark_is_no_content() -> None:
    for media_type in (TURTLE, N_TRIPLES):
        assert read_document(b"\xef\xbb\xbf<a:s> <a:p> <a:o> .", media_type).lines() == ["<a:s> <a:p> <a:o> ."]


@pytest.mark.parametrize("data", [b"<a:s> <a:p> <<( <a:x> <a:y> _:z )>> .", b"<< <a:x> <a:y> <a:z> >> <a:q> 1 ."])
def test_a_triple_as_a_term_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput, match=r"RDF 1\.2"):
        read_document(data, TURTLE)
    with pytest.raises(BadInput, match=r"RDF 1\.2"):
        read_document(pyoxigraph.Dataset(pyoxigraph.parse(data, format=pyoxigraph.RdfFormat.TURTLE)))


def test_what_looks_like_a_triple_as_a_term_in_a_literal_is_read() -> None:
    assert len(read_document(b'<a:s> <a:p> " <<( <a:x>" .', TURTLE).lines()) == 1


def test_named_graphs_are_the_fourth_term() -> None:
    lines = ["<a:s> <a:p> _:o .", '<a:s> <a:p> "x y" <a:g> .', "<a:s> <a:p> _:o _:g ."]
    assert read_document("\n".join(lines).encode(), N_QUADS).lines() == lines
    assert read_document(b"<a:g> { <a:s> <a:p> 'x y' }", TRIG).lines() == lines[1:2]
    assert set(read_document(dataset_of(lines)).lines()) == set(lines)


def test_wikibases_rdfxml_is_read_though_its_labels_are_no_xml_names() -> None:
    label = "16696d7ad1e9ae4903df6b9ddab8a877"
    document = read_document(rdfxml(f'<e:X rdf:about="http://a.test/"><e:p rdf:nodeID="{label}"/></e:X>'))
    assert f"<http://a.test/> <http://e.test/p> _:{label} ." in document.lines()


@pytest.mark.parametrize("text", ["rdf:nodeID='9a'", "_:digit-9a", "_:&#100;igit-9a"])
def test_text_that_looks_like_a_label_is_kept(text: str) -> None:
    document = read_document(rdfxml(f'<e:X rdf:nodeID="9a"><e:p>{text}</e:p></e:X>'))
    assert f'_:9a <http://e.test/p> "{text.replace("&#100;", "d")}" .' in document.lines()


def test_xml_entities_cannot_make_a_small_document_huge() -> None:
    entities = '<!ENTITY a0 "aaaaaaaaaa">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    with pytest.raises(BadInput, match="amplification"):
        read_document(rdfxml('<e:X rdf:about="http://a.test/"><e:p>&a9;</e:p></e:X>', f"<!DOCTYPE r [{entities}]>"))


def test_names_of_xmls_fifth_edition_are_read() -> None:
    assert (
        '\u9fa6> "x"'
        in read_document(rdfxml('<e:X rdf:about="http://a.test/"><e:\u9fa6>x</e:\u9fa6></e:X>')).lines()[1]
    )


def test_deep_xml_is_refused_with_its_place() -> None:
    """The RDF parser needs quadratic time for it."""
    nested = "<e:X><e:p>" * 100_000 + "</e:p></e:X>" * 100_000
    with pytest.raises(BadInput, match="nested over 1000 deep") as caught:
        read_document(rdfxml(nested))
    assert caught.value.place == "line 3, column 4996"


def test_a_term_that_the_parser_has_no_room_for_is_bad_input() -> None:
    with pytest.raises(BadInput, match="a term of over 16 MiB"):
        read_document(b'<a:s> <a:p> "' + b"x" * (17 << 20) + b'" .')


def test_an_external_xml_entity_is_not_fetched() -> None:
    doctype = '<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
    with pytest.raises(BadInput):
        read_document(rdfxml('<e:X rdf:about="http://a.test/"><e:p>&a;</e:p></e:X>', doctype))


def test_prefixes_cannot_make_a_small_document_huge() -> None:
    data = b"@prefix a: <http://a.test/" + b"x" * 10_000 + b"> .\n" + b"a:s a:p a:o .\n" * 1000
    with pytest.raises(BadInput, match="over 1000000 bytes as N-Triples"):
        read_document(data, TURTLE, max_text_bytes=1_000_000)


def test_prefixes_of_the_document_are_kept() -> None:
    assert read_document(b"@prefix e: <http://e.test/> .\ne:s e:p e:o .", TURTLE).prefixes == {"e": "http://e.test/"}


# Statements that end lines, and everything that can look like such an end or change what follows.
PIECES = [
    "e:s e:p e:o .\n",
    'e:s e:p "a" ;\n  e:q "b", 5 .\n\n',
    "e:s e:p [ e:q e:r ] .\n",
    "e:s e:p [ e:q\n 1 ; # . \n e:r 2 ] .\n",
    "[ e:p [ e:q ( 1 [ ] [ e:q 2 ] ) ] ] .\n",
    "[ e:p [] ] e:q [] .\n",
    "_:a e:p _:b .\n",
    "_:a.b e:p e:c.d .\n",
    "e:s e:p ( 1 _:a ) .\n",
    'e:s e:p """a .\nb""" .\n',
    "e:s e:p '''# .\n''' .\n",
    "e:s e:p 'it\\'s .\\n \\u0022 \\U0001F600 \\\\' .\n",
    "e:s e:p e:o\\#\\. .\r\n",
    "e:s e:p e:o . # e:x e:y e:z .\n",
    "e:s e:p # .\n e:o .\n",
    '# e:s e:p "a .\n',
    "# e:s e:p 5 .\r e:s e:p 6 .\n",
    "<http://e.test/#a> e:p <http://e.test/#b> .\n",
    "e:s e:p \"# .\", '@prefix' .\n",
    "@prefix e: <http://f.test/> .\n",
    "@prefix e: <http://f.test/> . [] e:p 1 .\n",
    "PREFIX e: <http://g.test/>\n",
    "PREFIX # .\n e: <http://j.test/>\n",
    "# x .\rPREFIX e: <http://k.test/>\n",
    "prefix\ne:\n<http://l.test/>\n",
    "e:s e:p e:base . prefix e: <http://h.test/> e:s e:p e:o .\n",
    'e:s e:p "base".prefix e: <http://m.test/>e:s e:p e:o .\n',
    "# x\nBase <http://i.test/>\n",
    "VERSION '1.2' base <http://n.test/> <s> e:p <o> .\n",
    "<r> e:prefix 'base \"x' .\n",
    "e:s e:p 1 . e:s e:p 2 .\n",
    "e:s e:p 1.e:s e:p 2.\n",
    # What only the lenient parser takes: it lets strings and IRIs run over lines.
    'e:s e:p "x"@zh-classical .\n',
    'e:s e:p "a .\n',
    'e:s e:p e:o, "b" .\n',
    "<http://e.test/a .\n",
    "e:s e:p e:o",
    " .\n",
    ".",
    '"',
    "#",
    "[",
    "]",
    "\r",
    "oops .\n",
]

HEADS = [
    "@prefix e: <http://e.test/> .\n@base <http://b.test/> .\n",
    "prefix e: <e:> ",
    "@prefix e: <http://e.test/> .\n",
    "@prefix f: <http://f.test/> .\n@prefix e: <http://e.test/> .\n",
    "@prefix e: <http://f.test/> .\n",
    "@prefix e: <http://f.test/> .\n@prefix e: <http://e.test/> .\n",
    "@base <http://c.test/> .\n@prefix e: <http://e.test/> .\n",
    "@prefix f: <http://f.test/> .\n",
]


def expected_of(source: bytes) -> list[str] | tuple[str, str]:
    """The lines of a document read alone, or the error and its place."""
    try:
        return label_by_content(read_document(source, TURTLE).lines())
    except BadInput as error:
        return str(error), error.place


def check_together(sides: list[bytes]) -> None:
    expected = [expected_of(side) for side in sides]
    faults = [each for each in expected if isinstance(each, tuple)]
    if faults:
        with pytest.raises(BadInput) as caught:
            read_pair(sides[0], sides[1], TURTLE)
        assert (str(caught.value), caught.value.place) == faults[0]
    else:
        assert [label_by_content(side.lines()) for side in read_pair(sides[0], sides[1], TURTLE)] == expected


@settings(deadline=None, max_examples=400)
@given(st.lists(st.sampled_from(PIECES), max_size=6), st.data())
def test_two_versions_are_read_together_as_one_by_one(pieces: list[str], data: st.DataObject) -> None:
    other = list(pieces)
    for _ in range(data.draw(st.integers(0, 2))):
        other.insert(data.draw(st.integers(0, len(other))), data.draw(st.sampled_from(PIECES)))
    if len(other) and data.draw(st.booleans()):
        del other[data.draw(st.integers(0, len(other) - 1))]
    if data.draw(st.booleans()):
        other = data.draw(st.permutations(other))
    heads = [data.draw(st.sampled_from(HEADS))] * 2
    if data.draw(st.booleans()):
        heads[1] = data.draw(st.sampled_from(HEADS))
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    sides = [f"{head}{''.join(each)}" for head, each in zip(heads, (pieces, other), strict=True)]
    check_together([side.replace("\n", end).encode() for side in sides])


@pytest.mark.parametrize(
    "change",
    [
        "e:s e:p 2 . # c\rPREFIX e: <http://f.test/>\n",
        "PREFIX # c\n e: <http://f.test/>\n",
        "e:s e:p 'x'.base <http://f.test/>\n",
        "e:s e:p 'x'@zh-classical, \"a .\ne:s e:p 2 .\n\" .\n",
    ],
)
def test_a_change_of_what_follows_is_seen_by_the_statements_that_follow(change: str) -> None:
    head, tail = "@prefix e: <http://e.test/> .\n@base <http://b.test/> .\n", "e:s e:p 1 .\n<s> e:p 3 .\n"
    check_together([f"{head}{tail}".encode(), f"{head}{change}{tail}".encode()])


@pytest.mark.parametrize("long", [b"#", b"\n", b" ", b"#\n", b"\r", b". ", b"@"])
def test_versions_are_divided_in_linear_time(long: bytes) -> None:
    """Where an expression took quadratic time, a megabyte took an hour."""
    start = b"@prefix e: <http://e.test/> .\ne:s e:p 1 .\n"
    middle = long * 1_000_000 if long in (b"\n", b" ", b"\r") else b"# " + long * 1_000_000
    pair = read_pair(start + middle + b"\ne:s e:p 2 .\n", start + middle + b"\ne:s e:p 3 .\n", TURTLE)
    assert [len(side.lines()) for side in pair] == [2, 2]


@pytest.mark.parametrize("body", ["e:s e:p 1 .\n", "e:s f:p 1 .\n", "<s> e:p 1 .\n"])
def test_versions_with_other_directives_are_read_as_one_by_one(body: str) -> None:
    for old, new in itertools.product(HEADS, repeat=2):
        check_together([f"{old}{body}{body.replace('1', '2')}".encode(), f"{new}{body}".encode()])


def test_versions_that_declare_other_prefixes_are_read_together_and_keep_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = "@prefix e: <http://e.test/> .\n"
    shared = "e:s e:p 1 .\n"
    old, new = f"{both}{shared}".encode(), f"{both}@prefix f: <http://f.test/> .\n{shared}e:s f:p 2 .\n".encode()
    expected = [read_document(side, TURTLE) for side in (old, new)]
    monkeypatch.delattr(versions, "read_document")
    pair = read_pair(old, new, TURTLE)
    assert [(sorted(side.lines()), side.prefixes) for side in pair] == [
        (sorted(side.lines()), side.prefixes) for side in expected
    ]


@settings(deadline=None, max_examples=40)
@given(graphs, graphs)
def test_two_versions_in_ntriples_are_read_together_as_one_by_one(old: list[str], new: list[str]) -> None:
    sides = ["\n".join(lines).encode() for lines in (old, [*old[::2], *new, "# end"])]
    pair = read_pair(sides[0], sides[1], N_TRIPLES)
    assert [set(each.lines()) for each in pair] == [set(read_document(side, N_TRIPLES).lines()) for side in sides]
