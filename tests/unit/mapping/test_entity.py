"""The mapping of whole entities: every line parses, names follow from content, bad JSON has a place."""

from __future__ import annotations

import copy
from typing import Any

import pyoxigraph
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.build.entities import items
from tests.build.wikibase import (
    KILOMETRE,
    METRE,
    by_property,
    datavalue,
    entity_value,
    item,
    lexeme,
    no_value,
    prop,
    quantity,
    redirect,
    reference,
    sitelink,
    snak,
    statement,
    term,
    terms,
    text,
    time,
    unknown_value,
)
from wbd.errors import BadEntity
from wbd.mapping.entity import TRUTHY, MappingContext, map_entity
from wbd.mapping.vocabulary import Vocabulary

UNITS = {METRE: ("1", METRE), KILOMETRE: ("1000", METRE)}
CONTEXT = MappingContext(formatter_uris={"P7": "http://ids.test/$1"}, units=UNITS)
WD = "http://www.wikidata.org/entity/"


def parsed(lines: list[str]) -> set[str]:
    document = "\n".join(lines).encode()
    quads = pyoxigraph.parse(document, format=pyoxigraph.RdfFormat.N_TRIPLES, lenient=True)
    return {f"{quad.triple} ." for quad in quads}


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
        statement(f"Q1${name}", snak("P2", text(name), datatype="string"), rank=rank) for name, rank in ranks.items()
    ]
    lines = map_entity(item(claims={"P2": group}), CONTEXT)
    assert [line for line in lines if "/prop/direct/" in line] == [f'<{WD}Q1> <{WD[:-7]}prop/direct/P2> "a" .']
    assert [line.split()[0] for line in lines if line.endswith("BestRank> .")] == [f"<{WD}statement/Q1-a>"]
    alone = map_entity(item(claims={"P2": group[2:]}), CONTEXT)
    assert not [line for line in alone if "/prop/direct/" in line or "BestRank" in line]


def test_an_unknown_value_has_one_label_in_every_export_and_another_for_every_place() -> None:
    somewhere = statement("Q1$a", unknown_value("P2", datatype="string"), qualifiers=by_property(unknown_value("P2")))
    lines = map_entity(item(claims={"P2": [somewhere]}), CONTEXT)
    labels = {line.split()[2] for line in lines if " _:" in line}
    assert len(labels) == 3
    assert lines == map_entity(item(claims={"P2": [somewhere]}), MappingContext())


def test_a_date_of_an_old_revision_has_the_value_node_of_today() -> None:
    old, new = (
        item(claims=by_property(statement("Q1$a", snak("P3", time(stamp, 9), datatype="time"))))
        for stamp in ("+00000002013-00-00T00:00:00Z", "+2013-00-00T00:00:00Z")
    )
    assert map_entity(old, CONTEXT) == map_entity(new, CONTEXT)


def test_a_quantity_is_linked_to_its_form_in_standard_units() -> None:
    value = quantity("+2", KILOMETRE)
    lines = map_entity(item(claims={"P4": [statement("Q1$a", snak("P4", value, datatype="quantity"))]}), CONTEXT)
    assert sum("quantityNormalized" in line for line in lines) == 2
    assert sum('quantityAmount> "+2000"' in line for line in lines) == 1
    assert sum("value-normalized/P4" in line for line in lines) == 1


def test_an_unknown_datatype_has_the_form_of_its_value() -> None:
    group = [statement("Q1$a", snak("P2", text("x"), datatype="no-such-datatype"))]
    assert f'<{WD}Q1> <{WD[:-7]}prop/direct/P2> "x" .' in map_entity(item(claims={"P2": group}), CONTEXT)
    unknown = [statement("Q1$a", snak("P2", datavalue("new", {"a": 1}), datatype="new"))]
    lines = map_entity(item(claims={"P2": unknown}), CONTEXT)
    assert any("/entity/statement/Q1-a" in line for line in lines)
    assert not any("/prop/direct/" in line for line in lines)


