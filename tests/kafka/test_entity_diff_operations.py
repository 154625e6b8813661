"""The diff worker publishes deletions, chunks and reconciles besides plain edits, also with several processes."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import orjson
import psutil
import pyoxigraph as ox
import pytest

from tests.build.clock import SetClock
from tests.build.wikibase import item, labelled_item, sitelink, snak, statement, text
from tests.kafka.conftest import A_MINUTE_S, AN_HOUR_S, Wiki, clock_of_today, started, until_idle
from tests.kafka.test_entity_diff_worker import pairs, triples
from tests.kafka.triple_store import TripleStore
from wbd.cli import main
from wbd.diff_stream.chains import MIN_TRIES
from wbd.diff_stream.requests import DiffRequests
from wbd.engines.kafka import Topics
from wbd.runtime.worker import Run
from wbd.workers.entity_diff import EntityDiffWorker

SMALL = 20_000


def operations(wiki: Wiki) -> list[tuple[str, int, int | None]]:
    return [(event.operation, event.revision_id, event.previous_revision_id) for event in wiki.diffs()]


def retry_often(worker: EntityDiffWorker, run: Run, clock: SetClock) -> None:
    """Let every held back entity be retried MIN_TRIES times."""
    for _ in range(MIN_TRIES):
        clock.advance(A_MINUTE_S)
        until_idle(worker, run)


def planners() -> list[psutil.Process]:
    """Return the processes that plan chains for this one."""
    return [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


def numbered(number: int, value: str) -> dict[str, Any]:
    """Return a statement of Q1 with this text."""
    return statement(f"Q1${number}", snak("P1", text(value), datatype="string"))


def test_a_deletion_takes_everything_away_and_what_comes_after_it_is_an_import(wiki: Wiki) -> None:
    worker, run = started(wiki)
    wiki.write(labelled_item(1, "one"))
    until_idle(worker, run)
    wiki.delete("Q1")
    until_idle(worker, run)
    wiki.write(labelled_item(1, "back"))
    until_idle(worker, run)
    worker.stop()
    created, deleted, back = wiki.diffs()
    assert operations(wiki) == [("import", 1, None), ("delete", 2, 1), ("import", 3, 2)]
    assert triples(deleted.rdf_removed_data) == triples(created.rdf_added_data)
    assert deleted.rdf_added_data == back.rdf_removed_data == ""


def test_an_entity_that_came_and_went_between_two_polls_leaves_nothing(wiki: Wiki) -> None:
    wiki.write(labelled_item(1))
    wiki.delete("Q1")
    worker, run = started(wiki)
    until_idle(worker, run)
    worker.stop()
    assert [each[0] for each in operations(wiki)] == ["import", "delete"]


def test_a_redirect_and_its_end_are_diffs(wiki: Wiki) -> None:
    wiki.write(labelled_item(1, "one"))
    wiki.write(item("Q1", redirect="Q2"))
    wiki.write(labelled_item(1, "one"))
    worker, run = started(wiki)
    until_idle(worker, run)
    worker.stop()
    assert [each[0] for each in operations(wiki)] == ["import", "diff", "diff"]
    _, redirect, back = wiki.diffs()
    (line,) = triples(redirect.rdf_added_data)
    assert "sameAs" in line and triples(back.rdf_removed_data) == {line}


def test_shared_data_is_a_part_of_what_came_and_went(wiki: Wiki) -> None:
    worker, run = started(wiki)
    wiki.write(labelled_item(1, sitelinks=sitelink("enwiki", "One")))
    wiki.write(labelled_item(1))
    until_idle(worker, run)
    worker.stop()
    created, edited = wiki.diffs()
    linked, unlinked = triples(created.rdf_linked_shared_data), triples(edited.rdf_unlinked_shared_data)
    assert linked == unlinked and linked < triples(created.rdf_added_data)
    assert unlinked < triples(edited.rdf_removed_data)
    assert any('"One"@en' in line for line in linked) and not any("schema.org/about" in line for line in linked)


def test_an_event_that_one_message_does_not_hold_comes_in_chunks_that_follow_one_another(wiki: Wiki) -> None:
    topic = f"{wiki.settings.kafka_entity_diff_topic}-small"
    # Of its own, with room for messages of this size only.
    small = Topics(wiki.settings.brokers())
    small.create(topic, partitions=1, replication=1, max_message_bytes=SMALL)
    statements = [numbered(n, f"value {n} " + "x" * 60) for n in range(300)]
    wiki.write(labelled_item(1, claims={"P1": statements}))
    wiki.write(labelled_item(1, claims={"P1": statements[:10]}))
    wiki.write(labelled_item(2))
    worker, run = started(wiki, kafka_entity_diff_topic=topic)
    until_idle(worker, run)
    health = worker.health()
    worker.stop()
    messages = wiki.messages(topic)
    assert max(map(len, messages)) < SMALL
    events = [orjson.loads(message) for message in messages]
    lengths = [each["sequence_length"] for each in events if each["entity_id"] == "Q1" and each["sequence"] == 0]
    assert len(lengths) == 2 and min(lengths) > 2, "both are in chunks"
    assert len({each["event_id"] for each in events}) == len(events) == health["kafka"]["messages"]
    assert health["diffs_computed"] == 3
    store = TripleStore()
    for message in messages:
        store.apply(message)
    values = store.store.quads_for_pattern(None, ox.NamedNode("http://www.wikidata.org/prop/direct/P1"), None)
    assert len(list(values)) == 10


def test_a_triple_that_no_message_holds_sets_its_revision_aside(wiki: Wiki) -> None:
    topic = f"{wiki.settings.kafka_entity_diff_topic}-small"
    Topics(wiki.settings.brokers()).create(topic, partitions=1, replication=1, max_message_bytes=SMALL)
    wiki.write(labelled_item(1, "one"))
    wiki.write(labelled_item(1, "x" * SMALL))
    wiki.write(labelled_item(1, "three"))
    worker, run = started(wiki, kafka_entity_diff_topic=topic)
    until_idle(worker, run)
    worker.stop()
    assert [orjson.loads(message)["revision_id"] for message in wiki.messages(topic)] == [1, 3]
    ((reason,),) = wiki.db.query("SELECT reason FROM entity_diff_failures")
    assert "one triple does not fit" in reason


def test_a_snapshot_that_stays_missing_is_set_aside_and_the_next_revision_goes_on(wiki: Wiki) -> None:
    for label in ("one", "two", "three"):
        wiki.write(labelled_item(1, label))
    wiki.drop_snapshot("Q1", 2)
    clock = clock_of_today()
    worker, run = started(wiki, clock=clock, entity_diff_missing_after_s=0.001)
    until_idle(worker, run)
    assert pairs(wiki.diffs()) == [("Q1", 1, None)] and len(worker.health()["held_back"]) == 1
    retry_often(worker, run, clock)
    assert worker.health()["held_back"] == []
    worker.stop()
    assert pairs(wiki.diffs()) == [("Q1", 1, None), ("Q1", 3, 1)]
    assert wiki.db.query("SELECT revision_id, missing FROM entity_diff_failures") == [(2, 1)]


def test_a_young_revision_is_waited_for_however_often_its_snapshot_was_not_there(wiki: Wiki) -> None:
    wiki.write(labelled_item(1))
    wiki.drop_snapshot("Q1", 1)
    clock = clock_of_today()
    worker, run = started(wiki, clock=clock)
    until_idle(worker, run)
    retry_often(worker, run, clock)
    assert worker.health()["held_back"][0]["failures"] == MIN_TRIES + 1
    worker.stop()
    assert wiki.db.query("SELECT * FROM entity_diff_failures") == []


def test_a_head_whose_missing_snapshot_appears_is_published_whole(wiki: Wiki) -> None:
    wiki.write(labelled_item(1, "one"))
    wiki.write(labelled_item(1, "two"))
    key, data = wiki.drop_snapshot("Q1", 2)
    clock = clock_of_today()
    worker, run = started(wiki, clock=clock, entity_diff_missing_after_s=0.001)
    until_idle(worker, run)
    retry_often(worker, run, clock)
    clock.advance(A_MINUTE_S)
    until_idle(worker, run)
    assert worker.health()["held_back"] == []
    assert operations(wiki) == [("import", 1, None)]
    wiki.objects.put(key, data)
    clock.advance(A_MINUTE_S)
    until_idle(worker, run)
    assert worker.health()["reconciles"] == 1
    clock.advance(A_MINUTE_S)
    until_idle(worker, run)
    wiki.write(labelled_item(1, "three"))
    until_idle(worker, run)
    worker.stop()
    assert operations(wiki) == [("import", 1, None), ("reconcile", 2, 1), ("diff", 3, 2)]
    assert any('"two"@en' in line for line in triples(wiki.diffs()[1].rdf_added_data))


def test_when_what_consumers_hold_is_lost_the_next_revision_is_published_whole(wiki: Wiki) -> None:
    wiki.write(labelled_item(1, "one"))
    worker, run = started(wiki)
    until_idle(worker, run)
    worker.stop()
    # Another process, which has not cached the snapshot.
    clock = clock_of_today()
    worker, run = started(wiki, "w2", clock, entity_diff_missing_after_s=0.001)
    wiki.drop_snapshot("Q1", 1)
    wiki.write(labelled_item(1, "two"))
    wiki.write(labelled_item(1, "three"))
    until_idle(worker, run)
    retry_often(worker, run, clock)
    assert worker.health()["reconciles"] == 1
    worker.stop()
    assert operations(wiki) == [("import", 1, None), ("reconcile", 2, 1), ("diff", 3, 2)]


def test_a_snapshot_of_another_entity_is_set_aside(wiki: Wiki) -> None:
    """Two heads for one entity would overwrite each other with every edit."""
    wiki.write(labelled_item(1))
    revision = wiki.store.revision("Q1", 1)
    assert revision is not None
    wiki.objects.put(revision.snapshot_key, orjson.dumps(labelled_item(2)))
    worker, run = started(wiki)
    until_idle(worker, run)
    worker.stop()
    assert wiki.diffs() == []
    ((reason,),) = wiki.db.query("SELECT reason FROM entity_diff_failures")
    assert reason == "snapshot of r1: holds 'Q2', expected Q1"


def test_whoever_asks_gets_an_entity_published_whole_in_order_with_its_other_events(
    wiki: Wiki, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The request comes from the command, while a worker runs."""
    settings = wiki.settings
    for name in ("VITESS_UNIX_SOCKET", "VITESS_USER", "VITESS_DATABASE"):
        monkeypatch.setenv(name, str(getattr(settings, name.lower())))
    monkeypatch.setenv("WBD_STATE_DIR", str(settings.state_dir))
    wiki.write(labelled_item(1, "one"))
    wiki.write(labelled_item(2))
    clock = clock_of_today()
    worker, run = started(wiki, clock=clock)
    until_idle(worker, run)
    wiki.write(labelled_item(1, "two"))
    wiki.delete("Q2")
    done = threading.Event()

    def work() -> None:
        while not done.wait(0.05):
            clock.advance(A_MINUTE_S)
            until_idle(worker, run)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert main(["diff-worker", "reconcile", "Q1", "Q2", "--timeout", "30"]) == 0
    finally:
        done.set()
        thread.join()
    worker.stop()
    assert sorted(capsys.readouterr().out.splitlines()) == ["Q1: r2 published whole", "Q2: r2 published whole"]
    last = [event for event in wiki.diffs() if event.entity_id == "Q1"][-1]
    assert (last.operation, last.revision_id) == ("reconcile", 2) and last.rdf_removed_data == ""
    assert wiki.db.query("SELECT * FROM entity_diff_requests") == []


