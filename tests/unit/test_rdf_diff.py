"""Laws of diffs: applying one gives the other side, and the diff by parts is that of whole mappings."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from typing import Any

import pytest
from hypothesis import given, settings

from tests.unit.rdf.entities import KILOMETRE, METRE, items, revisions
from tests.unit.rdf.graphs import graphs
from wbd.errors import BadEntity
from wbd.rdf.diff import RdfDiff, apply, diff_entities, diff_lines
from wbd.rdf.mapping import FULL, TRUTHY, UPDATER, MappingContext, map_entity

CONTEXT = MappingContext(
    formatter_uris={"P7": "http://ids.test/$1"}, units={METRE: ("1", METRE), KILOMETRE: ("1000", METRE)}
)


def whole(old: dict[str, Any], new: dict[str, Any], context: MappingContext = CONTEXT) -> RdfDiff:
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
        assert diff_entities(old, new, context) == whole(old, new, context)
        assert diff_entities(new, old, context) == whole(new, old, context)


@settings(deadline=None, max_examples=20)
@given(revisions())
def test_corrupt_json_with_one_statement_in_two_groups_is_no_exception(
    sides: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    for side in sides:
        side["claims"] = copy.deepcopy(side["claims"])
        for group in (side["claims"] or {}).values():
            group[0]["id"] = "Q1$same"
            for statement in group:
                for reference in statement["references"]:
                    reference["hash"] = "same"
    assert diff_entities(*sides, CONTEXT) == whole(*sides)


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
    redirect = {"entity": "Q1", "redirect": "Q2"}
    way = [None, one, other, None, other, redirect, one, redirect, None, one]
    held: list[str] = []
    for old, new in itertools.pairwise(way):
        held = apply(diff_entities(old, new, CONTEXT), held)
        assert held == sorted(map_entity(new, CONTEXT) if new else [])


def test_a_redirect_replaces_the_entity() -> None:
    item = {"type": "item", "id": "Q1", "labels": {"en": {"language": "en", "value": "x"}}}
    change = diff_entities(item, {"entity": "Q1", "redirect": "Q2"}, CONTEXT)
    assert len(change.added) == 1 and change.removed == sorted(map_entity(item, CONTEXT))


def test_one_changed_label_is_three_triples() -> None:
    item = {"type": "item", "id": "Q1", "labels": {"en": {"language": "en", "value": "x"}}, "lastrevid": 1}
    other = {**item, "labels": {"en": {"language": "en", "value": "y"}}, "lastrevid": 2}
    change = diff_entities(item, other, CONTEXT)
    assert (len(change.added), len(change.removed)) == (4, 4)
    assert (len(diff_entities(item, other, CONTEXT, old_revision=5, new_revision=5).added)) == 3


@pytest.mark.parametrize("side", [0, 1])
def test_a_fault_on_either_side_is_a_bad_entity(side: int) -> None:
    item = {"type": "item", "id": "Q1", "labels": {"en": {"language": "en", "value": "x"}}}
    bad = {"type": "item", "id": "Q1", "labels": {"en": {"language": "en", "value": 5}}}
    sides = (bad, item) if side == 0 else (item, bad)
    with pytest.raises(BadEntity) as caught:
        diff_entities(*sides, CONTEXT)
    assert caught.value.place == "labels.en.value"
