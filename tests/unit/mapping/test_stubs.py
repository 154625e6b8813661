"""Full exports: what an entity refers to is described; and the facts about Wikidata that JSON does not tell."""

from __future__ import annotations

import pickle
import re
from typing import Any

import pyoxigraph
import pytest
from hypothesis import given, settings

from tests.build.entities import items
from tests.build.wikibase import by_property, entity_value, item, lexeme, prop, snak, statement, terms, text
from wbd.entity.ids import mentioned_type
from wbd.mapping.definitions import datatype_iri
from wbd.mapping.entity import MappingContext, map_entity
from wbd.mapping.stubs import map_with_stubs, mentioned
from wbd.mapping.vocabulary import Namespaces, Vocabulary
from wbd.mapping.wikidata import UNITS, property_facts

WD = "http://www.wikidata.org/entity/"
CONTEXT = MappingContext.wikidata({"P1": "wikibase-item"})


def described(entity_id: str) -> dict[str, Any] | None:
    if entity_id == "Q2":
        return None
    return {"labels": terms(en=f"label of {entity_id}"), "datatype": "string"}


@settings(deadline=None, max_examples=15)
@given(items())
def test_a_full_export_holds_the_entity_and_a_stub_of_each_known_one(entity: dict[str, Any]) -> None:
    lines = map_with_stubs(entity, CONTEXT, described, ["Q9"])
    assert lines[: len(map_entity(entity, CONTEXT))] == map_entity(entity, CONTEXT)
    assert len(lines) == len(set(lines))
    assert f"<{WD}Q9> <http://www.w3.org/2002/07/owl#sameAs> <{WD}Q1> ." in lines
    for entity_id in mentioned(entity):
        label = f'<{WD}{entity_id}> <http://schema.org/name> "label of {entity_id}"@en .'
        assert (label in lines) == (entity_id != "Q2")
    list(pyoxigraph.parse("\n".join(lines).encode(), format=pyoxigraph.RdfFormat.N_TRIPLES, lenient=True))


def test_lexemes_mention_language_category_and_features_but_not_their_own_parts() -> None:
    noun = lexeme(
        language="Q10",
        lexicalCategory="Q11",
        forms=[{"id": "L1-F1", "representations": [], "grammaticalFeatures": ["Q12"], "claims": []}],
        claims=by_property(statement("L1$a", snak("P1", entity_value("L1-F1", "form")))),
    )
    assert mentioned(noun) == ["P1", "Q10", "Q11", "Q12"]


def test_the_type_of_an_entity_follows_from_its_id() -> None:
    ids = ("Q1", "P1", "L1", "L1-F2", "L1-S2", "other:Q1", "M1", "X1")
    expected = ["item", "property", "lexeme", "form", "sense", "item", "mediainfo", None]
    assert [mentioned_type(entity_id) for entity_id in ids] == expected


def test_datatypes_have_iris() -> None:
    names = ("external-id", "commonsMedia", "wikibase-item", "globe-coordinate", "monolingualtext", "entity-schema")
    assert [datatype_iri(name).partition("#")[2] for name in names] == [
        "ExternalId",
        "CommonsMedia",
        "WikibaseItem",
        "GlobeCoordinate",
        "Monolingualtext",
        "WikibaseEntitySchema",
    ]


def test_the_pattern_of_an_identifier_is_its_propertys_best_statement() -> None:
    def says(value: str, rank: str) -> dict[str, Any]:
        return statement("P5$a", snak("P1921", text(value)), rank=rank)

    patterns = [says("a", "deprecated"), says("b", "normal"), says("c", "preferred")]
    entity = {"datatype": "external-id", "claims": {"P1921": patterns}}
    assert property_facts(entity) == ("external-id", "c")
    assert property_facts({**entity, "claims": {"P1921": patterns[:1]}}) == ("external-id", None)
    assert property_facts({"datatype": "string", "claims": []}) == ("string", None)


def test_standard_units_convert_to_themselves() -> None:
    assert all(UNITS[standard] == ("1", standard) for _, standard in UNITS.values())


def test_namespaces_hang_on_the_entity_base_without_its_last_part() -> None:
    assert Namespaces.of("http://a.test/entity/").wdt == "http://a.test/prop/direct/"
    assert Namespaces.of("http://a.test/entity/").wds == "http://a.test/entity/statement/"
    assert Namespaces.of("http://a.test/").psv == "http://a.test/prop/statement/value/"
    assert Vocabulary.wikidata().prefixes["data"] == "https://www.wikidata.org/wiki/Special:EntityData/"


def test_a_context_can_be_sent_to_another_process() -> None:
    entity = item(labels=terms(en="x"))
    map_entity(entity, CONTEXT)
    copy = pickle.loads(pickle.dumps(CONTEXT))  # noqa: S301 (our own bytes)
    assert map_entity(entity, copy) == map_entity(entity, CONTEXT)


OBJECTS = ["commonsMedia", "geo-shape", "tabular-data", "url", "wikibase-item", "wikibase-property"]
VALUES = [
    "string",
    "external-id",
    "quantity",
    "time",
    "globe-coordinate",
    "monolingualtext",
    "math",
    "musical-notation",
]
OF_EXTENSIONS = ["wikibase-lexeme", "wikibase-form", "wikibase-sense", "entity-schema", "musical-notation", "no-such"]


@pytest.mark.parametrize("datatype", [*OBJECTS, *VALUES, *OF_EXTENSIONS])
def test_the_predicates_of_a_property_are_of_the_kind_of_its_values(datatype: str) -> None:
    kinds = {
        match[1]: match[2]
        for line in map_entity(prop("P5", datatype), CONTEXT)
        if (match := re.search(r"/prop/([a-z/-]*)P5> \S+type> <\S+owl#(\w+Property)>", line))
    }
    simple = "ObjectProperty" if datatype in OBJECTS else "DatatypeProperty"
    expected = dict.fromkeys(["", "statement/value/", "qualifier/value/", "reference/value/"], "ObjectProperty")
    expected |= dict.fromkeys(["direct/", "statement/", "qualifier/", "reference/"], simple)
    if datatype in ("quantity", "external-id"):
        nodes = ["statement/value-normalized/", "qualifier/value-normalized/", "reference/value-normalized/"]
        expected |= dict.fromkeys(nodes, "ObjectProperty")
        expected["direct-normalized/"] = "ObjectProperty" if datatype == "external-id" else "DatatypeProperty"
    assert kinds == expected
