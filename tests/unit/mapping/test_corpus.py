"""The mapping against Wikibase's own exports; needs WBD_CORPUS, a folder of real input that is not part of wbd."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyoxigraph
import pytest

from tests.build.munger import munged
from wbd.diff.entities import diff_entities
from wbd.mapping.entity import UPDATER, Flavour, MappingContext, map_entity
from wbd.mapping.stubs import map_with_stubs
from wbd.mapping.vocabulary import Site, Vocabulary
from wbd.mapping.wikidata import FORMATTER_URIS, UNITS
from wbd.rdf.formats import to_rdfxml
from wbd.rdf.labels import label_by_content
from wbd.rdf.turtle import to_turtle, turtle_twin

CORPUS = Path(os.environ.get("WBD_CORPUS", "/nonexistent"))
pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="WBD_CORPUS names no folder of real input")

NT, TTL = pyoxigraph.RdfFormat.N_TRIPLES, pyoxigraph.RdfFormat.TURTLE


def parsed(data: bytes, syntax: pyoxigraph.RdfFormat) -> set[str]:
    return {f"{quad.triple} ." for quad in pyoxigraph.parse(data, format=syntax, lenient=True)}


def load(path: str) -> Any:
    return json.loads((CORPUS / path).read_bytes())


def formatter_uris(entity: dict[str, Any], theirs: set[str]) -> dict[str, str]:
    """Read the patterns of external ids, which entity JSON does not hold, off the export."""
    direct = re.compile(rf"<[^>]*/entity/{entity['id']}> <[^>]*/prop/direct-normalized/(P\d+)> <([^>]*)> \.")
    links = [match.groups() for line in theirs if (match := direct.fullmatch(line))]
    patterns = {}
    for name, link in links:
        for statement in entity["claims"][name]:
            value = statement["mainsnak"].get("datavalue", {}).get("value")
            if isinstance(value, str) and value in link:
                patterns[name] = link.replace(value, "$1")
    return patterns


# Q120248304.ttl names value nodes by hashes other than Wikibase's and leaves triples out, unlike the other four.
@pytest.mark.parametrize("name", ["L42", "Q17633526", "Q42", "Q51605722"])
def test_an_entity_is_what_wikidata_exports(name: str) -> None:
    entity = load(f"wikidata/json/{name}.json")["entities"][name]
    theirs = parsed((CORPUS / f"wikidata/ttl/{name}.ttl").read_bytes(), TTL)
    patterns = {**FORMATTER_URIS, **formatter_uris(entity, theirs)}
    context = MappingContext(formatter_uris=patterns, units=UNITS)
    mine = parsed("\n".join(map_entity(entity, context)).encode(), NT)
    assert not mine - theirs
    own = re.compile(
        rf"<(https://(?!www\.wikidata)|https://www\.wikidata\.org/wiki/Special:EntityData/|"
        rf"http://www\.wikidata\.org/(entity/{name}[->]|entity/statement/|value/|reference/))"
    )
    assert not {line for line in theirs - mine if own.match(line)}


@pytest.mark.parametrize("name", ["L42", "Q17633526", "Q42", "Q51605722"])
def test_with_stubs_it_is_the_whole_export(name: str) -> None:
    """The terms of other entities are read off the export; everything else about them is made here."""
    entity = load(f"wikidata/json/{name}.json")["entities"][name]
    data = (CORPUS / f"wikidata/ttl/{name}.ttl").read_bytes()
    keys = {
        "http://schema.org/name": "labels",
        "http://schema.org/description": "descriptions",
        "http://wikiba.se/ontology#lemma": "lemmas",
        "http://www.w3.org/2004/02/skos/core#definition": "glosses",
        "http://www.w3.org/ns/lemon/ontolex#representation": "representations",
    }
    others: dict[str, dict[str, Any]] = {}
    redirects = []
    for quad in pyoxigraph.parse(data, format=TTL, lenient=True):
        subject = getattr(quad.subject, "value", "").removeprefix("http://www.wikidata.org/entity/")
        known = others.setdefault(subject, {})
        if quad.predicate.value in keys and isinstance(quad.object, pyoxigraph.Literal):
            language, text = quad.object.language, quad.object.value
            known.setdefault(keys[quad.predicate.value], {})[language] = {"language": language, "value": text}
        if quad.predicate.value.endswith("#sameAs") and quad.object.value.endswith(f"/{name}"):
            redirects.append(subject)
    with (CORPUS / "wikidata/property-datatypes.csv").open(encoding="utf-8") as file:
        datatypes = dict(line.rstrip("\n").split(",") for line in file)
    theirs = parsed(data, TTL)
    patterns = {**FORMATTER_URIS, **formatter_uris(entity, theirs)}
    context = MappingContext(datatypes=datatypes, formatter_uris=patterns, units=UNITS)
    lines = map_with_stubs(entity, context, others.get, redirects)
    assert parsed("\n".join(lines).encode(), NT) == theirs


@pytest.mark.parametrize("name", ["L42", "Q17633526", "Q42", "Q51605722"])
def test_the_updater_flavour_is_wikidatas_export_rewritten(name: str) -> None:
    entity = load(f"wikidata/json/{name}.json")["entities"][name]
    theirs = parsed((CORPUS / f"wikidata/ttl/{name}.ttl").read_bytes(), TTL)
    patterns = {**FORMATTER_URIS, **formatter_uris(entity, theirs)}
    context = MappingContext(formatter_uris=patterns, units=UNITS)
    own = parsed("\n".join(map_entity(entity, context)).encode(), NT) & theirs
    context = MappingContext(formatter_uris=patterns, units=UNITS, flavour=UPDATER)
    mine = parsed("\n".join(map_entity(entity, context)).encode(), NT)
    assert mine == munged(own, name, context.vocabulary)


def cases() -> Iterator[dict[str, Any]]:
    if CORPUS.is_dir():
        yield from load("wikibase-rdf/cases.json")["cases"]


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case["entity"])
def test_wikibases_own_cases(case: dict[str, Any]) -> None:
    world = load("wikibase-rdf/cases.json")["environment"]
    sites = {name: Site(site["lang"], site["path"], site.get("group", "none")) for name, site in world["sites"].items()}
    context = MappingContext(
        vocabulary=Vocabulary(
            entity_base=world["entity_base"],
            data_base=world["data_base"],
            license=world["license"],
            foreign={"foreign": world["foreign_entity_base"]},
        ),
        sites=sites.get,
        datatypes=world["property_datatypes"],
        # Counts are page properties, which that test world does not have.
        flavour=Flavour(counts=False),
    )
    entity = load(f"wikibase-rdf/{case['entity']}")
    lines = map_entity(entity, context, revision_id=world["revision"], modified=world["modified"])
    expected = set()
    for path in case["expected_union_of"]:
        expected |= parsed((CORPUS / "wikibase-rdf" / path).read_bytes(), NT)
    assert parsed("\n".join(lines).encode(), NT) == expected


def test_one_changed_label_of_real_revisions_is_exactly_that() -> None:
    old, new = load("wikidata/revisions/Q1_110652822.json"), load("wikidata/revisions/Q1_110652868.json")
    change = diff_entities(old, new, MappingContext())
    for lines in (change.added, change.removed):
        assert sorted(re.sub(r".*[/#]", "", line.split()[1]) for line in lines) == [
            "dateModified>",
            "label>",
            "name>",
            "prefLabel>",
            "version>",
        ]


def test_a_real_dump_maps_and_survives_every_format() -> None:
    context, vocabulary = MappingContext(), Vocabulary.wikidata()
    with gzip.open(CORPUS / "dump/wikidata-50-lines.json.gz", "rt", encoding="utf-8") as dump:
        entities = [json.loads(line.rstrip(",\n")) for line in dump if line.strip() not in ("[", "]", "")]
    assert len(entities) == 49
    for entity in entities:
        lines = map_entity(entity, context)
        triples = parsed("\n".join(lines).encode(), NT)
        assert len(triples) == len(lines)
        if len(lines) < 2500:
            for order in (lines, sorted(lines)):
                written = to_turtle(order, vocabulary)
                assert written == turtle_twin(order, vocabulary) and parsed(written.encode(), TTL) == triples
            again = parsed(to_rdfxml(lines).encode(), pyoxigraph.RdfFormat.RDF_XML)
            assert label_by_content(again) == label_by_content(triples)


def test_hashes_that_real_json_holds_are_computed_alike() -> None:
    """Old revisions hold none: what is computed there must be what Wikibase would have written."""
    from wbd.mapping.statements import _snak_hash, reference_name

    checked = 0

    def walk(value: Any) -> None:
        nonlocal checked
        if isinstance(value, list):
            for member in value:
                walk(member)
        elif isinstance(value, dict):
            if "snaktype" in value and "hash" in value:
                assert _snak_hash({**value, "hash": None}) == value["hash"], value
                checked += 1
            if "snaks" in value and "hash" in value:
                assert reference_name({**value, "hash": None}) == value["hash"]
            for member in value.values():
                walk(member)

    for path in sorted((CORPUS / "wikidata/json").glob("*.json")):
        walk(json.loads(path.read_bytes()))
    assert checked > 1000
