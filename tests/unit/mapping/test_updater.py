"""The flavour of the query service's updater: the full form, triple by triple rewritten as that updater does it."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings

from tests.build.entities import KILOMETRE, METRE, items
from tests.build.munger import LABEL, RDF_TYPE, WIKIBASE, munged
from wbd.mapping.context import UPDATER, Flavour
from wbd.mapping.entity import MappingContext, map_entity
from wbd.mapping.vocabulary import Vocabulary


def context(flavour: Flavour | None = None, **parts: Any) -> MappingContext:
    parts = {"formatter_uris": {"P7": "http://ids.test/$1"}, **parts}
    units = {METRE: ("1", METRE), KILOMETRE: ("1000", METRE)}
    return MappingContext(units=units, flavour=flavour or Flavour(), **parts)


def check(entity: dict[str, Any], **parts: Any) -> list[str]:
    full, updater = context(**parts), context(UPDATER, **parts)
    lines = map_entity(entity, updater)
    assert set(lines) == munged(map_entity(entity, full), entity["id"], full.vocabulary)
    assert len(lines) == len(set(lines))
    return lines


@settings(deadline=None, max_examples=40)
@given(items())
def test_an_item_is_the_full_form_rewritten(entity: dict[str, Any]) -> None:
    check(entity)


def test_facts_about_the_document_are_about_the_entity() -> None:
    entity = {"type": "item", "id": "Q1", "lastrevid": 7, "modified": "2024-01-01T00:00:00Z"}
    lines = check(entity)
    assert sorted(line.split()[1].rpartition("/")[2] for line in lines) == sorted(
        ["version>", "dateModified>", "ontology#statements>", "ontology#sitelinks>", "ontology#identifiers>"]
    )
    assert all(line.startswith("<http://www.wikidata.org/entity/Q1> ") for line in lines)


def test_unknown_values_have_skolem_iris_on_the_host_of_the_entities() -> None:
    snak = {"snaktype": "somevalue", "property": "P2"}
    statement = {"id": "Q1$a", "rank": "normal", "mainsnak": snak, "references": [{"snaks": {"P2": [snak]}}]}
    entity = {"type": "item", "id": "Q1", "claims": {"P2": [statement]}}
    lines = check(entity, vocabulary=Vocabulary(entity_base="https://base.test:8181/entity/"))
    skolems = {term for line in lines for term in line.split() if "genid" in term}
    assert len(skolems) == 3
    assert all(re.fullmatch(r"<https://base\.test:8181/\.well-known/genid/[0-9a-f]{32}>", term) for term in skolems)
    assert not any("_:" in line for line in lines)


def test_types_that_tell_something_stay() -> None:
    time = {"time": "+2013-01-01T00:00:00Z", "timezone": 0, "before": 0, "after": 0, "precision": 11}
    time["calendarmodel"] = "http://www.wikidata.org/entity/Q1985727"
    main = {"snaktype": "value", "property": "P3", "datavalue": {"type": "time", "value": time}}
    none = {"snaktype": "novalue", "property": "P2"}
    statement = {"id": "Q1$a", "rank": "normal", "mainsnak": main, "qualifiers": {"P2": [none]}}
    lines = check({"type": "item", "id": "Q1", "claims": {"P3": [statement]}})
    types = {re.split("[/#]", line)[-1] for line in lines if RDF_TYPE in line}
    assert types == {"BestRank> .", "TimeValue> .", "P2> ."}


def test_a_property_keeps_its_type_and_definition() -> None:
    lines = check({"type": "property", "id": "P5", "datatype": "quantity", "labels": []})
    text = "\n".join(lines)
    assert f"/P5> {RDF_TYPE} <{WIKIBASE}Property> ." in text and "owl#Restriction" in text and "_:" not in text


def test_lexemes_forms_and_senses_have_no_labels_and_only_their_ontolex_types() -> None:
    text = {"en": {"language": "en", "value": "run"}}
    lexeme = {
        "type": "lexeme",
        "id": "L1",
        "lemmas": text,
        "language": "Q1860",
        "lexicalCategory": "Q24905",
        "forms": [{"id": "L1-F1", "representations": text, "grammaticalFeatures": ["Q1"]}],
        "senses": [{"id": "L1-S1", "glosses": text}],
    }
    lines = check(lexeme)
    types = sorted(line.rpartition("#")[2] for line in lines if RDF_TYPE in line)
    assert types == ["Form> .", "LexicalEntry> .", "LexicalSense> ."]
    assert not any(LABEL in line or f"{WIKIBASE}Form" in line for line in lines)
