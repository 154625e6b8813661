"""Revisions become visible whole, in order, and only when the content is new."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.build.wikibase import by_property, entity_value, labelled_item, redirect, snak, statement, term, terms
from tests.mysql.import_cases import Json, check_laws, dump, events
from wbd.engines.mysql import Database
from wbd.engines.objects import ObjectStore, open_store
from wbd.entity.check import Entity, check_entity
from wbd.errors import BadInput, DatabaseError, HeadMoved, SnapshotMissing
from wbd.revisions.revision import SHARDS, Outcome, WriteResult, shard_of
from wbd.revisions.store import RevisionStore
from wbd.settings.kinds import ObjectsAddress


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    return open_store(ObjectsAddress(f"file://{tmp_path}/objects"), "revisions")


@pytest.fixture
def store(db: Database, objects: ObjectStore) -> RevisionStore:
    return RevisionStore(db, objects)


def entity(number: int = 1, label: str = "one", **more: Any) -> Entity:
    return check_entity(labelled_item(number, label, **more))


def outcome(result: WriteResult) -> tuple[str, int, int | None]:
    return (result.outcome, result.revision_id, result.parent_revision_id)


def test_a_new_entity_gets_a_snapshot_a_revision_a_head_rows_and_an_event(
    store: RevisionStore, db: Database, objects: ObjectStore
) -> None:
    assert outcome(store.write(entity(lastrevid=70, modified="2025-01-15T10:30:00Z"))) == ("created", 70, None)
    head, revision = store.head("Q1"), store.revision("Q1", 70)
    assert head is not None and revision is not None
    assert (head.revision_id, head.is_deleted, head.is_redirect) == (70, False, False)
    assert (revision.operation, revision.parent_revision_id) == ("create", None)
    assert orjson.loads(store.snapshot(revision)) == labelled_item(1, lastrevid=70, modified="2025-01-15T10:30:00Z")
    assert events(db) == [("entitybase.entity_change", "Q1", "Q1", 70, "create")]
    check_laws(db, objects)


def test_without_a_number_of_its_own_an_entity_counts_from_one(store: RevisionStore) -> None:
    assert outcome(store.write(entity(label="a"))) == ("created", 1, None)
    assert outcome(store.write(entity(label="b"))) == ("updated", 2, 1)
    revision = store.revision("Q1", 2)
    assert revision is not None
    snapshot = orjson.loads(store.snapshot(revision))
    assert snapshot["lastrevid"] == 2
    assert snapshot["modified"].endswith("Z")


@pytest.mark.parametrize("more", [{}, {"lastrevid": 5}, {"lastrevid": 90}])
def test_the_same_content_again_makes_no_revision(store: RevisionStore, db: Database, more: Json) -> None:
    store.write(entity(lastrevid=5))
    before = dump(db)
    assert outcome(store.write(entity(**more, modified="2030-01-01T00:00:00Z"))) == ("unchanged", 5, None)
    assert dump(db) == before


def test_a_later_number_is_taken_as_it_is(store: RevisionStore) -> None:
    store.write(entity(label="a", lastrevid=5))
    assert outcome(store.write(entity(label="b", lastrevid=80))) == ("updated", 80, 5)


@pytest.mark.parametrize("number", [None, 5, 3])
def test_other_content_under_no_number_or_a_known_one_is_the_next_revision(
    store: RevisionStore, number: int | None
) -> None:
    store.write(entity(label="a", lastrevid=3))
    store.write(entity(label="b", lastrevid=5))
    more = {} if number is None else {"lastrevid": number}
    assert outcome(store.write(entity(label="edited", **more))) == ("updated", 6, 5)
    assert outcome(store.write(entity(label="again", **more))) == ("updated", 7, 6)


def test_a_revision_that_is_stored_already_is_unchanged_though_the_head_is_later(store: RevisionStore) -> None:
    store.write(entity(label="a", lastrevid=3))
    store.write(entity(label="b", lastrevid=5))
    assert outcome(store.write(entity(label="a", lastrevid=3))) == ("unchanged", 5, None)


def test_a_revision_that_changed_nothing_is_unchanged_when_it_comes_again(store: RevisionStore) -> None:
    """It was not stored, so only the revision before it tells."""
    history = [entity(label="a", lastrevid=2), entity(label="a", lastrevid=3), entity(label="b", lastrevid=4)]
    assert [store.write(revision).outcome for revision in history] == ["created", "unchanged", "updated"]
    assert [store.write(revision).outcome for revision in history] == ["unchanged"] * 3


def test_a_revision_from_before_the_head_that_is_not_stored_is_stale(store: RevisionStore, db: Database) -> None:
    store.write(entity(label="b", lastrevid=5))
    before = dump(db)
    assert outcome(store.write(entity(label="a", lastrevid=3))) == ("stale", 5, None)
    assert dump(db) == before


def test_an_edit_takes_out_what_is_gone_adds_what_is_new_and_leaves_what_stays(
    store: RevisionStore, db: Database, objects: ObjectStore
) -> None:
    """added_at tells when a backlink came, so a row that stays is not written again."""

    def linking(*targets: str) -> Entity:
        return entity(
            claims=by_property(*(statement(f"Q1${target}", snak("P1", entity_value(target))) for target in targets))
        )

    store.write(linking("Q5", "Q6"))
    db.execute("UPDATE entity_backlinks SET added_at = '2001-01-01'")
    store.write(linking("Q6", "Q7"))
    rows = db.query("SELECT backlink_id, YEAR(added_at) = 2001 FROM entity_backlinks ORDER BY backlink_id")
    assert rows == [("Q6", 1), ("Q7", 0)]
    check_laws(db, objects)


def test_a_redirect_takes_the_rows_away_and_its_end_brings_them_back(
    store: RevisionStore, db: Database, objects: ObjectStore
) -> None:
    store.write(entity(2, "two"))
    moved = check_entity(redirect("Q2", "Q1"))
    assert outcome(store.write(moved)) == ("updated", 2, 1)
    assert db.query("SELECT entity_id, redirects_to FROM entity_redirects") == [("Q2", "Q1")]
    assert db.query("SELECT * FROM terms") == []
    check_laws(db, objects)
    assert outcome(store.write(moved)) == ("unchanged", 2, None)
    assert outcome(store.write(entity(2, "two"))) == ("updated", 3, 2)
    assert db.query("SELECT * FROM entity_redirects") == []
    check_laws(db, objects)


def test_a_deleted_entity_comes_back_with_a_new_revision_though_its_content_is_the_same(
    store: RevisionStore, db: Database
) -> None:
    store.write(entity())
    db.execute("UPDATE entity_head SET is_deleted = TRUE")
    assert outcome(store.write(entity())) == ("updated", 2, 1)
    assert events(db)[-1][-1] == "create"
    head = store.head("Q1")
    assert head is not None and not head.is_deleted


def test_editor_and_summary_go_into_the_revision_and_the_event(store: RevisionStore, db: Database) -> None:
    store.write(entity(), editor_id=7, edit_summary="é" * 600)
    assert db.query("SELECT editor_id, edit_summary FROM entity_revisions") == [(7, "é" * 500)]
    ((payload,),) = db.query("SELECT payload FROM event_outbox")
    assert orjson.loads(bytes(payload))["editor_id"] == 7
    store.write(entity(2))
    assert db.query("SELECT editor_id FROM entity_revisions WHERE entity_id = 'Q2'") == [(None,)]


def test_terms_of_every_plane_and_length_are_stored(store: RevisionStore, db: Database, objects: ObjectStore) -> None:
    """As Wikibase keeps them: aliases are trimmed, and an empty term is none."""
    query = "SELECT value FROM terms WHERE term_type = %s"
    texts = ["\U0001f600" * 3000, "a\x00b", "x ", "x", "ß", "SS", "é", "e\u0301", "\\'\"%s", ""]
    aliases = {"en": [term(text) for text in texts]}
    descriptions = terms(en="x ", de="x", fr="")
    store.write(entity(aliases=aliases, descriptions=descriptions))
    stored = {kind: {row[0] for row in db.query(query, (kind,))} for kind in ("alias", "description")}
    assert stored["alias"] == {text[:2500] for text in texts if text not in ("x ", "")}
    assert stored["description"] == {"x ", "x"}
    store.write(entity(label="other", aliases=aliases, descriptions=descriptions))
    check_laws(db, objects)


def test_a_missing_snapshot_is_an_error_of_its_own(store: RevisionStore, objects: ObjectStore) -> None:
    store.write(entity())
    revision = store.revision("Q1", 1)
    assert revision is not None
    objects.delete(revision.snapshot_key)
    with pytest.raises(SnapshotMissing, match=r"Q1 r1: snapshot Q1/r1-"):
        store.snapshot(revision)


def test_what_is_not_there_is_none(store: RevisionStore) -> None:
    assert store.head("Q1") is None
    assert store.revision("Q1", 1) is None
    assert store.heads([]) == {}


def test_a_batch_is_written_together_and_answers_in_order(
    store: RevisionStore, db: Database, objects: ObjectStore
) -> None:
    store.write(entity(2, "two"))
    store.write(entity(3, "three", lastrevid=9))
    transactions = db.stats.transactions
    batch = [entity(9, "nine"), entity(2, "two"), entity(3, "new", lastrevid=4), entity(1), entity(2 + 2, "four")]
    results = store.write_many([*batch, entity(5, "x")])
    assert [result.outcome for result in results if isinstance(result, WriteResult)] == [
        Outcome.CREATED,
        Outcome.UNCHANGED,
        Outcome.STALE,
        Outcome.CREATED,
        Outcome.CREATED,
        Outcome.CREATED,
    ]
    # One to read the heads, one for revisions that might be stored, one to write.
    assert db.stats.transactions - transactions == 3
    check_laws(db, objects)


def test_one_id_twice_in_a_batch_is_refused(store: RevisionStore) -> None:
    with pytest.raises(BadInput, match="twice"):
        store.write_many([entity(label="a"), entity(label="b")])


def test_an_entity_that_the_server_refuses_does_not_take_its_batch_with_it(store: RevisionStore, db: Database) -> None:
    """A revision without head, as after a restore of half a backup, is a duplicate key for its number."""
    db.execute(
        "INSERT INTO entity_revisions (entity_id, revision_id, operation, content_hash, snapshot_key, snapshot_bytes)"
        " VALUES ('Q2', 1, 'create', '', '', 0)"
    )
    results = store.write_many([entity(1), entity(2), entity(3)])
    assert [type(result) for result in results] == [WriteResult, DatabaseError, WriteResult]
    assert "Duplicate entry" in str(results[1])
    assert store.head("Q2") is None
    with pytest.raises(DatabaseError, match="Duplicate entry"):
        store.write(entity(2))


def test_of_two_writers_of_a_new_entity_one_creates_and_the_other_adds_the_next_revision(
    store: RevisionStore, db: Database, objects: ObjectStore
) -> None:
    """The loser of the compare-and-set reads again and decides again."""
    results: list[WriteResult] = []
    start = threading.Barrier(6)

    def write(label: str) -> None:
        start.wait(10)
        results.append(store.write(entity(label=label)))

    threads = [threading.Thread(target=write, args=(label,)) for label in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(result.revision_id for result in results) == [1, 2, 3, 4, 5, 6]
    assert [result.outcome for result in results].count(Outcome.CREATED) == 1
    assert sorted(result.parent_revision_id or 0 for result in results) == [0, 1, 2, 3, 4, 5]
    check_laws(db, objects)


def test_a_head_that_moves_between_decision_and_commit_is_never_overwritten(
    store: RevisionStore, db: Database, objects: ObjectStore
) -> None:
    """The rival writes while our snapshot is put, the widest moment of the race."""
    rival = RevisionStore(db, objects)
    moves = iter(range(10))

    class RacedObjects(ObjectStore):
        """A real bucket in which each put lets the rival write first."""

        def put_many(self, items: Any) -> None:
            super().put_many(items)
            for move in moves:
                rival.write(entity(label=f"rival {move}"))
                if move % 2:
                    break

    raced = RevisionStore(db, RacedObjects(objects._store, "revisions"))
    assert outcome(raced.write(entity(label="ours"))) == ("updated", 11, 10)
    assert [number for _, _, _, number, _ in events(db)] == list(range(1, 12))
    check_laws(db, objects)


def test_a_head_that_moves_at_every_try_ends_in_an_error_not_in_a_loop(db: Database, objects: ObjectStore) -> None:
    rival = RevisionStore(db, objects)
    count = 0

    class RacedObjects(ObjectStore):
        def put_many(self, items: Any) -> None:
            nonlocal count
            count += 1
            super().put_many(items)
            rival.write(entity(label=f"rival {count}"))

    raced = RevisionStore(db, RacedObjects(objects._store, "revisions"))
    with pytest.raises(HeadMoved, match="10 times in a row"):
        raced.write(entity(label="ours"))
    results = raced.write_many([entity(label="ours"), entity(2, "two")])
    assert isinstance(results[0], HeadMoved)
    assert isinstance(results[1], WriteResult)
    check_laws(db, objects)


def test_shards_are_spread_and_within_their_number() -> None:
    shards = [shard_of(f"Q{number}") for number in range(6400)]
    assert set(shards) == set(range(SHARDS))
    assert max(shards.count(shard) for shard in range(SHARDS)) < 200


EDITS = st.lists(
    st.tuples(st.sampled_from([1, 2]), st.sampled_from("abc"), st.none() | st.integers(1, 9)), min_size=1, max_size=8
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EDITS, st.booleans())
def test_any_sequence_of_writes_keeps_the_laws_and_a_repeat_of_each_write_changes_nothing(
    store: RevisionStore, db: Database, objects: ObjectStore, edits: list[tuple[int, str, int | None]], batched: bool
) -> None:
    for table in dump(db):
        db.execute(f"DELETE FROM {table}")
    for number, label, lastrevid in edits:
        more = {} if lastrevid is None else {"lastrevid": lastrevid}
        writes = [entity(number, label, **more)] + ([entity(3, label)] if batched else [])
        store.write_many(writes)
        check_laws(db, objects)
        before = dump(db)
        store.write_many(writes)
        assert dump(db) == before
