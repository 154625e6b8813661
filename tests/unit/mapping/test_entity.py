"""The mapping of whole entities: every line parses, names follow from content, bad JSON has a place."""

from __future__ import annotations

import copy
from typing import Any

import pyoxigraph
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.build.entities import KILOMETRE, METRE, datavalue, items
from wbd.errors import BadEntity
from wbd.mapping.entity import TRUTHY, MappingContext, map_entity
from wbd.mapping.vocabulary import Vocabulary

UNITS = {METRE: ("1", METRE), KILOMETRE: ("1000", METRE)}
CONTEXT = MappingContext(formatter_uris={"P7": "http://ids.test/$1"}, units=UNITS)
WD = "http://www.wikidata.org/entity/"


def parsed(lines: list[str]) -> set[str]:
    text = "\n".join(lines).encode()
    quads = pyoxigraph.parse(text, format=pyoxigraph.RdfFormat.N_TRIPLES, lenient=True)
    return {f"{quad.triple} ." for quad in quads}


def item(**parts: Any) -> dict[str, Any]:
    return {"type": "item", "id": "Q1", **parts}


def statement(property_id: str, value: dict[str, Any] | None, datatype: str, **parts: Any) -> dict[str, Any]:
    main: dict[str, Any] = {"snaktype": "value", "property": property_id, "datatype": datatype, "datavalue": value}
    if value is None:
        main = {"snaktype": "somevalue", "property": property_id, "datatype": datatype}
    return {"id": "Q1$a", "type": "statement", "rank": "normal", "mainsnak": main, **parts}


@settings(deadline=None, max_examples=30)
@given(items())
def test_every_line_is_one_canonical_triple_and_none_comes_twice(entity: dict[str, Any]) -> None:
    lines = map_entity(entity, CONTEXT)
    assert len(parsed(lines)) == len(lines) == len(set(lines))
    # Language tags are the one thing that the parser folds.
    assert {line.lower() for line in parsed(lines)} == {line.lower() for line in lines}


@settings(deadline=None, max_examples=20)
@given(items())
def test_mapping_leaves_the_entity_as_it_was_and_repeats_itself(entity: dict[str, Any]) -> None:
    before = copy.deepcopy(entity)
    assert map_entity(entity, CONTEXT) == map_entity(
        before, MappingContext(units=UNITS, formatter_uris={"P7": "http://ids.test/$1"})
    )
    assert entity == before


def test_only_best_statements_are_truthy() -> None:
    ranks = {"a": "preferred", "b": "normal", "c": "deprecated"}
    group = [
        statement("P2", datavalue("string", name), "string", id=f"Q1${name}", rank=rank) for name, rank in ranks.items()
    ]
    lines = map_entity(item(claims={"P2": group}), CONTEXT)
    assert [line for line in lines if "/prop/direct/" in line] == [f'<{WD}Q1> <{WD[:-7]}prop/direct/P2> "a" .']
    assert [line.split()[0] for line in lines if line.endswith("BestRank> .")] == [f"<{WD}statement/Q1-a>"]
    alone = map_entity(item(claims={"P2": group[2:]}), CONTEXT)
    assert not [line for line in alone if "/prop/direct/" in line or "BestRank" in line]


def test_an_unknown_value_has_one_label_in_every_export_and_another_for_every_place() -> None:
    somewhere = statement("P2", None, "string", qualifiers={"P2": [{"snaktype": "somevalue", "property": "P2"}]})
    lines = map_entity(item(claims={"P2": [somewhere]}), CONTEXT)
    labels = {line.split()[2] for line in lines if " _:" in line}
    assert len(labels) == 3
    assert lines == map_entity(item(claims={"P2": [somewhere]}), MappingContext())


def test_a_date_of_an_old_revision_has_the_value_node_of_today() -> None:
    value = {"time": "+2013-00-00T00:00:00Z", "timezone": 0, "before": 0, "after": 0, "precision": 9}
    value["calendarmodel"] = f"{WD}Q1985727"
    new = item(claims={"P3": [statement("P3", datavalue("time", value), "time")]})
    old = copy.deepcopy(new)
    old["claims"]["P3"][0]["mainsnak"]["datavalue"]["value"]["time"] = "+00000002013-00-00T00:00:00Z"
    assert map_entity(old, CONTEXT) == map_entity(new, CONTEXT)


