"""A deletion is a revision: numbered, announced, and no row about the entity's head is left."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from tests.build.wikibase import item, labelled_item
from tests.mysql.import_cases import dump, events
from wbd.engines.mysql import Database, Transaction
from wbd.engines.objects import ObjectStore, open_store
from wbd.entity.check import check_entity
from wbd.errors import HeadMoved, NoSuchEntity
from wbd.revisions import Outcome, Revisions, RevisionStore, WriteResult
from wbd.revisions.rows import TABLES
from wbd.settings.kinds import ObjectsAddress


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    return open_store(ObjectsAddress(f"file://{tmp_path}/objects"), "revisions")


@pytest.fixture
def store(db: Database, objects: ObjectStore) -> RevisionStore:
    return RevisionStore(db, objects)


def rows(db: Database) -> int:
    return sum(db.query(f"SELECT COUNT(*) FROM {table.name} WHERE entity_id = 'Q1'")[0][0] for table in TABLES)


def test_it_takes_the_rows_away_keeps_the_revisions_and_is_announced(db: Database, store: RevisionStore) -> None:
    store.write(check_entity(labelled_item(1, lastrevid=7)))
    store.write(check_entity(labelled_item(2)))
    assert rows(db) > 0
    assert Revisions(store).delete("Q1", user_id=5, summary="gone") == WriteResult("Q1", Outcome.UPDATED, 8, 7)
    head, revision = store.head("Q1"), store.revision("Q1", 8)
    assert head is not None and head.is_deleted and head.revision_id == 8
    assert revision is not None and (revision.operation, revision.parent_revision_id) == ("delete", 7)
    assert rows(db) == 0 and store.revision("Q1", 7) is not None
    assert [event[2:] for event in events(db)][-1] == ("Q1", 8, "delete")
    head = store.head("Q2")
    assert head is not None and not head.is_deleted


def test_a_second_time_changes_nothing_and_what_is_not_there_is_refused(db: Database, store: RevisionStore) -> None:
    store.write(check_entity(labelled_item(1)))
    Revisions(store).delete("Q1")
    before = dump(db)
    assert Revisions(store).delete("Q1") == WriteResult("Q1", Outcome.UNCHANGED, 2)
    with pytest.raises(NoSuchEntity, match="Q9: no such entity"):
        Revisions(store).delete("Q9")
    assert dump(db) == before


def test_writing_it_again_brings_it_back_as_a_new_revision(db: Database, store: RevisionStore) -> None:
    store.write(check_entity(labelled_item(1)))
    Revisions(store).delete("Q1")
    result = store.write(check_entity(labelled_item(1)))
    assert (result.outcome, result.revision_id) == (Outcome.UPDATED, 3)
    head, revision = store.head("Q1"), store.revision("Q1", 3)
    assert head is not None and not head.is_deleted
    assert revision is not None and revision.operation == "create"
    assert rows(db) > 0


def test_a_long_summary_is_cut_alike_in_the_revision_and_the_event(db: Database, store: RevisionStore) -> None:
    store.write(check_entity(labelled_item(1)))
    Revisions(store).delete("Q1", user_id=5, summary="é" * 600)
    assert db.query("SELECT edit_summary FROM entity_revisions WHERE revision_id = 2") == [("é" * 500,)]
    ((payload,),) = db.query("SELECT payload FROM event_outbox ORDER BY id DESC LIMIT 1")
    assert orjson.loads(bytes(payload))["edit_summary"] == "é" * 500


def test_a_redirect_can_be_deleted(db: Database, store: RevisionStore) -> None:
    store.write(check_entity(item("Q1", redirect="Q2")))
    Revisions(store).delete("Q1")
    head = store.head("Q1")
    assert head is not None and head.is_deleted and not head.is_redirect and rows(db) == 0


def test_a_head_that_another_writer_moves_at_the_same_time_is_left_alone(
    connect: Callable[[], Database], db: Database, store: RevisionStore, objects: ObjectStore
) -> None:
    store.write(check_entity(labelled_item(1)))
    holding, done = threading.Event(), threading.Event()
    outcome: list[object] = []

    def move(tx: Transaction) -> None:
        tx.execute("UPDATE entity_head SET head_revision_id = 2 WHERE entity_id = 'Q1'")
        holding.set()
        # The deletion has read the head that was, and waits for the row.
        done.wait(1.0)

    def delete() -> None:
        try:
            outcome.append(Revisions(RevisionStore(connect(), objects)).delete("Q1", base_revision_id=1))
        except HeadMoved as error:
            outcome.append(error)

    mover = threading.Thread(target=lambda: db.transaction(move))
    mover.start()
    assert holding.wait(20)
    deleter = threading.Thread(target=delete)
    deleter.start()
    deleter.join(20)
    done.set()
    mover.join(20)
    assert isinstance(outcome[0], HeadMoved)
    head = store.head("Q1")
    assert head is not None and (head.revision_id, head.is_deleted) == (2, False)
    assert rows(db) > 0
