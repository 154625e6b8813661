"""Shared nodes in diffs: what is linked and unlinked, and that a store of many entities stays exact with it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.build.entities import items, revisions
from tests.build.wikibase import KILOMETRE, METRE, by_property, item, reference, sitelink, snak, statement, terms, time
from wbd.diff.entities import diff_entities, diff_lines
from wbd.mapping.entity import MappingContext, map_entity
from wbd.mapping.vocabulary import Site, Vocabulary
from wbd.rdf.graph_diff import RdfDiff

CONTEXT = MappingContext(units={METRE: ("1", METRE), KILOMETRE: ("1000", METRE)})
WD = "http://www.wikidata.org/"
ABOUT = "<http://schema.org/about>"
PART_OF = "<http://schema.org/isPartOf>"
WIKI_GROUP = "<http://wikiba.se/ontology#wikiGroup>"

Entity = dict[str, Any]


def triple(line: str) -> tuple[str, str, str]:
    subject, predicate, target = line[:-2].split(" ", 2)
    return subject, predicate, target


def shared_nodes(graph: Iterable[str]) -> set[str]:
    """The definition, on a whole graph."""
    return {
        s
        for s, p, _ in map(triple, graph)
        if s.startswith((f"<{WD}value/", f"<{WD}reference/")) or p in (PART_OF, WIKI_GROUP)
    }


def about_new_nodes(lines: Iterable[str], own: set[str], other: set[str]) -> list[str]:
    nodes = shared_nodes(own) - {triple(line)[0] for line in other}
    return sorted(line for line in lines if triple(line)[0] in nodes and triple(line)[1] != ABOUT)


@settings(deadline=None, max_examples=30)
@given(revisions())
def test_linked_and_unlinked_are_the_triples_of_shared_nodes_that_one_side_has(sides: tuple[Entity, Entity]) -> None:
    old, new = (set(map_entity(side, CONTEXT)) for side in sides)
    change = diff_entities(*sides, CONTEXT)
    assert change.linked_shared == about_new_nodes(new - old, new, old)
    assert change.unlinked_shared == about_new_nodes(old - new, old, new)


@settings(deadline=None, max_examples=30)
@given(revisions())
def test_a_node_that_is_still_used_is_never_unlinked(sides: tuple[Entity, Entity]) -> None:
    after = map_entity(sides[1], CONTEXT)
    used = {term for line in after for term in triple(line)[::2]}
    unlinked = {triple(line)[0] for line in diff_entities(*sides, CONTEXT).unlinked_shared}
    assert not unlinked & used


@settings(deadline=None, max_examples=15)
@given(revisions())
def test_own_and_shared_triples_divide_what_changed(sides: tuple[Entity, Entity]) -> None:
    change = diff_entities(*sides, CONTEXT)
    assert sorted(change.own_added + change.linked_shared) == change.added
    assert sorted(change.own_removed + change.unlinked_shared) == change.removed
    assert not set(change.own_added) & set(change.linked_shared)


class Store:
    """What a consumer of many entities does: unlinked triples go once nothing refers to their node any more."""

    def __init__(self) -> None:
        self.lines: set[str] = set()

    def apply(self, change: RdfDiff) -> None:
        self.lines.difference_update(change.own_removed)
        self.lines.update(change.added)
        waiting = {triple(line)[0] for line in change.unlinked_shared}
        unlinked = set(change.unlinked_shared)
        # A reference lets go of its values, and a page of its wiki.
        while orphans := waiting - self.used():
            waiting -= orphans
            self.lines -= {line for line in unlinked if triple(line)[0] in orphans}

    def used(self) -> set[str]:
        """
        A page is used while it is about something, other nodes while another one refers to them.

        A normalized value refers to itself.
        """
        triples = [triple(line) for line in self.lines]
        return {o for s, _, o in triples if s != o} | {s for s, p, _ in triples if p == ABOUT}


def named(entity: Entity, entity_id: str) -> Entity:
    """The same content in another entity; its statements are its own, and all say the same of a page."""
    own: Entity = json.loads(json.dumps(entity).replace('"Q1$', f'"{entity_id}$'))
    for page in (own["sitelinks"] or {}).values():
        page["badges"] = ["Q5"]
    return {**own, "id": entity_id}


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.sampled_from(["Q1", "Q2", "Q3"]), items() | st.none()), max_size=5))
def test_replaying_the_diffs_of_many_entities_into_one_store_gives_the_union_of_their_mappings(
    history: list[tuple[str, Entity | None]],
) -> None:
    store = Store()
    heads: dict[str, Entity | None] = {}
    # All entities go in the end, and with them everything.
    for entity_id, content in [*history, *((name, None) for name in ("Q1", "Q2", "Q3"))]:
        entity = content and named(content, entity_id)
        store.apply(diff_entities(heads.get(entity_id), entity, CONTEXT))
        heads[entity_id] = entity
        assert store.lines == {line for head in heads.values() if head for line in map_entity(head, CONTEXT)}
    assert store.lines == set()


def test_a_badge_of_a_page_that_stays_is_no_shared_triple() -> None:
    change = diff_entities(
        item(sitelinks=sitelink("enwiki", "A", "Q5")), item(sitelinks=sitelink("enwiki", "A", "Q6")), CONTEXT
    )
    assert (len(change.added), len(change.removed)) == (1, 1)
    assert (change.linked_shared, change.unlinked_shared) == ([], [])


def test_of_a_page_that_goes_all_but_what_it_is_about_may_be_used_elsewhere() -> None:
    change = diff_entities(item(sitelinks=sitelink("enwiki", "A")), item(), CONTEXT)
    own = {triple(line)[1] for line in change.own_removed if "en.wikipedia" in line}
    assert own == {ABOUT}
    assert {triple(line)[1] for line in change.unlinked_shared} >= {PART_OF, WIKI_GROUP, "<http://schema.org/name>"}


@pytest.mark.parametrize("predicate", [PART_OF, WIKI_GROUP])
def test_a_text_that_looks_like_a_page_makes_none(predicate: str) -> None:
    """Where entities lie at the base itself, their lines are among those in which pages are looked for."""
    context = MappingContext(vocabulary=Vocabulary(entity_base="http://one.test/"))
    old, new = item(), item(labels=terms(en=f"> {predicate} <http://one.test/> ."))
    of_mappings = diff_lines(map_entity(old, context), map_entity(new, context), context.vocabulary)
    assert diff_entities(old, new, context) == of_mappings
    assert of_mappings.added and not of_mappings.linked_shared
    assert not diff_entities(None, new, context).linked_shared


@pytest.mark.parametrize("title", ["B", None])
def test_a_page_that_another_sitelink_has_too_stays(title: str | None) -> None:
    """Two sites can share one path; the page goes with the last of them."""
    context = MappingContext(sites=lambda name: Site("en", "//one.test/wiki/$1", "one"))
    both = {**sitelink("aawiki", "A"), **sitelink("abwiki", "A")}
    after = dict(both)
    if title is None:
        del after["aawiki"]
    else:
        after.update(sitelink("aawiki", title))
    old, new = item(sitelinks=both), item(sitelinks=after)
    of_mappings = diff_lines(map_entity(old, context), map_entity(new, context), context.vocabulary)
    assert diff_entities(old, new, context) == of_mappings
    assert not any("/wiki/A" in line for line in of_mappings.removed)


def test_a_badge_that_another_sitelink_to_the_page_has_too_stays() -> None:
    context = MappingContext(sites=lambda name: Site("en", "//one.test/wiki/$1", "one"))
    old = item(sitelinks={**sitelink("aawiki", "A", "Q5", "Q6"), **sitelink("abwiki", "A", "Q5")})
    new = item(sitelinks={**sitelink("aawiki", "A"), **sitelink("abwiki", "A", "Q5")})
    for one, other in ((old, new), (new, old)):
        of_mappings = diff_lines(map_entity(one, context), map_entity(other, context), context.vocabulary)
        change = diff_entities(one, other, context)
        assert change == of_mappings
        assert len(change.added) + len(change.removed) == 1


@pytest.mark.parametrize("base", ["http://one.test/", "http://one.test/entity/"])
def test_pages_are_found_whatever_the_base_of_entities(base: str) -> None:
    """A wiki can serve pages, entities, values and references all below one address."""
    context = MappingContext(
        vocabulary=Vocabulary(entity_base=base, data_base="http://one.test/data/"),
        sites=lambda name: Site("en", "http://one.test/wiki/$1", "one"),
    )
    year = snak("P1", time("+2013-01-01T00:00:00Z", 9), datatype="time")
    claims = by_property(statement("Q1$1", year, references=[reference(year)]))
    change = diff_entities(None, item(sitelinks=sitelink("aawiki", "A"), claims=claims), context)
    nodes = {triple(line)[0] for line in change.linked_shared}
    assert change.linked_shared == [line for line in change.added if triple(line)[0] in nodes and ABOUT not in line]
    assert {node.split("/")[3] for node in nodes} == {"value", "reference", "wiki", ">"}
