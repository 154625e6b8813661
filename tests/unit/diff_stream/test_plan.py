"""Chains have the same plans whether snapshots are compared by their bytes or parsed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
import pytest

from tests.build.wikibase import by_property, datavalue, item, snak, statement
from wbd.demo.entities import EntityGenerator
from wbd.diff_stream import plan
from wbd.diff_stream.messages import EventWriter
from wbd.diff_stream.plan import Chain, ChainPlanner, Link, Planned
from wbd.mapping.context import MappingContext

NOW = datetime(2026, 1, 1)


def planner() -> ChainPlanner:
    context = MappingContext.wikidata()
    writer = EventWriter(context.vocabulary, "entity_diff", "turtle", "2.0.0", "s", "a.test", 1_000_000)
    return ChainPlanner(context, writer)


def outcome(plans: list[Planned]) -> list[Any]:
    # Messages hold the time at which they were made.
    return [(plan.revision_id, len(plan.messages), plan.added, plan.removed, plan.reason) for plan in plans]


def histories() -> dict[str, list[bytes]]:
    revisions: dict[str, list[bytes]] = {}
    for entity in EntityGenerator(20, 60, seed=3).revisions():
        revisions.setdefault(entity["id"], []).append(orjson.dumps(entity))
    return revisions


def both(monkeypatch: pytest.MonkeyPatch, chain: Chain) -> list[Any]:
    compared = outcome(planner().plan(chain))
    with monkeypatch.context() as patched:
        patched.setattr(plan, "diff_changed_parts", lambda *_: None)
        assert outcome(planner().plan(chain)) == compared
    return compared


def test_generated_histories(monkeypatch: pytest.MonkeyPatch) -> None:
    for entity_id, revisions in histories().items():
        links = [Link(number, data, NOW) for number, data in enumerate(revisions, 2)]
        both(monkeypatch, Chain(entity_id, None, None, links))
        both(
            monkeypatch, Chain(entity_id, 1, revisions[0], [*links, Link(99, None, NOW), Link(100, revisions[0], NOW)])
        )


def snapshot(entity_id: str = "Q1", **parts: Any) -> bytes:
    return orjson.dumps(item(entity_id, **parts))


BAD = [
    (b"{", "not JSON"),
    (b"[]", "not a JSON object"),
    (snapshot("Q2"), "holds 'Q2', expected Q1"),
    (snapshot(labels={"en": 5}), "labels.en"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD)
def test_a_bad_snapshot_is_set_aside_and_the_next_is_compared_with_the_last_good_one(
    monkeypatch: pytest.MonkeyPatch, bad: bytes, reason: str
) -> None:
    links = [Link(2, bad, NOW), Link(3, snapshot(lastrevid=3), NOW)]
    plans = both(monkeypatch, Chain("Q1", 1, snapshot(lastrevid=1), links))
    assert reason in plans[0][-1] and plans[1] == (3, 1, 1, 1, "")


@pytest.mark.parametrize(("bad", "reason"), BAD)
def test_a_bad_base_sets_every_revision_aside(monkeypatch: pytest.MonkeyPatch, bad: bytes, reason: str) -> None:
    links = [Link(2, snapshot(lastrevid=2), NOW), Link(3, snapshot(lastrevid=3), NOW)]
    plans = both(monkeypatch, Chain("Q1", 1, bad, links))
    assert all(reason in plan[-1] for plan in plans)
    assert both(monkeypatch, Chain("Q1", 1, bad, links, reconcile=True))[0][-1] == ""


def test_broken_snaks_are_counted_where_their_notes_are_added() -> None:
    no_time = snak("P1", datavalue("time", {}))
    claims = by_property(statement("Q1$1", no_time, qualifiers=by_property(no_time)))
    broken, sound = snapshot(claims=claims), snapshot(claims=[])
    links = [Link(2, broken, NOW), Link(3, broken, NOW), Link(4, sound, NOW), Link(5, broken, NOW)]
    plans = planner().plan(Chain("Q1", None, None, links))
    assert [(each.broken, each.reason) for each in plans] == [(2, ""), (0, ""), (0, ""), (2, "")]
