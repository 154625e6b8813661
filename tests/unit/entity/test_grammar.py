"""One grammar: what the import accepts has rows, triples and diffs; what it refuses has an error with its place.

A value that Wikibase cannot read costs its snak only: it is listed with its place, and a note stands for it in RDF.
"""

from __future__ import annotations

import copy
import re
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.build.entities import PLACES, entities, item_with, odd_datavalues
from tests.build.spellings import DELETED, JUNK, Path, changed, nodes
from tests.build.wikibase import coordinate, datavalue, quantity, redirect, text, time
from wbd.diff.entities import diff_entities, diff_lines
from wbd.diff.snapshots import diff_snapshots
from wbd.entity.check import Entity, check_entity, find_fault, snapshot_bytes
from wbd.errors import BadEntity
from wbd.mapping.context import MappingContext
from wbd.mapping.entity import map_entity
from wbd.rdf.graph_diff import apply
from wbd.revisions.rows import BACKLINKS, rows_of

CONTEXT = MappingContext()
_NOTE = re.compile(r'<\S*rdf-schema#comment> "broken (p[sqr]:P\d+) triple, please ignore"@en \.$')
_PLACE = re.compile(r"\b(?:claims|statements)\.(P\d+)\[\d+\]\.(mainsnak|qualifiers\.(P\d+)|references.*\.(P\d+)\[)")

TIME = time("+1952-03-11T00:00:00Z")["value"]
QUANTITY = quantity("+5")["value"]
POSITION = coordinate(1.5, 2)["value"]


def without(value: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: member for key, member in value.items() if key != name}


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize(
    ("value", "place"),
    [
        *((datavalue("time", without(TIME, name)), f"value.{name}") for name in ("timezone", "before", "after")),
        *((datavalue("time", without(TIME, name)), f"value.{name}") for name in ("time", "precision", "calendarmodel")),
        (datavalue("time", {**TIME, "timezone": "0"}), "value.timezone"),
        (datavalue("time", {**TIME, "precision": 11.0}), "value.precision"),
        (datavalue("time", {**TIME, "precision": True}), "value.precision"),
        (datavalue("time", {**TIME, "before": -1}), "value"),
        (datavalue("time", {**TIME, "time": "+1952-13-11T00:00:00Z"}), "value.time"),
        (datavalue("time", {**TIME, "calendarmodel": ""}), "value.calendarmodel"),
        (datavalue("wikibase-entityid", {"id": "hello", "entity-type": "item"}), "value"),
        (datavalue("wikibase-entityid", {"entity-type": "form", "numeric-id": 5}), "value"),
        (datavalue("wikibase-entityid", {"entity-type": "lexeme", "numeric-id": 5}), "value"),
        (datavalue("wikibase-entityid", {"id": "Q0"}), "value"),
        (datavalue("wikibase-entityid", {"id": "Q2147483648"}), "value"),
        (datavalue("wikibase-entityid", {"id": "l5-f1"}), "value"),
        (datavalue("wikibase-entityid", {"id": "X5"}), "value"),
        (datavalue("wikibase-entityid", {"id": "other:Q5"}), "value.id"),
        (datavalue("wikibase-entityid", {"id": ["Q5"]}), "value"),
        (datavalue("wikibase-entityid", "Q5"), "value"),
        (datavalue("globecoordinate", {**POSITION, "precision": "x"}), "value.precision"),
        (datavalue("globecoordinate", {**POSITION, "latitude": None}), "value.latitude"),
        (datavalue("globecoordinate", {**POSITION, "longitude": 361}), "value.longitude"),
        (datavalue("globecoordinate", {**POSITION, "globe": ""}), "value.globe"),
        (datavalue("quantity", {**QUANTITY, "upperBound": ["+6"], "lowerBound": "+4"}), "value.upperBound"),
        (datavalue("quantity", {**QUANTITY, "upperBound": "+6"}), "value.lowerBound"),
        (datavalue("quantity", {**QUANTITY, "upperBound": "+4", "lowerBound": "+4"}), "value"),
        (datavalue("quantity", {"amount": "+5"}), "value.unit"),
        (datavalue("quantity", {"amount": "+01", "unit": "1"}), "value.amount"),
        (datavalue("monolingualtext", {"text": "x", "language": ""}), "value.language"),
        (datavalue("monolingualtext", {"language": "en"}), "value.text"),
        ({"type": "string", "value": None, "error": "not a string"}, "value"),
        ({"type": "string"}, "value"),
        (datavalue("unknown", "x"), "type"),
        ({"value": "x"}, "type"),
        ({"type": {}, "value": "x"}, "type"),
        (None, ""),
        ("x", ""),
    ],
)
def test_a_value_that_wikibase_cannot_read_costs_its_snak_only(where: str, value: Any, place: str) -> None:
    data = item_with(where, value)
    entity = check_entity(data)
    (broken,) = entity.broken_snaks
    assert broken.place.endswith("datavalue" + (f".{place}" if place else ""))
    assert orjson.loads(snapshot_bytes(entity, 1, "2025-01-01T00:00:00Z")).items() >= data.items()
    assert rows_of(entity).tables[BACKLINKS] == {}
    lines = map_entity(data, CONTEXT)
    assert notes(lines) == predicted(entity) and len(notes(lines)) == 1
    assert diff_entities(None, data, CONTEXT).added == sorted(lines)