def test_a_broken_value_leaves_its_statement_and_a_note_in_each_place() -> None:
    """A time without before, a value of an unknown type, and one that is null: one note each, two for a best value."""
    day = time("+2013-01-02T00:00:00Z")
    del day["value"]["before"]
    broken = statement(
        "Q1$a",
        snak("P3", day, datatype="time"),
        qualifiers=by_property(snak("P2", datavalue("new", "x"))),
        references=[reference(snak("P4", None), hash="a" * 40)],
    )
    lines = map_entity(item(claims=by_property(broken)), CONTEXT)
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
    group = [statement("Q1$a", snak("P1", entity_value("other:Q7"), datatype="wikibase-item"))]
    assert any("broken ps:P1" in line for line in map_entity(item(claims={"P1": group}), CONTEXT))


def test_empty_terms_are_dropped_and_aliases_trimmed() -> None:
    texts = {
        "labels": terms(en="", de=" a "),
        "aliases": {"en": [term(value) for value in ("", "\0 b\n", " \t")]},
    }
    lines = [line for line in map_entity(item() | texts, CONTEXT) if '"@' in line]
    assert {line.split("> ", 2)[2] for line in lines} == {'" a "@de .', '"b"@en .'}
    assert sum('"b"@en' in line for line in lines) == 1


def test_a_reference_without_snaks_is_dropped() -> None:
    empties: list[Any] = [{}, [], {"P2": []}]
    for empty in empties:
        main = snak("P2", text("x"), datatype="string")
        group = [statement("Q1$a", main, references=[{"hash": "b" * 40, "snaks": empty}])]
        assert not any("b" * 40 in line for line in map_entity(item(claims={"P2": group}), CONTEXT))


def test_a_value_out_of_range_leaves_its_statement() -> None:
    main = snak("P3", time("+2013-13-40T00:00:00Z", 9), datatype="time")
    lines = map_entity(item(claims=by_property(statement("Q1$a", main))), CONTEXT)
    assert any(line.endswith("#Statement> .") for line in lines)
    assert not any("/value/" in line or "/prop/direct/" in line for line in lines)


def test_empty_maps_may_be_php_arrays() -> None:
    empty = item(labels=[], descriptions=[], aliases=[], claims=[], sitelinks=[])
    assert map_entity(empty, CONTEXT) == map_entity(item(), CONTEXT)


def test_the_revision_given_wins_over_the_entitys_own() -> None:
    entity = item(lastrevid=5, modified="2020-01-01T00:00:00Z")
    output = "\n".join(map_entity(entity, CONTEXT, revision_id=9, modified="2024-02-03T04:05:06Z"))
    assert '"9"' in output and '"5"' not in output and "2024-02-03T04:05:06Z" in output and "2020" not in output


def test_a_redirect_is_one_triple() -> None:
    assert map_entity(redirect("Q1", "Q2"), CONTEXT) == [f"<{WD}Q1> <http://www.w3.org/2002/07/owl#sameAs> <{WD}Q2> ."]


def test_an_entity_of_a_foreign_repository_is_named_by_its_base() -> None:
    vocabulary = Vocabulary(
        entity_base="http://own.test/entity/",
        data_base="http://own.test/data/",
        foreign={"other": "http://other.test/entity/"},
    )
    value = entity_value("other:Q7")
    group = [statement("Q1$a", snak("other:P1", value, datatype="wikibase-item"))]
    lines = map_entity(item(claims={"other:P1": group}), MappingContext(vocabulary=vocabulary))
    assert "<http://own.test/entity/Q1> <http://other.test/prop/direct/P1> <http://other.test/entity/Q7> ." in lines


def test_the_truthy_flavour_has_no_statement_nodes() -> None:
    group = [statement("Q1$a", snak("P2", text("x"), datatype="string"))]
    lines = map_entity(item(claims={"P2": group}), MappingContext(flavour=TRUTHY))
    assert any("/prop/direct/P2" in line for line in lines)
    assert not any("statement" in line for line in lines)


