"""An API process writes, redirects, deletes and reads entities, and never loses or repeats an edit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.build.wikibase import item, labelled_item, terms
from tests.mysql.import_cases import Json, dump, events
from wbd.engines.mysql import Database
from wbd.engines.objects import ObjectStore, open_store
from wbd.entity.ids import EntityType
from wbd.errors import BadEntity, BadInput, EditRefused, HeadMoved, NoSuchEntity, PermanentError, SnapshotMissing
from wbd.ids.ranges import RangeTable
from wbd.revisions import Outcome, Revisions, RevisionStore, WriteResult
from wbd.settings.kinds import ObjectsAddress


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    return open_store(ObjectsAddress(f"file://{tmp_path}/objects"), "revisions")


@pytest.fixture
def revisions(db: Database, objects: ObjectStore) -> Revisions:
    return Revisions(RevisionStore(db, objects))


def imported_to(db: Database, entity_type: str = "item") -> int:
    rows = db.query("SELECT imported_to FROM id_high_water WHERE entity_type = %s", (entity_type,))
    return int(rows[0][0]) if rows else 0


def labels(revisions: Revisions, entity_id: str = "Q1") -> list[str]:
    """The English label of each revision, the latest first."""
    stored = [revisions.get(entity_id, one.revision_id) for one in revisions.history(entity_id)]
    return [one.data["labels"]["en"]["value"] if one is not None and one.snapshot else "" for one in stored]


def test_put_creates_edits_and_leaves_equal_content_alone(revisions: Revisions, db: Database) -> None:
    assert revisions.put(labelled_item(1, "a"), user_id=7, summary="first") == WriteResult("Q1", Outcome.CREATED, 1)
    assert revisions.put(labelled_item(1, "b"), user_id=8) == WriteResult("Q1", Outcome.UPDATED, 2, 1)
    before = dump(db)
    assert revisions.put(labelled_item(1, "b")) == WriteResult("Q1", Outcome.UNCHANGED, 2)
    assert dump(db) == before
    assert [event[2:] for event in events(db)] == [("Q1", 1, "create"), ("Q1", 2, "update")]
    stored = revisions.get("Q1")
    assert stored is not None and stored.data["labels"]["en"]["value"] == "b"
    first = revisions.get("Q1", 1)
    assert first is not None
    assert (first.revision.editor_id, first.revision.edit_summary, first.revision.operation) == (7, "first", "create")


def test_the_revision_that_the_json_names_is_replaced_by_the_one_that_is_written(revisions: Revisions) -> None:
    """An API process puts what it got; the import's rules for lastrevid would skip numbers, or call this a repeat."""
    revisions.put(labelled_item(1, "a"))
    revisions.put(labelled_item(1, "b"))
    for label, lastrevid in [("c", 900), ("a", 1), ("d", 2)]:
        revisions.put(labelled_item(1, label, lastrevid=lastrevid, modified="2001-01-01T00:00:00Z"))
    assert labels(revisions) == ["d", "a", "c", "b", "a"]
    stored = revisions.get("Q1")
    assert stored is not None and stored.data["lastrevid"] == 5
    assert datetime.fromisoformat(stored.data["modified"]).year > 2001
    assert abs((datetime.now(UTC) - stored.revision.created_at).total_seconds()) < 600


def test_text_is_read_strictly(revisions: Revisions) -> None:
    assert revisions.put(orjson.dumps(labelled_item(1))).outcome is Outcome.CREATED
    with pytest.raises(BadEntity, match="given twice") as caught:
        revisions.put(b'{"type":"item","id":"Q2","labels":{},"claims":{"P31":[],"P31":[]}}')
    assert caught.value.place == "claims.P31"
    with pytest.raises(BadInput) as broken:
        revisions.put(b'{"type":"item",}')
    assert broken.value.place == "column 15"
    with pytest.raises(BadEntity, match="not an entity object"):
        revisions.put(b"[]")


class Foreign:
    """What no JSON holds."""


