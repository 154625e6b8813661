"""Laws of diffs: applying one gives the other side, and the diff by parts is that of whole mappings."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from typing import Any

import pytest
from hypothesis import given, settings

from tests.build.entities import items, revisions
from tests.build.graphs import graphs
from tests.build.wikibase import (
    KILOMETRE,
    METRE,
    by_property,
    coordinate,
    datavalue,
    item,
    redirect,
    snak,
    statement,
    term,
    terms,
    text,
    time,
)
from wbd.diff.entities import diff_entities, diff_lines
from wbd.errors import BadEntity
from wbd.mapping.entity import FULL, TRUTHY, UPDATER, Flavour, MappingContext, map_entity
from wbd.rdf.graph_diff import RdfDiff, apply

CONTEXT = MappingContext(
    formatter_uris={"P7": "http://ids.test/$1"}, units={METRE: ("1", METRE), KILOMETRE: ("1000", METRE)}
)


def diff_of_mappings(old: dict[str, Any], new: dict[str, Any], context: MappingContext = CONTEXT) -> RdfDiff:
    """The diff of both mappings as sets, shared nodes included."""
    return diff_lines(map_entity(old, context), map_entity(new, context), context.vocabulary)


@settings(deadline=None, max_examples=50)
@given(graphs, graphs)
def test_applying_a_diff_gives_the_other_side(old: list[str], new: list[str]) -> None:
    change = diff_lines(old, new)
    assert apply(change, old) == sorted(new)
    assert not set(change.added) & set(old) and not set(change.removed) & set(new)
    assert change.added == sorted(change.added) and change.removed == sorted(change.removed)
    assert bool(change) == (set(old) != set(new))


@settings(deadline=None, max_examples=35)
@given(revisions())
def test_the_diff_by_parts_is_the_diff_of_whole_mappings(sides: tuple[dict[str, Any], dict[str, Any]]) -> None:
    old, new = sides
    for flavour in (FULL, TRUTHY, UPDATER):
        context = dataclasses.replace(CONTEXT, flavour=flavour)
        assert diff_entities(old, new, context) == diff_of_mappings(old, new, context)
        assert diff_entities(new, old, context) == diff_of_mappings(new, old, context)


@settings(deadline=None, max_examples=20)
@given(revisions())
def test_corrupt_json_with_one_statement_in_two_groups_is_no_exception(
    sides: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    for side in sides:
        side["claims"] = copy.deepcopy(side["claims"])
        for group in (side["claims"] or {}).values():
            group[0]["id"] = "Q1$same"
            for member in group:
                for reference in member["references"]:
                    reference["hash"] = "same"
    assert diff_entities(*sides, CONTEXT) == diff_of_mappings(*sides)


@settings(deadline=None, max_examples=20)
@given(items())
def test_a_creation_adds_everything_and_a_deletion_removes_everything(entity: dict[str, Any]) -> None:
    lines = sorted(map_entity(entity, CONTEXT, revision_id=7))
    created = diff_entities(None, entity, CONTEXT, new_revision=7)
    deleted = diff_entities(entity, None, CONTEXT, old_revision=7)
    assert (created.added, created.removed) == (lines, [])
    assert (deleted.added, deleted.removed) == ([], lines)
    assert not diff_entities(entity, copy.deepcopy(entity), CONTEXT)
    assert not diff_entities(None, None, CONTEXT)


@settings(deadline=None, max_examples=20)
@given(revisions())
def test_a_restored_revision_is_the_diff_turned_round(sides: tuple[dict[str, Any], dict[str, Any]]) -> None:
    old, new = sides
    there, back = diff_entities(old, new, CONTEXT), diff_entities(new, old, CONTEXT)
    assert (there.added, there.removed) == (back.removed, back.added)
    assert (there.linked_shared, there.unlinked_shared) == (back.unlinked_shared, back.linked_shared)


@settings(deadline=None, max_examples=15)
@given(items(), items())
def test_any_way_of_an_entity_ends_where_it_ends(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Created, edited, deleted, undeleted, made a redirect and an item again: the lines held are those of the last."""
    moved = redirect("Q1", "Q2")
    way = [None, one, other, None, other, moved, one, moved, None, one]
    held: list[str] = []
    for old, new in itertools.pairwise(way):
        held = apply(diff_entities(old, new, CONTEXT), held)
        assert held == sorted(map_entity(new, CONTEXT) if new else [])


def test_a_redirect_replaces_the_entity() -> None:
    entity = item(labels=terms(en="x"))
    change = diff_entities(entity, redirect("Q1", "Q2"), CONTEXT)
    assert len(change.added) == 1 and change.removed == sorted(map_entity(entity, CONTEXT))


