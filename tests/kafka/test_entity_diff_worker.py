"""The diff worker misses no revision, repeats none without need, and keeps the order of each entity."""

from __future__ import annotations

import threading
from typing import Any

import pyoxigraph as ox
import pytest

from tests.build.clock import SetClock
from tests.build.wikibase import labelled_item
from tests.kafka.conftest import A_MINUTE_S, AN_HOUR_S, Wiki, clock_of_today, run_of, started, until_idle
from wbd.demo.entities import EntityGenerator
from wbd.engines.mysql import Transaction
from wbd.errors import BrokerUnavailable, LeaseLost
from wbd.mapping.entity import map_entity
from wbd.revisions.revision import shard_of
from wbd.stack.kafka import KafkaBroker
from wbd.wiki import Wiki as OpenWiki


def pairs(events: list[Any]) -> list[tuple[str, int, int | None]]:
    return [(event.entity_id, event.revision_id, event.previous_revision_id) for event in events]


def triples(turtle: str) -> set[str]:
    return {str(quad.triple) for quad in ox.parse(turtle.encode(), ox.RdfFormat.TURTLE)}


def test_each_revision_becomes_one_event_with_the_documented_fields(wiki: Wiki) -> None:
    wiki.write(labelled_item(1, "universe", modified="2026-01-01T00:00:00Z"))
    worker, run = started(wiki)
    until_idle(worker, run)
    wiki.write(labelled_item(1, "cosmos", modified="2026-01-02T00:00:00Z"))
    wiki.write(labelled_item(2))
    until_idle(worker, run)
    until_idle(worker, run)
    worker.stop()
    events = {(event.entity_id, event.revision_id): event for event in wiki.diffs()}
    assert set(events) == {("Q1", 1), ("Q1", 2), ("Q2", 1)}
    first, second = events["Q1", 1], events["Q1", 2]
    assert (first.operation, first.previous_revision_id, first.schema_version) == ("import", None, "2.0.0")
    assert (second.operation, second.previous_revision_id) == ("diff", 1)
    assert second.timestamp.endswith("Z")
    removed, added = triples(second.rdf_removed_data), triples(second.rdf_added_data)
    assert len(removed) == len(added) == 5, "three triples of a label, version and date"
    assert sum('"universe"@en' in line for line in removed) == 3
    assert sum('"cosmos"@en' in line for line in added) == 3


def test_revisions_between_two_polls_all_come_and_in_order(wiki: Wiki) -> None:
    for round_number in range(5):
        for number in range(1, 21):
            wiki.write(labelled_item(number, f"label {round_number}"))
    worker, run = started(wiki)
    until_idle(worker, run)
    worker.stop()
    by_entity: dict[str, list[tuple[int, int | None]]] = {}
    for entity_id, revision_id, previous in pairs(wiki.diffs()):
        by_entity.setdefault(entity_id, []).append((revision_id, previous))
    chain = [(1, None), (2, 1), (3, 2), (4, 3), (5, 4)]
    assert by_entity == {f"Q{number}": chain for number in range(1, 21)}


def test_a_head_that_becomes_visible_late_is_not_missed(wiki: Wiki) -> None:
    """Commit skew: its timestamp lies before that of heads that were published already."""
    wiki.write(labelled_item(1))
    worker, run = started(wiki)
    holding, release = threading.Event(), threading.Event()
    until_idle(worker, run)
    # As another writer would leave it: the revision is there, the head is about to move.
    wiki.write(labelled_item(1, "late"))
    wiki.db.execute("UPDATE entity_head SET head_revision_id = 1 WHERE entity_id = 'Q1'")

    def commit_late(tx: Transaction) -> None:
        tx.execute("UPDATE entity_head SET head_revision_id = 2 WHERE entity_id = 'Q1'")
        holding.set()
        assert release.wait(20)

    thread = threading.Thread(target=lambda: wiki.db.transaction(commit_late))
    thread.start()
    assert holding.wait(20)
    same_shard = [n for n in range(2, 2000) if shard_of(f"Q{n}") == shard_of("Q1")][:3]
    for number in same_shard:
        wiki.write(labelled_item(number))
    until_idle(worker, run)
    assert ("Q1", 2) not in {pair[:2] for pair in pairs(wiki.diffs())}
    release.set()
    thread.join(20)
    until_idle(worker, run)
    worker.stop()
    assert ("Q1", 2, 1) in pairs(wiki.diffs())


def test_a_head_older_than_the_overlap_is_found_by_the_sweep(wiki: Wiki) -> None:
    clock = clock_of_today()
    worker, run = started(wiki, clock=clock, entity_diff_overlap_s=1.0)
    until_idle(worker, run)
    wiki.write(labelled_item(2))
    wiki.db.execute("UPDATE entity_head SET updated_at = '2020-01-01 00:00:00' WHERE entity_id = 'Q2'")
    until_idle(worker, run)
    assert wiki.diffs() == [], "no poll looks so far back"
    clock.advance(AN_HOUR_S)
    until_idle(worker, run)
    until_idle(worker, run)
    assert worker.health()["found_by_sweep"] == 1
    worker.stop()
    assert pairs(wiki.diffs()) == [("Q2", 1, None)]