@pytest.mark.parametrize(
    ("entity", "place"),
    [
        (item("Q01"), "id"),
        (item("L1-F1"), "id"),
        ({"type": "item"}, "id"),
        (labelled_item(1, claims={"P31": [{"id": "x"}]}), "claims.P31[0].mainsnak"),
        (item(labels=terms(en=5)), "labels.en.value"),
        (labelled_item(1, claims={"P31": [Foreign()]}), "claims.P31[0]"),
        (labelled_item(1, claims={"P31": [{"rank": 2**70}]}), "claims.P31[0].rank"),
        (labelled_item(1, "half \ud800"), "labels.en.value"),
        (labelled_item(1, aliases={"en": [float("nan")]}), "aliases.en[0]"),
        ({"id": "Q1", "redirect": "P1"}, "redirect"),
        ({"id": "Q1", "redirect": "Q1"}, "redirect"),
    ],
)
def test_a_bad_entity_is_refused_with_its_json_place(revisions: Revisions, entity: Json, place: str) -> None:
    with pytest.raises(BadEntity) as caught:
        revisions.put(entity)
    assert caught.value.place == place
    assert revisions.get("Q1") is None


@pytest.mark.parametrize(
    ("call", "place"),
    [
        (lambda r: r.put(labelled_item(1), user_id=0), "user_id"),
        (lambda r: r.put(labelled_item(1), user_id=2**32), "user_id"),
        (lambda r: r.put(labelled_item(1), user_id=True), "user_id"),
        (lambda r: r.put(labelled_item(1), summary="\udc00"), "summary"),
        (lambda r: r.put(labelled_item(1), base_revision_id=-1), "base_revision_id"),
        (lambda r: r.delete("x"), "entity_id"),
        (lambda r: r.delete("L1-F1"), "entity_id"),
        (lambda r: r.delete("Q1", base_revision_id="1"), "base_revision_id"),
        (lambda r: r.get("Q0"), "entity_id"),
        (lambda r: r.get("Q1", 0), "revision_id"),
        (lambda r: r.history("q1"), "entity_id"),
        (lambda r: r.history("Q1", limit=0), "limit"),
        (lambda r: r.history("Q1", limit=501), "limit"),
        (lambda r: r.history("Q1", before=0), "before"),
    ],
)
def test_a_bad_argument_is_refused_by_its_name(
    revisions: Revisions, call: Callable[[Revisions], object], place: str
) -> None:
    with pytest.raises(BadInput) as caught:
        call(revisions)
    assert caught.value.place == place


def test_an_edit_of_an_older_revision_is_a_conflict(revisions: Revisions, db: Database) -> None:
    revisions.put(labelled_item(1, "a"))
    revisions.put(labelled_item(1, "b"), base_revision_id=1)
    before = dump(db)
    for base, message in [(1, "edit of r1, but the head is r2"), (0, "expected no entity under this id"), (3, "r3")]:
        with pytest.raises(HeadMoved, match=message):
            revisions.put(labelled_item(1, "c"), base_revision_id=base)
        with pytest.raises(HeadMoved, match=message):
            revisions.delete("Q1", base_revision_id=base)
    with pytest.raises(HeadMoved, match="edit of r4, but no revision is stored"):
        revisions.put(labelled_item(2), base_revision_id=4)
    assert dump(db) == before
    assert revisions.put(labelled_item(2), base_revision_id=0).outcome is Outcome.CREATED


def test_an_edit_that_is_sent_again_is_found_done_though_its_base_is_gone(revisions: Revisions) -> None:
    """After a lost connection nobody knows whether the commit took effect; the same call finds out."""
    revisions.put(labelled_item(1, "a"))
    for outcome in (Outcome.UPDATED, Outcome.UNCHANGED):
        assert revisions.put(labelled_item(1, "b"), base_revision_id=1).outcome is outcome
    for outcome in (Outcome.UPDATED, Outcome.UNCHANGED):
        assert revisions.delete("Q1", base_revision_id=2).outcome is outcome