def test_a_property_defines_its_predicates() -> None:
    lines = map_entity(prop("P5", "external-id", labels=[]), CONTEXT)
    output = "\n".join(lines)
    assert f"<{WD}P5> <http://wikiba.se/ontology#propertyType> <http://wikiba.se/ontology#ExternalId> ." in lines
    assert output.count("#ObjectProperty>") == 8 and output.count("#DatatypeProperty>") == 4
    assert len(parsed(lines)) == len(lines)


def test_a_lexeme_has_forms_and_senses() -> None:
    verb = lexeme(
        lemmas=terms(en="run"),
        lexicalCategory="Q24905",
        claims=[],
        forms=[
            {
                "id": "L1-F1",
                "representations": terms(en="runs"),
                "grammaticalFeatures": ["Q1"],
                "claims": [],
            }
        ],
        senses=[{"id": "L1-S1", "glosses": terms(en="to move fast"), "claims": []}],
    )
    output = "\n".join(map_entity(verb, CONTEXT))
    for part in (
        "ontolex#LexicalEntry",
        "ontolex#lexicalForm",
        "ontolex#sense",
        "grammaticalFeature",
        "core#definition",
    ):
        assert part in output
    assert "<http://purl.org/dc/terms/language>" in output and "#identifiers" not in output


@pytest.mark.parametrize("part", ["forms", "senses"])
def test_only_lexemes_have_forms_and_senses(part: str) -> None:
    odd = prop("P2") | {part: terms(en="x")}
    assert map_entity(odd, CONTEXT) == map_entity(prop("P2"), CONTEXT)


def test_media_have_captions_and_statements_under_their_own_name() -> None:
    media = {
        "type": "mediainfo",
        "id": "M1",
        "labels": terms(en="a cat"),
        "descriptions": [],
        "statements": {"P2": [statement("Q1$a", snak("P2", text("x"), datatype="string"))]},
    }
    output = "\n".join(map_entity(media, CONTEXT))
    for part in (
        "ontology#Mediainfo>",
        "<http://schema.org/MediaObject>",
        '<http://schema.org/caption> "a cat"@en',
        'rdf-schema#label> "a cat"@en',
        'prop/direct/P2> "x"',
        'ontology#statements> "1"',
    ):
        assert part in output
    assert "prefLabel" not in output and "#sitelinks>" not in output


@pytest.mark.parametrize(
    "value",
    [
        entity_value("E10", "entity-schema"),
        text("E10"),
    ],
    ids=["entity id", "string"],
)
def test_an_entity_schema_is_an_iri_however_its_snak_names_it(value: dict[str, Any]) -> None:
    entity = item(claims={"P12": [statement("Q1$a", snak("P12", value, datatype="entity-schema"))]})
    assert f"<{WD}Q1> <http://www.wikidata.org/prop/direct/P12> <{WD}E10> ." in map_entity(entity, CONTEXT)


def test_a_name_that_is_no_entity_schema_stays_text() -> None:
    entity = item(claims={"P12": [statement("Q1$a", snak("P12", text("E10 > x"), datatype="entity-schema"))]})
    output = "\n".join(map_entity(entity, CONTEXT))
    assert 'prop/direct/P12> "E10 > x" .' in output


def broken(path: list[Any], value: Any) -> dict[str, Any]:
    """A sound item with one value put in, or taken out where it is the marker KeyError."""
    entity = item(
        labels=terms(en="x"),
        aliases={"en": [term("y")]},
        sitelinks=sitelink("enwiki", "X"),
        claims=by_property(
            statement(
                "Q1$a",
                snak("P4", quantity(), datatype="quantity"),
                qualifiers=by_property(snak("P4", quantity())),
                references=[reference(no_value("P4"))],
            )
        ),
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
