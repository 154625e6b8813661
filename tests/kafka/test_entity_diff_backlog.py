"""Backlogs, outages and interrupted batches: every head that a poll has passed is still published, in order.

Heads lie far apart in time here and the overlap is a millisecond, so that nothing is found again by chance.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.build.wikibase import by_property, labelled_item, snak, statement, terms, text
from tests.kafka import conftest
from tests.kafka.conftest import A_MINUTE_S, AN_HOUR_S, Wiki, clock_of_today, until_idle
from wbd.engines.kafka import MAX_MESSAGE_BYTES
from wbd.errors import BrokerUnavailable
from wbd.revisions.revision import shard_of
from wbd.runtime.worker import Run
from wbd.stack.kafka import KafkaBroker
from wbd.workers.entity_diff import EntityDiffWorker

_SHARD = shard_of("Q1")
SAME_SHARD = [number for number in range(1, 5000) if shard_of(f"Q{number}") == _SHARD]


def started(wiki: Wiki, worker_id: str = "w1", **options: Any) -> tuple[EntityDiffWorker, Run]:
    return conftest.started(wiki, worker_id, entity_diff_overlap_s=0.001, **options)


def pairs(wiki: Wiki) -> list[tuple[str, int, int | None]]:
    return [(event.entity_id, event.revision_id, event.previous_revision_id) for event in wiki.diffs()]


def backlog(wiki: Wiki, entities: int, revisions: int) -> list[tuple[str, int, int | None]]:
    """Write entities of one shard whose heads lie days apart; return the expected events, sorted."""
    numbers = SAME_SHARD[:entities]
    for revision in range(revisions):
        for number in numbers:
            wiki.write(labelled_item(number, f"label {revision}"))
    # The later in the order of ids, the earlier in time, so that a batch by id leaves the oldest for later.
    for day, number in enumerate(reversed(numbers)):
        moment = f"2026-01-{day + 1:02d} 00:00:00"
        wiki.db.execute("UPDATE entity_head SET updated_at = %s WHERE entity_id = %s", (moment, f"Q{number}"))
    return sorted((f"Q{number}", r, r - 1 or None) for number in numbers for r in range(1, revisions + 1))


def test_a_backlog_of_more_revisions_than_a_batch_comes_whole(wiki: Wiki) -> None:
    expected = backlog(wiki, entities=10, revisions=5)
    worker, run = started(wiki, pace={"batch_heads": 4, "batch_revisions": 8})
    until_idle(worker, run)
    worker.stop()
    assert sorted(pairs(wiki), key=lambda pair: pair[:2]) == sorted(expected, key=lambda pair: pair[:2])


def test_a_sweep_that_finds_more_than_a_batch_loses_none(wiki: Wiki) -> None:
    clock = clock_of_today()
    worker, run = started(wiki, clock=clock, pace={"batch_heads": 2, "batch_revisions": 4})
    until_idle(worker, run)
    backlog(wiki, entities=12, revisions=1)
    until_idle(worker, run)
    assert wiki.diffs() == [], "no poll looks so far back"
    clock.advance(AN_HOUR_S)
    until_idle(worker, run)
    worker.stop()
    assert sorted(pairs(wiki)) == sorted((f"Q{number}", 1, None) for number in SAME_SHARD[:12])


def test_a_broker_outage_longer_than_the_overlap_loses_nothing(wiki: Wiki, kafka: KafkaBroker) -> None:
    worker, run = started(wiki)
    until_idle(worker, run)
    wiki.write(labelled_item(1))
    kafka.kill()
    try:
        for number in (2, 3):
            with pytest.raises(BrokerUnavailable):
                worker.step(run)
            wiki.write(labelled_item(number))
    finally:
        kafka.start()
    until_idle(worker, run)
    worker.stop()
    assert sorted(pairs(wiki)) == [("Q1", 1, None), ("Q2", 1, None), ("Q3", 1, None)]


def test_what_a_stopped_process_left_of_its_batch_is_the_next_ones(wiki: Wiki) -> None:
    expected = backlog(wiki, entities=4, revisions=1)
    worker, run = started(wiki, pace={"plan_s": 0.0})
    worker.step(run)
    worker.stop()
    assert len(wiki.diffs()) == 1
    worker, run = started(wiki, "w2")
    until_idle(worker, run)
    worker.stop()
    assert sorted(pairs(wiki)) == sorted(expected)


def test_a_head_held_back_is_tried_again_when_it_is_due_however_long_ago_it_moved(wiki: Wiki) -> None:
    written = wiki.write(labelled_item(1))
    revision = wiki.store.revision("Q1", written.revision_id)
    assert revision is not None
    snapshot = wiki.store.snapshot(revision)
    wiki.objects.delete(revision.snapshot_key)
    clock = clock_of_today()
    worker, run = started(wiki, clock=clock)
    until_idle(worker, run)
    wiki.write(labelled_item(2))
    until_idle(worker, run)
    for expected_failures in (2, 3):
        clock.advance(A_MINUTE_S)
        until_idle(worker, run)
        assert worker.step(run) > 0.05, "a worker with nothing to do waits for the next try"
        assert worker.health()["held_back"][0]["failures"] == expected_failures
    wiki.objects.put(revision.snapshot_key, snapshot)
    clock.advance(A_MINUTE_S)
    until_idle(worker, run)
    assert worker.health()["held_back"] == []
    worker.stop()
    assert sorted(pairs(wiki)) == [("Q1", 1, None), ("Q2", 1, None)]


def test_a_revision_after_one_whose_event_is_too_large_is_never_published_against_it(wiki: Wiki) -> None:
    """Consumers would hold triples that no later diff removes."""
    huge = "x" * (MAX_MESSAGE_BYTES + 1)
    wiki.write(labelled_item(1, "one"))
    wiki.write(labelled_item(1, "two", descriptions=terms(en=huge)))
    wiki.write(labelled_item(1, "three", descriptions=terms(en=huge)))
    wiki.write(labelled_item(1, "four"))
    worker, run = started(wiki)
    until_idle(worker, run)
    health = worker.health()
    worker.stop()
    assert pairs(wiki) == [("Q1", 1, None), ("Q1", 4, 1)]
    assert health["set_aside"] == 2


def test_a_slow_machine_publishes_what_it_has_planned_in_time(wiki: Wiki) -> None:
    """Its lease would run out in the middle of every batch otherwise."""
    expected = backlog(wiki, entities=3, revisions=3)
    worker, run = started(wiki, pace={"plan_s": 0.0})
    worker.step(run)
    assert len(wiki.diffs()) == 1
    until_idle(worker, run)
    worker.stop()
    assert sorted(pairs(wiki), key=lambda pair: pair[:2]) == sorted(expected, key=lambda pair: pair[:2])


def test_an_entity_whose_published_revision_lost_its_row_is_held_back(wiki: Wiki) -> None:
    """After a diff against nothing, consumers would keep triples of the lost revision."""
    wiki.write(labelled_item(1, "one"))
    worker, run = started(wiki)
    until_idle(worker, run)
    wiki.write(labelled_item(1, "two"))
    wiki.db.execute("DELETE FROM entity_revisions WHERE entity_id = 'Q1' AND revision_id = 1")
    until_idle(worker, run)
    (held,) = worker.health()["held_back"]
    worker.stop()
    assert held["reason"] == "entity_diff Q1 r2: row of r1 in entity_revisions missing"
    assert pairs(wiki) == [("Q1", 1, None)]


def test_entities_held_back_beyond_the_bound_are_found_again_by_the_sweep(wiki: Wiki) -> None:
    keys = {}
    for number in range(1, 6):
        revision = wiki.store.revision(f"Q{number}", wiki.write(labelled_item(number)).revision_id)
        assert revision is not None
        keys[revision.snapshot_key] = wiki.store.snapshot(revision)
        wiki.objects.delete(revision.snapshot_key)
    clock = clock_of_today()
    worker, run = started(wiki, clock=clock, pace={"held_back": 2})
    until_idle(worker, run)
    assert len(worker.health()["held_back"]) == 2
    wiki.objects.put_many(list(keys.items()))
    clock.advance(AN_HOUR_S)
    until_idle(worker, run)
    until_idle(worker, run)
    worker.stop()
    assert sorted(pairs(wiki)) == [(f"Q{number}", 1, None) for number in range(1, 6)]


def test_a_database_whose_clock_is_behind_that_of_the_one_before_delays_nothing(wiki: Wiki) -> None:
    """After a failover, the stored positions can lie in the future."""
    worker, run = started(wiki)
    until_idle(worker, run)
    worker.stop()
    wiki.db.execute("UPDATE worker_leases SET position = '2037-01-01 00:00:00' WHERE slot LIKE 's:%'")
    worker, run = started(wiki, "w2")
    until_idle(worker, run)
    wiki.write(labelled_item(1))
    until_idle(worker, run)
    worker.stop()
    assert pairs(wiki) == [("Q1", 1, None)]


def test_a_fault_that_nobody_foresaw_sets_its_revision_aside_and_the_rest_goes_on(wiki: Wiki) -> None:
    """Snapshots of other writers are not checked; one of them must not end the worker again and again."""
    bad = wiki.store.revision("Q1", wiki.write(labelled_item(1)).revision_id)
    assert bad is not None
    claims = by_property(statement("Q1$1", snak("P1", text("x"), datatype={"a": 1})))
    entity = labelled_item(1, claims=claims, lastrevid=1, modified="2026-01-01T00:00:00Z")
    wiki.objects.put(bad.snapshot_key, orjson.dumps(entity))
    wiki.write(labelled_item(1, "good"))
    worker, run = started(wiki)
    until_idle(worker, run)
    worker.stop()
    assert pairs(wiki) == [("Q1", 2, None)]
    assert wiki.db.query("SELECT entity_id, revision_id FROM entity_diff_failures") == [("Q1", 1)]