def test_a_deleted_entity_comes_back_by_put(revisions: Revisions, db: Database) -> None:
    revisions.put(labelled_item(1, "a"))
    assert revisions.delete("Q1", user_id=3, summary="spam") == WriteResult("Q1", Outcome.UPDATED, 2, 1)
    deleted = revisions.get("Q1")
    assert deleted is not None and deleted.revision.is_deletion
    assert (deleted.snapshot, deleted.data) == (b"", {})
    assert revisions.put(labelled_item(1, "a"), base_revision_id=2) == WriteResult("Q1", Outcome.UPDATED, 3, 2)
    assert [one.operation for one in revisions.history("Q1")] == ["create", "delete", "create"]
    assert [event[-1] for event in events(db)] == ["create", "delete", "create"]


def test_a_redirect_needs_an_entity_and_a_target_that_stands(revisions: Revisions, db: Database) -> None:
    for number in (1, 2, 3):
        revisions.put(labelled_item(number, str(number)))
    assert revisions.redirect("Q2", "Q1", summary="merged") == WriteResult("Q2", Outcome.UPDATED, 2, 1)
    assert revisions.redirect("Q2", "Q1") == WriteResult("Q2", Outcome.UNCHANGED, 2)
    stored = revisions.get("Q2")
    assert stored is not None and (stored.data["entity"], stored.data["redirect"]) == ("Q2", "Q1")
    before = dump(db)
    with pytest.raises(EditRefused, match="Q2 is a redirect itself"):
        revisions.redirect("Q3", "Q2")
    with pytest.raises(NoSuchEntity, match="Q9: no such entity"):
        revisions.redirect("Q3", "Q9")
    with pytest.raises(NoSuchEntity, match="Q9: no such entity; only a stored entity"):
        revisions.redirect("Q9", "Q1")
    assert dump(db) == before
    revisions.delete("Q1")
    with pytest.raises(NoSuchEntity, match="Q1: deleted in r2"):
        revisions.redirect("Q3", "Q1")
    revisions.put(labelled_item(2, "on its own again"))
    assert db.query("SELECT COUNT(*) FROM entity_redirects") == [(0,)]


def test_history_comes_in_pages_the_latest_first(revisions: Revisions) -> None:
    for number in range(1, 8):
        revisions.put(labelled_item(1, f"label {number}"))
    first = [one.revision_id for one in revisions.history("Q1", limit=3)]
    second = [one.revision_id for one in revisions.history("Q1", limit=3, before=first[-1])]
    assert (first, second) == ([7, 6, 5], [4, 3, 2])
    assert [one.revision_id for one in revisions.history("Q1", before=2)] == [1]
    assert revisions.history("Q1", before=1) == [] == revisions.history("Q2")


def test_what_is_not_there_is_none_and_a_lost_snapshot_an_error(revisions: Revisions, objects: ObjectStore) -> None:
    assert revisions.get("Q1") is None
    revisions.put(labelled_item(1))
    assert revisions.get("Q1", 2) is None
    stored = revisions.get("Q1")
    assert stored is not None
    objects.delete(stored.revision.snapshot_key)
    with pytest.raises(SnapshotMissing):
        revisions.get("Q1")


def test_the_id_of_a_new_entity_is_never_reserved_later(revisions: Revisions, db: Database) -> None:
    """One out of a range raises nothing: that would make every host drop the ids below it."""
    table = RangeTable(db)
    table.ensure_rows()
    reserved = table.reserve(EntityType.ITEM, 100)
    revisions.put(labelled_item(reserved.last))
    assert imported_to(db) == 0
    revisions.put(labelled_item(reserved.last + 500))
    assert imported_to(db) == reserved.last + 500
    revisions.put(labelled_item(reserved.last + 400))
    assert imported_to(db) == reserved.last + 500
    assert table.reserve(EntityType.ITEM, 100).first > reserved.last + 500