def test_a_quantity_is_linked_to_its_form_in_standard_units() -> None:
    value = datavalue("quantity", {"amount": "+2", "unit": KILOMETRE})
    lines = map_entity(item(claims={"P4": [statement("P4", value, "quantity")]}), CONTEXT)
    assert sum("quantityNormalized" in line for line in lines) == 2
    assert sum('quantityAmount> "+2000"' in line for line in lines) == 1
    assert sum("value-normalized/P4" in line for line in lines) == 1


def test_an_unknown_datatype_has_the_form_of_its_value() -> None:
    group = [statement("P2", datavalue("string", "x"), "no-such-datatype")]
    assert f'<{WD}Q1> <{WD[:-7]}prop/direct/P2> "x" .' in map_entity(item(claims={"P2": group}), CONTEXT)
    unknown = [statement("P2", {"type": "new", "value": {"a": 1}}, "new")]
    lines = map_entity(item(claims={"P2": unknown}), CONTEXT)
    assert any("/entity/statement/Q1-a" in line for line in lines)
    assert not any("/prop/direct/" in line for line in lines)


def test_a_broken_value_leaves_its_statement_and_a_note_in_each_place() -> None:
    """A time without before, a value of an unknown type, and one that is null: one note each, two for a best value."""
    time = datavalue("time", {"time": "+2013-01-02T00:00:00Z", "timezone": 0, "after": 0, "precision": 11})
    parts = {
        "qualifiers": {"P2": [{"snaktype": "value", "property": "P2", "datavalue": {"type": "new", "value": "x"}}]},
        "references": [
            {"hash": "a" * 40, "snaks": {"P4": [{"snaktype": "value", "property": "P4", "datavalue": None}]}}
        ],
    }
    lines = map_entity(item(claims={"P3": [statement("P3", time, "time", **parts)]}), CONTEXT)
    node, comment = f"<{WD}statement/Q1-a>", "<http://www.w3.org/2000/01/rdf-schema#comment>"
    notes = {line for line in lines if "ignore" in line}
    assert notes == {
        f'<{WD}Q1> {comment} "broken wdt:P3 triple, please ignore"@en .',
        f'{node} {comment} "broken ps:P3 triple, please ignore"@en .',
        f'{node} {comment} "broken pq:P2 triple, please ignore"@en .',
        f'<{WD[:-7]}reference/{"a" * 40}> {comment} "broken pr:P4 triple, please ignore"@en .',
    }
    assert f"<{WD}Q1> <{WD[:-7]}prop/P3> {node} ." in lines
    assert any(line.startswith(node) and line.endswith("#NormalRank> .") for line in lines)
    assert any(line.startswith(node) and line.endswith("#BestRank> .") for line in lines)
    assert not any("prop/statement/P3>" in line or "/value/" in line for line in lines)


def test_a_value_of_an_unknown_repository_is_broken() -> None:
    group = [statement("P1", datavalue("wikibase-entityid", {"id": "other:Q7"}), "wikibase-item")]
    assert any("broken ps:P1" in line for line in map_entity(item(claims={"P1": group}), CONTEXT))


def test_empty_terms_are_dropped_and_aliases_trimmed() -> None:
    texts = {
        "labels": {"en": {"language": "en", "value": ""}, "de": {"language": "de", "value": " a "}},
        "aliases": {"en": [{"language": "en", "value": text} for text in ("", "\0 b\n", " \t")]},
    }
    lines = [line for line in map_entity(item(**texts), CONTEXT) if '"@' in line]
    assert {line.split("> ", 2)[2] for line in lines} == {'" a "@de .', '"b"@en .'}
    assert sum('"b"@en' in line for line in lines) == 1


def test_a_reference_without_snaks_is_dropped() -> None:
    empties: list[Any] = [{}, [], {"P2": []}]
    for empty in empties:
        group = [statement("P2", datavalue("string", "x"), "string", references=[{"hash": "b" * 40, "snaks": empty}])]
        assert not any("b" * 40 in line for line in map_entity(item(claims={"P2": group}), CONTEXT))


def test_a_value_out_of_range_leaves_its_statement() -> None:
    value = {"time": "+2013-13-40T00:00:00Z", "timezone": 0, "before": 0, "after": 0, "precision": 9}
    value["calendarmodel"] = f"{WD}Q1985727"
    lines = map_entity(item(claims={"P3": [statement("P3", datavalue("time", value), "time")]}), CONTEXT)
    assert any(line.endswith("#Statement> .") for line in lines)
    assert not any("/value/" in line or "/prop/direct/" in line for line in lines)


def test_empty_maps_may_be_php_arrays() -> None:
    empty = item(labels=[], descriptions=[], aliases=[], claims=[], sitelinks=[])
    assert map_entity(empty, CONTEXT) == map_entity(item(), CONTEXT)