def test_one_changed_label_is_three_triples() -> None:
    one, other = item(labels=terms(en="x"), lastrevid=1), item(labels=terms(en="y"), lastrevid=2)
    change = diff_entities(one, other, CONTEXT)
    assert (len(change.added), len(change.removed)) == (4, 4)
    assert (len(diff_entities(one, other, CONTEXT, old_revision=5, new_revision=5).added)) == 3


@pytest.mark.parametrize("side", [0, 1])
def test_a_fault_on_either_side_is_a_bad_entity(side: int) -> None:
    sound, bad = item(labels=terms(en="x")), item(labels=terms(en=5))
    sides = (bad, sound) if side == 0 else (sound, bad)
    with pytest.raises(BadEntity) as caught:
        diff_entities(*sides, CONTEXT)
    assert caught.value.place == "labels.en.value"


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        # A label or description in a list is none.
        (
            item(labels=terms(en="x")),
            item(labels={"en": [term("x")]}),
            "labels.en",
        ),
        (item(), item(descriptions={"en": [term("x")]}), "descriptions.en"),
        # A group of aliases is a list, even when there is nothing in it.
        (item(aliases={"fr": [{"language": "fr", "value": "x"}]}), item(aliases={"fr": ""}), "aliases.fr"),
        (item(aliases={"fr": []}), item(aliases={"fr": {}}), "aliases.fr"),
        (item(), item(aliases={"fr": {"language": "fr", "value": "x"}}), "aliases.fr"),
        # A member that is null is not one that is not there.
        (item(labels={}), item(labels={"en": None}), "labels.en"),
        (item(), item(descriptions={"en": None}), "descriptions.en"),
        (item(aliases={}), item(aliases={"en": None}), "aliases.en"),
        (item(claims={}), item(claims={"P1": None}), "claims.P1"),
        (item(sitelinks={}), item(sitelinks={"enwiki": None}), "sitelinks.enwiki"),
    ],
)
@pytest.mark.parametrize("flavour", [FULL, UPDATER])
def test_a_part_that_the_mapping_refuses_is_refused_where_it_came_or_went(
    old: dict[str, Any], new: dict[str, Any], place: str, flavour: Flavour
) -> None:
    context = dataclasses.replace(CONTEXT, flavour=flavour)
    map_entity(old, context)
    for refused in (
        lambda: map_entity(new, context),
        lambda: diff_entities(old, new, context),
        lambda: diff_entities(new, old, context),
    ):
        with pytest.raises(BadEntity) as caught:
            refused()
        assert caught.value.place == place


def test_a_value_node_that_an_old_spelling_of_a_year_shares_stays() -> None:
    unchanged = statement("Q1$a", snak("P1", time("+00000002013-00-00T00:00:00Z", 9)))
    gone = statement("Q1$b", snak("P2", time("+2013-00-00T00:00:00Z", 9)))
    old, new = item(claims=by_property(unchanged, gone)), item(claims=by_property(unchanged))
    assert diff_entities(old, new, CONTEXT) == diff_of_mappings(old, new)
    assert diff_entities(new, old, CONTEXT) == diff_of_mappings(new, old)
    assert not any("TimeValue" in line for line in diff_entities(old, new, CONTEXT).removed)


@pytest.mark.parametrize(
    ("unchanged", "changed"),
    [
        (
            statement("Q1$a", snak("P1", coordinate(1.0, 2))),
            statement("Q1$b", snak("P2", coordinate(1.0000000000000002, 2))),
        ),
        (statement("Q1$a", snak("P1", text("x"))), statement("Q1-a", snak("P2", text("x")))),
        (statement("Q1$a", snak("P1", text("x"))), statement("Q1$b", snak("p1", text("x")))),
        (statement("Q1$a", snak("P1", text("x"))), statement("Q1$b", snak(":P1", text("x")))),
    ],
    ids=["coordinates that round alike", "ids of one node", "spellings of a property", "a prefix that says nothing"],
)
def test_what_an_unchanged_part_writes_too_stays(unchanged: dict[str, Any], changed: dict[str, Any]) -> None:
    old, new = item(claims=by_property(unchanged, changed)), item(claims=by_property(unchanged))
    assert diff_entities(old, new, CONTEXT) == diff_of_mappings(old, new)
    assert diff_entities(new, old, CONTEXT) == diff_of_mappings(new, old)


def test_text_that_calls_itself_a_time_is_no_fault_of_an_unchanged_part() -> None:
    """P7 is an external id by its datatype, whatever type its data value claims."""
    context = dataclasses.replace(CONTEXT, datatypes={"P7": "external-id"})
    unchanged = statement("Q1$a", snak("P7", datavalue("time", "x")))
    gone = statement("Q1$b", snak("P2", time("+2013-00-00T00:00:00Z", 9)))
    old, new = item(claims=by_property(unchanged, gone)), item(claims=by_property(unchanged))
    assert diff_entities(old, new, context) == diff_of_mappings(old, new, context)