def race(attempts: Sequence[Callable[[], WriteResult]]) -> list[WriteResult | PermanentError | HeadMoved]:
    """Run edits at the same moment in a thread each; return what became of them."""
    start = threading.Barrier(len(attempts))
    results: list[WriteResult | PermanentError | HeadMoved] = []

    def run(attempt: Callable[[], WriteResult]) -> None:
        start.wait(20)
        try:
            results.append(attempt())
        except (PermanentError, HeadMoved) as error:
            results.append(error)

    threads = [threading.Thread(target=run, args=(attempt,)) for attempt in attempts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == len(attempts)
    return results


def test_of_several_edits_of_one_revision_exactly_one_wins(
    connect: Callable[[], Database], objects: ObjectStore, db: Database
) -> None:
    """Each writer has connections of its own, as processes have."""
    writers = [Revisions(RevisionStore(connect(), objects)) for _ in range(4)]
    for base in range(10):
        edits = [
            partial(writer.put, labelled_item(1, f"{base}/{number}"), base_revision_id=base)
            for number, writer in enumerate(writers)
        ]
        results = race(edits)
        assert [type(one) for one in results].count(WriteResult) == 1
        (won,) = [one for one in results if isinstance(one, WriteResult)]
        assert won.revision_id == base + 1
    assert [number for _, _, _, number, _ in events(db)] == list(range(1, 11))
    assert len(writers[0].history("Q1")) == 10


def test_without_a_base_every_edit_becomes_a_revision(
    connect: Callable[[], Database], objects: ObjectStore, db: Database
) -> None:
    writers = [Revisions(RevisionStore(connect(), objects)) for _ in range(4)]
    results = race([partial(writer.put, labelled_item(1, str(number))) for number, writer in enumerate(writers)])
    assert sorted(one.revision_id for one in results if isinstance(one, WriteResult)) == [1, 2, 3, 4]
    assert sorted(labels(writers[0])) == ["0", "1", "2", "3"]


def test_an_edit_and_a_deletion_of_one_revision_do_not_both_win(
    connect: Callable[[], Database], objects: ObjectStore, db: Database
) -> None:
    one, other = (Revisions(RevisionStore(connect(), objects)) for _ in range(2))
    for base in range(1, 12, 2):
        one.put(labelled_item(1, f"start {base}"), base_revision_id=base - 1)
        results = race(
            [
                partial(one.put, labelled_item(1, f"edit {base}"), base_revision_id=base),
                partial(other.delete, "Q1", base_revision_id=base),
            ]
        )
        assert sorted(type(result).__name__ for result in results)[1] == "WriteResult"
        assert [isinstance(result, HeadMoved) for result in results].count(True) == 1


def test_two_redirects_that_point_at_each_other_are_not_both_made(
    connect: Callable[[], Database], objects: ObjectStore, db: Database
) -> None:
    one, other = (Revisions(RevisionStore(connect(), objects)) for _ in range(2))
    for number in range(1, 20, 2):
        a, b = f"Q{number}", f"Q{number + 1}"
        one.put(labelled_item(number))
        one.put(labelled_item(number + 1))
        results = race([partial(one.redirect, a, b), partial(other.redirect, b, a)])
        assert sorted(type(result).__name__ for result in results) == ["EditRefused", "WriteResult"]


EDITS = st.lists(
    st.tuples(st.sampled_from(["put", "redirect", "delete"]), st.sampled_from([1, 2]), st.sampled_from("ab")),
    min_size=1,
    max_size=10,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EDITS)
def test_after_any_edits_the_numbers_have_no_gap_and_the_head_is_the_last_of_the_history(
    revisions: Revisions, db: Database, edits: list[tuple[str, int, str]]
) -> None:
    for table in dump(db):
        db.execute(f"DELETE FROM {table}")
    made: dict[str, list[Any]] = {"Q1": [], "Q2": []}
    for verb, number, label in edits:
        entity_id, other = f"Q{number}", f"Q{3 - number}"
        try:
            if verb == "put":
                result = revisions.put(labelled_item(number, label))
            elif verb == "redirect":
                result = revisions.redirect(entity_id, other)
            else:
                result = revisions.delete(entity_id)
        except EditRefused:
            continue
        if result.outcome is not Outcome.UNCHANGED:
            made[entity_id].append(result.revision_id)
    for entity_id, numbers in made.items():
        assert numbers == list(range(1, len(numbers) + 1))
        history = revisions.history(entity_id)
        assert [one.revision_id for one in reversed(history)] == numbers
        stored = revisions.get(entity_id)
        assert (stored.revision if stored else None) == (history[0] if history else None)