def test_the_revision_given_wins_over_the_entitys_own() -> None:
    entity = item(lastrevid=5, modified="2020-01-01T00:00:00Z")
    text = "\n".join(map_entity(entity, CONTEXT, revision_id=9, modified="2024-02-03T04:05:06Z"))
    assert '"9"' in text and '"5"' not in text and "2024-02-03T04:05:06Z" in text and "2020" not in text


def test_a_redirect_is_one_triple() -> None:
    assert map_entity({"entity": "Q1", "redirect": "Q2"}, CONTEXT) == [
        f"<{WD}Q1> <http://www.w3.org/2002/07/owl#sameAs> <{WD}Q2> ."
    ]


def test_an_entity_of_a_foreign_repository_is_named_by_its_base() -> None:
    vocabulary = Vocabulary(
        entity_base="http://own.test/entity/",
        data_base="http://own.test/data/",
        foreign={"other": "http://other.test/entity/"},
    )
    value = datavalue("wikibase-entityid", {"id": "other:Q7", "entity-type": "item"})
    group = [statement("other:P1", value, "wikibase-item")]
    lines = map_entity(item(claims={"other:P1": group}), MappingContext(vocabulary=vocabulary))
    assert "<http://own.test/entity/Q1> <http://other.test/prop/direct/P1> <http://other.test/entity/Q7> ." in lines


def test_the_truthy_flavour_has_no_statement_nodes() -> None:
    group = [statement("P2", datavalue("string", "x"), "string")]
    lines = map_entity(item(claims={"P2": group}), MappingContext(flavour=TRUTHY))
    assert any("/prop/direct/P2" in line for line in lines)
    assert not any("statement" in line for line in lines)


def test_a_property_defines_its_predicates() -> None:
    lines = map_entity({"type": "property", "id": "P5", "datatype": "external-id", "labels": []}, CONTEXT)
    text = "\n".join(lines)
    assert f"<{WD}P5> <http://wikiba.se/ontology#propertyType> <http://wikiba.se/ontology#ExternalId> ." in lines
    assert text.count("#ObjectProperty>") == 8 and text.count("#DatatypeProperty>") == 4
    assert len(parsed(lines)) == len(lines)


def test_a_lexeme_has_forms_and_senses() -> None:
    lexeme = {
        "type": "lexeme",
        "id": "L1",
        "lemmas": {"en": {"language": "en", "value": "run"}},
        "language": "Q1860",
        "lexicalCategory": "Q24905",
        "claims": [],
        "forms": [
            {
                "id": "L1-F1",
                "representations": {"en": {"language": "en", "value": "runs"}},
                "grammaticalFeatures": ["Q1"],
                "claims": [],
            }
        ],
        "senses": [{"id": "L1-S1", "glosses": {"en": {"language": "en", "value": "to move fast"}}, "claims": []}],
    }
    text = "\n".join(map_entity(lexeme, CONTEXT))
    for part in (
        "ontolex#LexicalEntry",
        "ontolex#lexicalForm",
        "ontolex#sense",
        "grammaticalFeature",
        "core#definition",
    ):
        assert part in text
    assert "<http://purl.org/dc/terms/language>" in text and "#identifiers" not in text


@pytest.mark.parametrize("part", ["forms", "senses"])
def test_only_lexemes_have_forms_and_senses(part: str) -> None:
    entity = {"type": "property", "datatype": "string", "id": "P2"}
    odd = {**entity, part: {"en": {"language": "en", "value": "x"}}}
    assert map_entity(odd, CONTEXT) == map_entity(entity, CONTEXT)


def test_media_have_captions_and_statements_under_their_own_name() -> None:
    media = {
        "type": "mediainfo",
        "id": "M1",
        "labels": {"en": {"language": "en", "value": "a cat"}},
        "descriptions": [],
        "statements": {"P2": [statement("P2", datavalue("string", "x"), "string")]},
    }
    text = "\n".join(map_entity(media, CONTEXT))
    for part in (
        "ontology#Mediainfo>",
        "<http://schema.org/MediaObject>",
        '<http://schema.org/caption> "a cat"@en',
        'rdf-schema#label> "a cat"@en',
        'prop/direct/P2> "x"',
        'ontology#statements> "1"',
    ):
        assert part in text
    assert "prefLabel" not in text and "#sitelinks>" not in text


