"""The flavour of the query service's updater: the full form, triple by triple rewritten as that updater does it."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings

from tests.build.entities import items
from tests.build.munger import LABEL, RDF_TYPE, WIKIBASE, munged
from tests.build.wikibase import (
    KILOMETRE,
    METRE,
    by_property,
    item,
    lexeme,
    no_value,
    prop,
    reference,
    snak,
    statement,
    terms,
    time,
    unknown_value,
)
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
    lines = check(item(lastrevid=7, modified="2024-01-01T00:00:00Z"))
    assert sorted(line.split()[1].rpartition("/")[2] for line in lines) == sorted(
        ["version>", "dateModified>", "ontology#statements>", "ontology#sitelinks>", "ontology#identifiers>"]
    )
    assert all(line.startswith("<http://www.wikidata.org/entity/Q1> ") for line in lines)


def test_unknown_values_have_skolem_iris_on_the_host_of_the_entities() -> None:
    unknown = unknown_value("P2")
    claims = by_property(statement("Q1$a", unknown, references=[reference(unknown)]))
    lines = check(item(claims=claims), vocabulary=Vocabulary(entity_base="https://base.test:8181/entity/"))
    skolems = {term for line in lines for term in line.split() if "genid" in term}
    assert len(skolems) == 3
    assert all(re.fullmatch(r"<https://base\.test:8181/\.well-known/genid/[0-9a-f]{32}>", term) for term in skolems)
    assert not any("_:" in line for line in lines)


def test_types_that_tell_something_stay() -> None:
    main = snak("P3", time("+2013-01-01T00:00:00Z"))
    qualified = statement("Q1$a", main, qualifiers=by_property(no_value("P2")))
    lines = check(item(claims=by_property(qualified)))
    types = {re.split("[/#]", line)[-1] for line in lines if RDF_TYPE in line}
    assert types == {"BestRank> .", "TimeValue> .", "P2> ."}


def test_a_property_keeps_its_type_and_definition() -> None:
    lines = check(prop("P5", "quantity", labels=[]))
    text = "\n".join(lines)
    assert f"/P5> {RDF_TYPE} <{WIKIBASE}Property> ." in text and "owl#Restriction" in text and "_:" not in text


def test_lexemes_forms_and_senses_have_no_labels_and_only_their_ontolex_types() -> None:
    run = terms(en="run")
    forms = [{"id": "L1-F1", "representations": run, "grammaticalFeatures": ["Q1"]}]
    lines = check(lexeme(lemmas=run, forms=forms, senses=[{"id": "L1-S1", "glosses": run}]))
    types = sorted(line.rpartition("#")[2] for line in lines if RDF_TYPE in line)
    assert types == ["Form> .", "LexicalEntry> .", "LexicalSense> ."]
    assert not any(LABEL in line or f"{WIKIBASE}Form" in line for line in lines)
