"""Full exports: what an entity refers to is described; and the facts about Wikidata that JSON does not tell."""

from __future__ import annotations

import pickle
from typing import Any

import pyoxigraph
from hypothesis import given, settings

from tests.unit.rdf.entities import items
from wbd.rdf.definitions import datatype_iri
from wbd.rdf.mapping import MappingContext, map_entity
from wbd.rdf.stubs import entity_type, map_with_stubs, mentioned
from wbd.rdf.vocabulary import Namespaces, Vocabulary
from wbd.rdf.wikidata import UNITS, property_facts, units_from_config

WD = "http://www.wikidata.org/entity/"
CONTEXT = MappingContext.wikidata({"P1": "wikibase-item"})


def described(entity_id: str) -> dict[str, Any] | None:
    if entity_id == "Q2":
        return None
    return {"labels": {"en": {"language": "en", "value": f"label of {entity_id}"}}, "datatype": "string"}


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
    lexeme = {
        "type": "lexeme",
        "id": "L1",
        "lemmas": [],
        "language": "Q10",
        "lexicalCategory": "Q11",
        "forms": [{"id": "L1-F1", "representations": [], "grammaticalFeatures": ["Q12"], "claims": []}],
        "senses": [],
        "claims": {
            "P1": [
                {
                    "id": "L1$a",
                    "rank": "normal",
                    "mainsnak": {
                        "snaktype": "value",
                        "property": "P1",
                        "datavalue": {"type": "wikibase-entityid", "value": {"id": "L1-F1", "entity-type": "form"}},
                    },
                }
            ]
        },
    }
    assert mentioned(lexeme) == ["P1", "Q10", "Q11", "Q12"]


def test_the_type_of_an_entity_follows_from_its_id() -> None:
    ids = ("Q1", "P1", "L1", "L1-F2", "L1-S2", "other:Q1", "M1", "X1")
    expected = ["item", "property", "lexeme", "form", "sense", "item", "mediainfo", None]
    assert [entity_type(entity_id) for entity_id in ids] == expected


def test_datatypes_have_iris() -> None:
    names = ("external-id", "commonsMedia", "wikibase-item", "globe-coordinate", "monolingualtext")
    assert [datatype_iri(name).partition("#")[2] for name in names] == [
        "ExternalId",
        "CommonsMedia",
        "WikibaseItem",
        "GlobeCoordinate",
        "Monolingualtext",
    ]


def test_the_pattern_of_an_identifier_is_its_propertys_best_statement() -> None:
    def says(value: str, rank: str) -> dict[str, Any]:
        return {"rank": rank, "mainsnak": {"snaktype": "value", "datavalue": {"type": "string", "value": value}}}

    patterns = [says("a", "deprecated"), says("b", "normal"), says("c", "preferred")]
    entity = {"datatype": "external-id", "claims": {"P1921": patterns}}
    assert property_facts(entity) == ("external-id", "c")
    assert property_facts({**entity, "claims": {"P1921": patterns[:1]}}) == ("external-id", None)
    assert property_facts({"datatype": "string", "claims": []}) == ("string", None)


def test_unit_conversions_are_read_from_wikibases_file() -> None:
    config = {
        "Q1": {"factor": "1000", "unit": "Q2", "label": "x"},
        "Q3": {"factor": "0.0", "unit": "Q2"},
        "Q4": {"factor": "-1", "unit": "Q2"},
    }
    assert units_from_config(config, "http://a.test/") == {"http://a.test/Q1": ("1000", "http://a.test/Q2")}


def test_standard_units_convert_to_themselves() -> None:
    assert all(UNITS[standard] == ("1", standard) for _, standard in UNITS.values())


def test_namespaces_hang_on_the_entity_base_without_its_last_part() -> None:
    assert Namespaces.of("http://a.test/entity/").wdt == "http://a.test/prop/direct/"
    assert Namespaces.of("http://a.test/entity/").wds == "http://a.test/entity/statement/"
    assert Namespaces.of("http://a.test/").psv == "http://a.test/prop/statement/value/"
    assert Vocabulary.wikidata().prefixes["data"] == "https://www.wikidata.org/wiki/Special:EntityData/"


def test_a_context_can_be_sent_to_another_process() -> None:
    entity = {"type": "item", "id": "Q1", "labels": {"en": {"language": "en", "value": "x"}}}
    map_entity(entity, CONTEXT)
    copy = pickle.loads(pickle.dumps(CONTEXT))  # noqa: S301 (our own bytes)
    assert map_entity(entity, copy) == map_entity(entity, CONTEXT)