@pytest.mark.parametrize(
    "value",
    [
        datavalue("wikibase-entityid", {"entity-type": "entity-schema", "id": "E10"}),
        datavalue("string", "E10"),
    ],
    ids=["entity id", "string"],
)
def test_an_entity_schema_is_an_iri_however_its_snak_names_it(value: dict[str, Any]) -> None:
    entity = item(claims={"P12": [statement("P12", value, "entity-schema")]})
    assert f"<{WD}Q1> <http://www.wikidata.org/prop/direct/P12> <{WD}E10> ." in map_entity(entity, CONTEXT)


def test_a_name_that_is_no_entity_schema_stays_text() -> None:
    entity = item(claims={"P12": [statement("P12", datavalue("string", "E10 > x"), "entity-schema")]})
    text = "\n".join(map_entity(entity, CONTEXT))
    assert 'prop/direct/P12> "E10 > x" .' in text


def broken(path: list[Any], value: Any) -> dict[str, Any]:
    """A sound item with one value put in, or taken out where it is the marker KeyError."""
    quantity = datavalue("quantity", {"amount": "+1", "unit": "1"})
    entity = item(
        labels={"en": {"language": "en", "value": "x"}},
        aliases={"en": [{"language": "en", "value": "y"}]},
        sitelinks={"enwiki": {"site": "enwiki", "title": "X", "badges": []}},
        claims={
            "P4": [
                statement(
                    "P4",
                    quantity,
                    "quantity",
                    qualifiers={"P4": [{"snaktype": "value", "property": "P4", "datavalue": copy.deepcopy(quantity)}]},
                    references=[{"snaks": {"P4": [{"snaktype": "novalue", "property": "P4"}]}}],
                )
            ]
        },
    )
    holder: Any = entity
    for step in path[:-1]:
        holder = holder[step]
    if value is KeyError:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return entity


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (["id"], KeyError, "id"),
        (["id"], "x", "id"),
        (["id"], 42, "id"),
        (["type"], KeyError, "type"),
        (["labels"], "x", "labels"),
        (["labels"], ["x"], "labels"),
        (["labels", "en"], "x", "labels.en"),
        (["labels", "en", "value"], 7, "labels.en.value"),
        (["labels", "en", "language"], KeyError, "labels.en.language"),
        (["aliases", "en"], {"language": "en"}, "aliases.en"),
        (["aliases", "en", 0], None, "aliases.en[0]"),
        (["sitelinks", "enwiki", "title"], None, "sitelinks.enwiki.title"),
        (["sitelinks", "enwiki", "badges"], ["x"], "sitelinks.enwiki.badges[0]"),
        (["claims"], 5, "claims"),
        (["claims", "P4"], {"a": 1}, "claims.P4"),
        (["claims", "P4", 0], [], "claims.P4[0]"),
        (["claims", "P4", 0, "id"], KeyError, "claims.P4[0].id"),
        (["claims", "P4", 0, "rank"], "best", "claims.P4[0].rank"),
        (["claims", "P4", 0, "mainsnak"], KeyError, "claims.P4[0].mainsnak"),
        (["claims", "P4", 0, "mainsnak", "snaktype"], "maybe", "claims.P4[0].mainsnak.snaktype"),
        (["claims", "P4", 0, "mainsnak", "property"], "P4> <x", "claims.P4[0].mainsnak.property"),
        (["claims", "P4", 0, "qualifiers", "P4", 0], 0, "claims.P4[0].qualifiers.P4[0]"),
        (["claims", "P4", 0, "references", 0, "snaks"], KeyError, "claims.P4[0].references[0].snaks"),
        (["claims", "P4", 0, "references"], "x", "claims.P4[0].references"),
    ],
)
def test_malformed_json_is_refused_with_its_place(path: list[Any], value: Any, place: str) -> None:
    with pytest.raises(BadEntity) as caught:
        map_entity(broken(path, value), CONTEXT)
    assert caught.value.place == place


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_whatever_is_put_into_an_entity_it_maps_or_is_a_bad_entity(data: st.DataObject) -> None:
    entity = data.draw(items())
    holder: Any = entity
    for _ in range(data.draw(st.integers(1, 8))):
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            break
        key = data.draw(st.sampled_from(keys))
        if not isinstance(holder[key], dict | list) or data.draw(st.integers(0, 3)) == 0:
            holder[key] = data.draw(
                st.sampled_from([None, True, 0, -1, 1.5, "", "Q1", "x y", [], {}, [None], {"": None}])
            )
            break
        holder = holder[key]
    try:
        lines = map_entity(entity, CONTEXT)
    except BadEntity:
        return
    assert len(parsed(lines)) == len(lines)
