"""Law of formats: parsing what was written gives exactly the triples that were there."""

from __future__ import annotations

import pyoxigraph
import pytest
from hypothesis import given, settings

from tests.build.graphs import graphs
from wbd.errors import BadInput
from wbd.mapping.vocabulary import Vocabulary
from wbd.rdf.formats import to_ntriples, to_rdfxml
from wbd.rdf.labels import label_by_content
from wbd.rdf.turtle import to_turtle

WIKIDATA = Vocabulary.wikidata()


def triples(text: str, syntax: pyoxigraph.RdfFormat) -> set[str]:
    return {f"{quad.triple} ." for quad in pyoxigraph.parse(text.encode(), format=syntax, lenient=True)}


@settings(deadline=None, max_examples=50)
@given(graphs)
def test_turtle_and_ntriples_hold_exactly_the_triples(lines: list[str]) -> None:
    assert triples(to_turtle(lines, WIKIDATA), pyoxigraph.RdfFormat.TURTLE) == set(lines)
    assert triples(to_ntriples(lines), pyoxigraph.RdfFormat.N_TRIPLES) == set(lines)


@settings(deadline=None, max_examples=50)
@given(graphs)
def test_rdfxml_holds_an_isomorphic_graph_or_says_that_it_cannot(lines: list[str]) -> None:
    try:
        text = to_rdfxml(lines)
    except BadInput:
        return
    assert label_by_content(triples(text, pyoxigraph.RdfFormat.RDF_XML)) == label_by_content(lines)


def test_turtle_declares_only_the_prefixes_that_it_uses() -> None:
    text = to_turtle(['<http://www.wikidata.org/entity/Q1> <http://schema.org/name> "x"@en .'], WIKIDATA)
    prefixes, _, triples_text = text.partition("\n\n")
    assert prefixes.splitlines() == [
        "@prefix schema: <http://schema.org/> .",
        "@prefix wd: <http://www.wikidata.org/entity/> .",
    ]
    assert triples_text == 'wd:Q1 schema:name "x"@en .\n'
    assert to_turtle([], WIKIDATA) == ""


def test_turtle_groups_by_subject_and_predicate() -> None:
    lines = [f"<http://a.test/s> <http://a.test/{p}> <http://a.test/{o}> ." for p in "pq" for o in "xy"]
    text = to_turtle(lines, WIKIDATA)
    assert text.count("<http://a.test/s>") == 1 and text.count("<http://a.test/p>") == 1


@pytest.mark.parametrize(
    "line",
    ["<http://a.test/s> <http://a.test/> <http://a.test/o> .", '<http://a.test/s> <http://a.test/p> "\\u0001" .'],
)
def test_what_rdfxml_cannot_hold_is_refused(line: str) -> None:
    with pytest.raises(BadInput, match="no RDF/XML form"):
        to_rdfxml([line])


@pytest.mark.parametrize("line", ["", "x", "<a> <b>", "<http://a b/> <http://p> <http://o> .", '<a> <b> "c"'])
def test_what_is_no_line_is_refused(line: str) -> None:
    with pytest.raises(BadInput):
        to_turtle([line], WIKIDATA)