def test_two_reconciles_of_one_revision_are_two_events(wiki: Wiki) -> None:
    wiki.write(labelled_item(1))
    clock = clock_of_today()
    worker, run = started(wiki, clock=clock)
    until_idle(worker, run)
    for _ in range(2):
        DiffRequests(wiki.db).ask(["Q1"])
        clock.advance(A_MINUTE_S)
        until_idle(worker, run)
    worker.stop()
    assert [each[0] for each in operations(wiki)] == ["import", "reconcile", "reconcile"]
    assert len({event.event_id for event in wiki.diffs()}) == 3


def test_what_was_set_aside_and_cannot_be_reconciled_says_why(
    wiki: Wiki, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("VITESS_UNIX_SOCKET", "VITESS_USER", "VITESS_DATABASE"):
        monkeypatch.setenv(name, str(getattr(wiki.settings, name.lower())))
    monkeypatch.setenv("WBD_STATE_DIR", str(wiki.settings.state_dir))
    wiki.write(labelled_item(1))
    revision = wiki.store.revision("Q1", 1)
    assert revision is not None
    wiki.objects.put(revision.snapshot_key, b"[]")
    asked_at = DiffRequests(wiki.db).ask(["Q1"])
    worker, run = started(wiki)
    until_idle(worker, run)
    worker.stop()
    answer = DiffRequests(wiki.db).answers(["Q1"], asked_at)["Q1"]
    assert answer.revision_id is None and "not a JSON object" in answer.reason
    assert main(["diff-worker", "failures", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()[-1:]
    assert orjson.loads(line)["revision_id"] == 1
    assert main(["diff-worker", "reconcile", "Q7"]) == 2
    assert "no entity Q7" in capsys.readouterr().err


def test_several_processes_publish_the_same_and_the_loss_of_one_loses_nothing(wiki: Wiki) -> None:
    worker, run = started(wiki, entity_diff_processes=2)
    for number in range(1, 41):
        wiki.write(labelled_item(number, "one"))
    until_idle(worker, run)
    children = planners()
    assert len(children) == 2
    for number in range(1, 41):
        wiki.write(labelled_item(number, "two"))
    os.kill(children[0].pid, signal.SIGKILL)
    until_idle(worker, run)
    worker.stop()
    assert not any(child.is_running() for child in children)
    assert sorted(pairs(wiki.diffs())) == sorted(
        pair for number in range(1, 41) for pair in ((f"Q{number}", 1, None), (f"Q{number}", 2, 1))
    )
    assert wiki.db.query("SELECT * FROM entity_diff_failures") == []


def test_a_sweep_goes_on_while_there_is_other_work(wiki: Wiki) -> None:
    clock = clock_of_today()
    worker, run = started(wiki, clock=clock, pace={"batch_heads": 1, "batch_revisions": 2}, entity_diff_overlap_s=1.0)
    until_idle(worker, run)
    for number in range(2, 5):
        for label in range(6):
            wiki.write(labelled_item(number, f"label {label}"))
    worker.step(run)
    wiki.write(labelled_item(1))
    wiki.db.execute("UPDATE entity_head SET updated_at = '2020-01-01 00:00:00' WHERE entity_id = 'Q1'")
    clock.advance(AN_HOUR_S)
    while worker.health()["found_by_sweep"] == 0:
        assert worker.health()["diffs_computed"] < 18, "it was not found before the other work was done"
        worker.step(run)
    until_idle(worker, run)
    worker.stop()
    assert ("Q1", 1, None) in pairs(wiki.diffs())


def test_the_next_edit_of_an_entity_reads_one_snapshot(wiki: Wiki) -> None:
    worker, run = started(wiki)
    for label in ("one", "two", "three"):
        wiki.write(labelled_item(1, label))
        until_idle(worker, run)
    assert worker.health()["snapshots"] == {"read": 3, "from_cache": 2}
    worker.stop()