@pytest.mark.parametrize(
    "value",
    [
        datavalue("globecoordinate", {**POSITION, "latitude": "1.5", "longitude": " -2e0"}),
        datavalue("wikibase-entityid", {"id": "q5"}),
        datavalue("wikibase-entityid", {"id": None, "entity-type": "item", "numeric-id": "5"}),
        datavalue("wikibase-entityid", {"id": "E10"}),
        datavalue("quantity", {"amount": 5, "unit": "km", "upperBound": None, "lowerBound": None}),
        datavalue("time", {**TIME, "time": "+1952-02-31T00:00:00Z"}),
        datavalue("monolingualtext", {"text": "", "language": "x y"}),
        text(""),
    ],
)
def test_odd_values_that_wikibase_reads_are_not_broken(value: Any) -> None:
    for where in PLACES:
        data = item_with(where, value)
        assert check_entity(data).broken_snaks == ()
        assert notes(map_entity(data, CONTEXT)) == set()


def test_the_entity_of_a_known_repository_is_no_broken_value() -> None:
    data = item_with("mainsnak", datavalue("wikibase-entityid", {"id": "other:Q5"}))
    assert len(check_entity(data).broken_snaks) == 1
    assert check_entity(data, repositories={"other"}).broken_snaks == ()


def test_a_value_snak_without_a_datavalue_is_refused_as_wikibase_does() -> None:
    data = item_with("mainsnak", None)
    del data["claims"]["P1"][0]["mainsnak"]["datavalue"]
    with pytest.raises(BadEntity) as caught:
        check_entity(data)
    assert caught.value.place == "claims.P1[0].mainsnak.datavalue"


def notes(lines: list[str]) -> set[str]:
    """Return the predicates of broken values that the triples of statements and references note."""
    return {match[1] for line in lines if (match := _NOTE.search(line))}


def predicted(entity: Entity) -> set[str]:
    """Return the same from the places of broken snaks."""
    expected = set()
    for error in entity.broken_snaks:
        place = _PLACE.search(error.place)
        assert place is not None, error
        if place[2] == "mainsnak":
            expected.add(f"ps:{place[1]}")
        else:
            expected.add(f"pq:{place[3]}" if place[3] else f"pr:{place[4]}")
    return expected


def accepted(data: Any) -> Entity | None:
    try:
        return check_entity(data)
    except BadEntity as error:
        assert error.place, error
        return None


# The last one is nested too deep to be copied; test_check.py has such an entity.
junk = st.sampled_from([DELETED, *JUNK[:-1]])