def test_a_restart_goes_on_where_the_last_process_stopped_and_repeats_nothing(wiki: Wiki) -> None:
    for number in range(1, 31):
        wiki.write(labelled_item(number))
    worker, run = started(wiki)
    until_idle(worker, run)
    worker.stop()
    for number in range(1, 31, 2):
        wiki.write(labelled_item(number, "second"))
    worker, run = started(wiki, "w2")
    until_idle(worker, run)
    worker.stop()
    events = pairs(wiki.diffs())
    assert len(events) == len(set(events)) == 45


def test_two_processes_share_the_work_and_publish_each_revision_once(wiki: Wiki) -> None:
    clock = clock_of_today()
    a, run_a = started(wiki, "a", clock)
    b, run_b = started(wiki, "b")
    a.step(run_a)
    b.step(run_b)
    # More than a quarter of the lease, after which it is renewed.
    clock.advance(10)
    a.step(run_a)
    b.step(run_b)
    assert (a.health()["shards"], b.health()["shards"]) == (32, 32)
    for number in range(1, 101):
        wiki.write(labelled_item(number))
    threads = [threading.Thread(target=until_idle, args=pair) for pair in ((a, run_a), (b, run_b))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    events = pairs(wiki.diffs())
    assert sorted(events) == sorted((f"Q{number}", 1, None) for number in range(1, 101))
    assert a.health()["diffs_computed"] > 10
    assert b.health()["diffs_computed"] > 10
    a.stop()
    b.stop()


class SlowMachine(SetClock):
    """A clock by which *tick_s* pass between two readings."""

    tick_s = 0.0

    def mono_s(self) -> float:
        self.advance(self.tick_s)
        return super().mono_s()


def test_a_process_whose_lease_ran_out_publishes_nothing(wiki: Wiki) -> None:
    clock = SlowMachine()
    worker, run = started(wiki, clock=clock)
    worker.step(run)
    wiki.write(labelled_item(1))
    clock.tick_s = 8.0
    with pytest.raises(LeaseLost):
        worker.step(run)
    assert wiki.diffs() == []
    clock.tick_s = 0.0
    until_idle(worker, run)
    assert pairs(wiki.diffs()) == [("Q1", 1, None)]
    worker.stop()


# What another process does that takes every slot over.
TAKE_OVER = (
    "UPDATE worker_leases SET owner = 'another', token = token + 1,"
    " lease_until = CURRENT_TIMESTAMP(6) + INTERVAL 30 SECOND WHERE slot LIKE 's:%'"
)
RUN_OUT = "UPDATE worker_leases SET lease_until = CURRENT_TIMESTAMP(6) - INTERVAL 1 SECOND"


def test_a_process_whose_shards_another_one_took_over_publishes_nothing(wiki: Wiki) -> None:
    """As after the suspension of a machine, which its own clock does not show."""
    worker, run = started(wiki)
    worker.step(run)
    wiki.write(labelled_item(1))
    wiki.db.execute(TAKE_OVER)
    with pytest.raises(LeaseLost):
        worker.step(run)
    assert wiki.diffs() == []
    assert wiki.db.query("SELECT * FROM entity_diff_state") == []
    wiki.db.execute(RUN_OUT)
    until_idle(worker, run)
    worker.stop()
    assert pairs(wiki.diffs()) == [("Q1", 1, None)]


def test_a_process_whose_outbox_another_one_took_over_publishes_and_deletes_nothing(wiki: Wiki) -> None:
    wiki.write(labelled_item(1))
    worker, run = wiki.change_worker(), run_of("entity_change", "c1")
    worker.start(run)
    until_idle(worker, run)
    wiki.write(labelled_item(1, "second"))
    wiki.db.execute(TAKE_OVER)
    with pytest.raises(LeaseLost):
        worker.step(run)
    assert wiki.db.query("SELECT COUNT(*) FROM event_outbox") == [(1,)]
    assert len(wiki.messages(wiki.settings.kafka_entitychange_json_topic)) == 1
    wiki.db.execute(RUN_OUT)
    until_idle(worker, run)
    worker.stop()
    assert len(wiki.messages(wiki.settings.kafka_entitychange_json_topic)) == 2


def test_a_missing_snapshot_holds_its_entity_back_and_no_other(wiki: Wiki) -> None:
    written = wiki.write(labelled_item(1))
    revision = wiki.store.revision("Q1", written.revision_id)
    assert revision is not None
    snapshot = wiki.store.snapshot(revision)
    wiki.objects.delete(revision.snapshot_key)
    wiki.write(labelled_item(2))
    clock = clock_of_today()
    worker, run = started(wiki, clock=clock)
    until_idle(worker, run)
    assert pairs(wiki.diffs()) == [("Q2", 1, None)]
    (held,) = worker.health()["held_back"]
    assert held["entity_id"] == "Q1"
    assert revision.snapshot_key in held["reason"]
    wiki.objects.put(revision.snapshot_key, snapshot)
    clock.advance(A_MINUTE_S)
    until_idle(worker, run)
    assert ("Q1", 1, None) in pairs(wiki.diffs())
    assert worker.health()["held_back"] == []
    worker.stop()


def test_a_head_held_back_is_found_again_after_a_restart(wiki: Wiki) -> None:
    written = wiki.write(labelled_item(1))
    revision = wiki.store.revision("Q1", written.revision_id)
    assert revision is not None
    snapshot = wiki.store.snapshot(revision)
    wiki.objects.delete(revision.snapshot_key)
    worker, run = started(wiki, entity_diff_overlap_s=0.001)
    until_idle(worker, run)
    wiki.write(labelled_item(2))
    until_idle(worker, run)
    worker.stop()
    wiki.objects.put(revision.snapshot_key, snapshot)
    worker, run = started(wiki, "w2", entity_diff_overlap_s=0.001)
    until_idle(worker, run)
    worker.stop()
    assert sorted(pairs(wiki.diffs())) == [("Q1", 1, None), ("Q2", 1, None)]


def test_a_revision_that_cannot_be_mapped_is_set_aside_and_the_next_diffs_against_the_last_published(
    wiki: Wiki,
) -> None:
    wiki.write(labelled_item(1, "one"))
    bad = wiki.write(labelled_item(1, "two"))
    wiki.write(labelled_item(1, "three"))
    revision = wiki.store.revision("Q1", bad.revision_id)
    assert revision is not None
    wiki.objects.put(revision.snapshot_key, b'{"id": "Q1", "labels": ')
    worker, run = started(wiki)
    until_idle(worker, run)
    health = worker.health()
    worker.stop()
    assert pairs(wiki.diffs()) == [("Q1", 1, None), ("Q1", 3, 1)]
    assert health["set_aside"] == 1
    ((entity_id, revision_id, reason),) = wiki.db.query(
        "SELECT entity_id, revision_id, reason FROM entity_diff_failures"
    )
    assert (entity_id, revision_id) == ("Q1", 2)
    assert "not JSON" in reason


def test_nothing_is_recorded_as_published_until_the_broker_has_it(wiki: Wiki, kafka: KafkaBroker) -> None:
    worker, run = started(wiki)
    worker.step(run)
    wiki.write(labelled_item(1))
    wiki.write(labelled_item(1, "second"))
    kafka.kill()
    try:
        with pytest.raises(BrokerUnavailable):
            worker.step(run)
        assert wiki.db.query("SELECT * FROM entity_diff_state") == []
    finally:
        kafka.start()
    until_idle(worker, run)
    worker.stop()
    assert pairs(wiki.diffs()) == [("Q1", 1, None), ("Q1", 2, 1)]
    assert wiki.db.query("SELECT seen_revision_id, published_revision_id FROM entity_diff_state") == [(2, 2)]


def test_applying_all_events_gives_the_triples_of_the_head(wiki: Wiki) -> None:
    heads: dict[str, dict[str, Any]] = {}
    for entity in EntityGenerator(40, 80, seed=7).revisions():
        wiki.write(entity)
        heads[entity["id"]] = entity
    worker, run = started(wiki)
    until_idle(worker, run)
    worker.stop()
    graphs: dict[str, set[str]] = {}
    for event in wiki.diffs():
        graph = graphs.setdefault(event.entity_id, set())
        removed, added = triples(event.rdf_removed_data), triples(event.rdf_added_data)
        assert removed <= graph, f"{event.entity_id} r{event.revision_id} removes what is not there"
        assert not added & graph, f"{event.entity_id} r{event.revision_id} adds what is there"
        graphs[event.entity_id] = (graph - removed) | added
    context = OpenWiki(wiki.settings).mapping()
    for entity_id, head in heads.items():
        lines = "\n".join(map_entity(head, context))
        expected = {str(quad.triple) for quad in ox.parse(lines.encode(), ox.RdfFormat.N_TRIPLES)}
        assert graphs[entity_id] == expected, entity_id


def test_change_events_leave_the_outbox_once_the_broker_has_them(wiki: Wiki, kafka: KafkaBroker) -> None:
    wiki.write(labelled_item(1))
    wiki.write(labelled_item(1, "second"))
    worker, run = wiki.change_worker(), run_of("entity_change", "c1")
    worker.start(run)
    kafka.kill()
    try:
        with pytest.raises(BrokerUnavailable):
            worker.step(run)
        assert wiki.db.query("SELECT COUNT(*) FROM event_outbox") == [(2,)]
    finally:
        kafka.start()
    until_idle(worker, run)
    worker.stop()
    assert wiki.db.query("SELECT COUNT(*) FROM event_outbox") == [(0,)]
    values = wiki.messages(wiki.settings.kafka_entitychange_json_topic)
    assert len(values) == 2
    assert b'"operation":"create"' in values[0]
    assert b'"operation":"update"' in values[1]
