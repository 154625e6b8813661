"""Applying every event of a random history to a triple store gives exactly the export of the heads."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pyoxigraph as ox
import pytest

from tests.kafka.conftest import A_MINUTE_S, Wiki, clock_of_today, started, until_idle
from tests.kafka.triple_store import TripleStore, parsed
from wbd.demo.entities import EntityGenerator
from wbd.diff_stream.requests import DiffRequests
from wbd.mapping.entity import map_entity
from wbd.rdf.formats import FORMATS, write_lines
from wbd.wiki import Wiki as OpenWiki


def without_number(entity: dict[str, Any]) -> dict[str, Any]:
    """Drop the revision number, which the store assigns: these histories go back and forth."""
    return {key: value for key, value in entity.items() if key != "lastrevid"}


class History:
    """Random edits, deletions and redirects, and restored revisions."""

    def __init__(self, wiki: Wiki, seed: int) -> None:
        self._wiki = wiki
        self._random = random.Random(seed)
        self._revisions = [without_number(each) for each in EntityGenerator(40, 120, seed=seed).revisions()]
        self._written: list[dict[str, Any]] = []
        self._redirected: set[str] = set()

    def steps(self) -> int:
        return len(self._revisions)

    def step(self, number: int) -> None:
        self._wiki.write(self._revisions[number])
        self._written.append(self._revisions[number])
        chosen = self._random.choice(self._written)
        entity_id, dice = chosen["id"], self._random.random()
        # What a consumer drops of a property when all that it knows is the id is another story.
        if entity_id.startswith("P"):
            return
        if dice < 0.1:
            self._wiki.delete(entity_id)
        elif dice < 0.2:
            target = f"{entity_id[0]}999999"
            self._wiki.write({"id": entity_id, "type": chosen["type"], "redirect": target})
        elif dice < 0.4:
            # A restored revision; after a deletion or a redirect it brings the entity back.
            self._wiki.write(chosen)


def heads(wiki: Wiki, flavour: str, rdf_format: str) -> set[str]:
    """Return the export of all heads as lines of a triple store, which writes each number in one way."""
    context = OpenWiki(wiki.settings).mapping(flavour)
    keys = wiki.db.query(
        "SELECT r.snapshot_key FROM entity_head h JOIN entity_revisions r"
        " ON r.entity_id = h.entity_id AND r.revision_id = h.head_revision_id WHERE NOT h.is_deleted"
    )
    store = TripleStore()
    for (key,) in keys:
        data = wiki.objects.get(key)
        assert data is not None
        # RDF/XML has other names for the same blank nodes.
        text = write_lines(map_entity(orjson.loads(data), context), rdf_format, context.vocabulary)
        for triple in parsed(text, FORMATS[rdf_format][0]):
            store.store.add(ox.Quad(*triple))
    return store.lines()


@pytest.mark.parametrize(
    ("seed", "settings"),
    [
        (1, {}),
        (2, {"entity_diff_rdf_format": "rdfxml"}),
        (3, {"entity_diff_flavour": "truthy", "entity_diff_rdf_format": "ntriples"}),
        (4, {"entity_diff_flavour": "updater", "entity_diff_event_format": "rdf_change"}),
        (5, {"entity_diff_processes": 2}),
    ],
    ids=["default", "rdfxml", "truthy-ntriples", "updater-rdf_change", "processes"],
)
def test_every_event_applied_gives_exactly_the_export_of_the_heads(
    wiki: Wiki, seed: int, settings: dict[str, Any]
) -> None:
    history = History(wiki, seed)
    clock = clock_of_today()
    worker, run = started(wiki, clock=clock, **settings)
    for number in range(history.steps()):
        history.step(number)
        if number % 40 == 39:
            until_idle(worker, run)
    asked = [f"Q{n}" for n in (1, 2, 3)]
    DiffRequests(wiki.db).ask(asked)
    clock.advance(A_MINUTE_S)
    until_idle(worker, run)
    health = worker.health()
    worker.stop()
    assert health["reconciles"] == len(asked) and health["set_aside"] == 0
    store = TripleStore()
    for message in wiki.messages(wiki.settings.kafka_entity_diff_topic):
        store.apply(message)
    of = wiki.settings.model_copy(update=settings)
    applied, expected = store.lines(), heads(wiki, of.entity_diff_flavour, of.entity_diff_rdf_format)
    assert len(expected) > 1000
    assert (sorted(applied - expected)[:20], sorted(expected - applied)[:20]) == ([], [])