@st.composite
def revisions(draw: st.DrawFn) -> list[Any]:
    """Two revisions of an entity, most of them with values that cannot be read, or with junk in some place."""
    drawn: list[Any] = []
    entity = draw(entities())
    for _ in range(2):
        for _ in range(draw(st.integers(0, 3))):
            values: list[Path] = [path for path in nodes(entity) if path[-1] == "datavalue"]
            odd: bool = draw(st.booleans())
            if values and odd:
                entity = changed(entity, draw(st.sampled_from(values)), draw(odd_datavalues))
            elif entity and draw(st.integers(0, 3)) == 0:
                entity = changed(entity, draw(st.sampled_from(list(nodes(entity)))), draw(junk))
        drawn.append(entity)
    return drawn


@settings(deadline=None, max_examples=200)
@given(revisions())
def test_what_is_accepted_has_rows_triples_and_diffs(pair: list[Any]) -> None:
    sides: list[tuple[Entity, list[str]]] = []
    for data in pair:
        entity = accepted(data)
        if entity is None:
            continue
        rows_of(entity)
        lines = map_entity(entity.data, CONTEXT)
        assert notes(lines) == predicted(entity)
        assert find_fault(entity.data) is None
        assert diff_entities(None, entity.data, CONTEXT).added == sorted(lines)
        assert diff_entities(entity.data, None, CONTEXT).removed == sorted(lines)
        sides.append((entity, lines))
    moved = check_entity(redirect("Q1", "Q2"))
    sides.append((moved, map_entity(moved.data, CONTEXT)))
    for old, before in sides:
        for new, after in sides:
            change = diff_entities(old.data, new.data, CONTEXT)
            assert change == diff_lines(before, after, CONTEXT.vocabulary)
            assert apply(change, before) == sorted(after)
            one, other = (snapshot_bytes(side, 1, "2025-01-01T00:00:00Z") for side in (old, new))
            parsed = diff_entities(orjson.loads(one), orjson.loads(other), CONTEXT)
            assert diff_snapshots(one, other, CONTEXT) == parsed


@settings(deadline=None, max_examples=100)
@given(entities(), st.data())
def test_what_the_mapping_refuses_is_refused_at_the_import_too(entity: dict[str, Any], data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(list(nodes(entity))))
    broken = changed(entity, path, data.draw(junk))
    try:
        map_entity(broken, CONTEXT)
    except BadEntity as error:
        fault = find_fault(broken)
        assert fault is not None and fault.place == error.place
        assert accepted(broken) is None


@pytest.mark.parametrize("second", [text("x"), None])
def test_a_note_that_another_statement_still_needs_is_not_removed(second: Any) -> None:
    """Two best values of one property are broken and share the note on the entity; one is put right or taken away."""
    old = item_with("mainsnak", datavalue("time", {}))
    other = copy.deepcopy(old["claims"]["P1"][0])
    old["claims"]["P1"].append({**other, "id": "Q1$2"})
    new = copy.deepcopy(old)
    if second is None:
        del new["claims"]["P1"][1]
    else:
        new["claims"]["P1"][1]["mainsnak"]["datavalue"] = second
    for sides in ((old, new), (new, old)):
        before, after = (map_entity(side, CONTEXT) for side in sides)
        change = diff_entities(*sides, CONTEXT)
        assert change == diff_lines(before, after, CONTEXT.vocabulary)
        assert not any("broken wdt" in line for line in (*change.added, *change.removed))
        one, two = map(orjson.dumps, sides)
        assert diff_snapshots(one, two, CONTEXT) == change


@pytest.mark.parametrize(
    "broken", [datavalue("time", without(TIME, "time")), datavalue("time", "x"), {"type": []}, None]
)
def test_unchanged_broken_snaks_do_not_stop_the_search_for_shared_value_nodes(broken: Any) -> None:
    """A value goes, and every unchanged snak is asked whether it has the same node."""
    new = item_with("qualifiers", broken)
    old = copy.deepcopy(new)
    sound = item_with("mainsnak", datavalue("time", TIME))["claims"]["P1"][0]
    old["claims"]["P1"].append({**sound, "id": "Q1$2"})
    for sides in ((old, new), (new, old)):
        before, after = (map_entity(side, CONTEXT) for side in sides)
        assert diff_entities(*sides, CONTEXT) == diff_lines(before, after, CONTEXT.vocabulary)
