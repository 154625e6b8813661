"""Read and write the revisions of entities.

Reads:   entity_head, entity_revisions, snapshots
Writes:  snapshots (each key once, before any row names it), for an import id_high_water, and what commit.py writes
Repeats: harmless; content that is already stored makes no revision

A writer that dies leaves at most an object that no row names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC

from wbd.engines.mysql import Database, Row
from wbd.engines.objects import ObjectStore
from wbd.entity.check import Entity
from wbd.entity.ids import EntityType, parse_id
from wbd.errors import BadInput, DatabaseError, HeadMoved, PermanentError, SnapshotMissing
from wbd.ids.high_water import HighWater
from wbd.revisions.commit import Edit, Plan, commit, plan_deletion, plan_revision, read_heads
from wbd.revisions.revision import Head, Outcome, Revision, WriteResult
from wbd.revisions.rows import EntityRows, rows_of
from wbd.runtime.clock import Clock, SystemClock

CHANGE_TOPIC = "entitybase.entity_change"

_REVISION_COLUMNS = (
    "entity_id, revision_id, parent_revision_id, operation, content_hash, snapshot_key, snapshot_bytes, created_at,"
    " editor_id, edit_summary"
)
# Over every revision number, which is at most MAX_ID.
_NO_BOUND = 2**64 - 1
_BATCH_ATTEMPTS = 3
_ONE_BY_ONE_ATTEMPTS = 10


class RevisionStore:
    """
    Revisions of entities in a database and a bucket. Safe to share between threads.

    Args:
        change_topic: Kafka topic that the outbox names for entity change events.
    """

    def __init__(
        self, db: Database, objects: ObjectStore, *, change_topic: str = CHANGE_TOPIC, clock: Clock | None = None
    ) -> None:
        self._db = db
        self._objects = objects
        self._high_water = HighWater(db)
        self._change_topic = change_topic
        self._clock = clock or SystemClock()

    def head(self, entity_id: str) -> Head | None:
        """Return an entity's head, None if there is none. Raises DatabaseUnavailable."""
        return self.heads([entity_id]).get(entity_id)

    def heads(self, entity_ids: Sequence[str]) -> dict[str, Head]:
        """Return the heads of those entities that have one. Raises DatabaseUnavailable."""
        return self._db.transaction(lambda tx: read_heads(tx, entity_ids)) if entity_ids else {}

    def revision(self, entity_id: str, revision_id: int) -> Revision | None:
        """Return one revision, None if there is none. Raises DatabaseUnavailable."""
        rows = self._db.query(
            f"SELECT {_REVISION_COLUMNS} FROM entity_revisions WHERE entity_id = %s AND revision_id = %s",
            (entity_id, revision_id),
        )
        return _revision(rows[0]) if rows else None

    def history(self, entity_id: str, *, limit: int, before: int | None = None) -> list[Revision]:
        """Return up to *limit* revisions, the latest first, of those with a number under *before*."""
        rows = self._db.query(
            f"SELECT {_REVISION_COLUMNS} FROM entity_revisions WHERE entity_id = %s AND revision_id < %s"
            " ORDER BY revision_id DESC LIMIT %s",
            (entity_id, _NO_BOUND if before is None else before, limit),
        )
        return [_revision(row) for row in rows]

    def snapshot(self, revision: Revision) -> bytes:
        """
        Return the stored JSON of a revision.

        Raises:
            SnapshotMissing: the bucket does not hold it; a replica may be behind.
            ObjectStoreUnavailable: the bucket does not answer.
        """
        data = self._objects.get(revision.snapshot_key)
        if data is None:
            raise SnapshotMissing(
                f"{revision.entity_id} r{revision.revision_id}: snapshot {revision.snapshot_key} missing"
            )
        return data

    def write(self, entity: Entity, *, editor_id: int | None = None, edit_summary: str = "") -> WriteResult:
        """
        Write one entity: see write_many.

        Raises:
            HeadMoved: other writers moved the head ten times in a row.
            DatabaseError: the server refused a statement; nothing was written.
            DatabaseUnavailable, ObjectStoreUnavailable: see write_many.
        """
        result = self.write_many([entity], editor_id=editor_id, edit_summary=edit_summary)[0]
        if isinstance(result, WriteResult):
            return result
        raise result

    def write_many(
        self,
        entities: Sequence[Entity],
        *,
        editor_id: int | None = None,
        edit_summary: str = "",
        imported: bool = False,
    ) -> list[WriteResult | PermanentError | HeadMoved]:
        """
        Write entities, several in one transaction; each is visible whole or not at all.

        A new revision gets the entity's lastrevid as its number if that is after the head, otherwise the number after
        the head. Content equal to the head's, or to what was stored as of that lastrevid, makes no revision. Other
        content whose lastrevid is before the head and not stored is stale and is not written.

        Args:
            entities: no two with the same id.
            editor_id: user of the wiki, None when there is none.
            imported: the ids were not taken from this wiki's ranges. Those of new entities are kept from being
                reserved before any of the entities becomes visible.

        Returns:
            One result per entity, in order: what became of it, or why it alone could not be written.

        Raises:
            BadInput: two entities have the same id.
            DatabaseUnavailable, ObjectStoreUnavailable: some entities may not be written; the same call again
                completes it.
        """
        if len({entity.id for entity in entities}) != len(entities):
            raise BadInput("one id twice in one batch; write its revisions one after the other")
        edit = Edit(editor_id, edit_summary, self._clock.now())
        return _Batch(self, entities, edit, imported=imported).write()

    def append(self, entity: Entity, head: Head | None, edit: Edit) -> WriteResult:
        """
        Write one entity as the revision after *head*, whatever it says of its own revision; one attempt.

        Args:
            head: the head that is replaced, None for an entity that has no revision yet.

        Raises:
            HeadMoved: the entity's head is another one; nothing was written.
            EditRefused: a redirect's target does not stand; nothing was written.
            DatabaseUnavailable, ObjectStoreUnavailable: nothing is known to be written.
        """
        revision_id = head.revision_id + 1 if head else 1
        own = replace(entity, lastrevid=None, modified=None)
        plan = plan_revision(own, rows_of(own), head, revision_id, edit.made_at)
        self._objects.put(plan.snapshot_key, plan.snapshot)
        if head is None:
            self._high_water.keep_unreserved(entity.type, parse_id(entity.id).number)
        commit(self._db, [plan], edit, self._change_topic, check_targets=True)
        return plan.result()

    def append_deletion(self, head: Head, edit: Edit) -> WriteResult:
        """
        Delete an entity: a revision without a snapshot becomes its head; one attempt.

        The revisions before it and their snapshots stay.

        Raises:
            HeadMoved: the entity's head is another one; nothing was written.
            DatabaseUnavailable: nothing is known to be written.
        """
        plan = plan_deletion(head)
        commit(self._db, [plan], edit, self._change_topic)
        return plan.result()

    def decide(self, entities: Sequence[Entity]) -> dict[str, WriteResult | tuple[Head | None, int]]:
        """
        Decide what writing each entity would do now, by the rules of write_many.

        Returns:
            Entity id -> its result if there is nothing to write, else the head to replace and the new number.
        """
        heads = self.heads([entity.id for entity in entities])
        earlier = self._latest_at_or_before(
            [
                (entity.id, entity.lastrevid)
                for entity in entities
                if (head := heads.get(entity.id)) and entity.lastrevid and entity.lastrevid <= head.revision_id
            ]
        )
        decisions: dict[str, WriteResult | tuple[Head | None, int]] = {}
        for entity in entities:
            head = heads.get(entity.id)
            if head is None:
                decisions[entity.id] = (None, entity.lastrevid or 1)
                continue
            same_as_head = head.content_hash == entity.content_hash and not head.is_deleted
            stored_id, stored_hash = earlier.get(entity.id, (None, None))
            if same_as_head or stored_hash == entity.content_hash:
                decisions[entity.id] = WriteResult(entity.id, Outcome.UNCHANGED, head.revision_id)
            elif entity.lastrevid is not None and entity.lastrevid > head.revision_id:
                decisions[entity.id] = (head, entity.lastrevid)
            elif entity.lastrevid is None or stored_id == entity.lastrevid:
                decisions[entity.id] = (head, head.revision_id + 1)
            else:
                decisions[entity.id] = WriteResult(entity.id, Outcome.STALE, head.revision_id)
        return decisions

    def _latest_at_or_before(self, revisions: Sequence[tuple[str, int]]) -> dict[str, tuple[int, str]]:
        """
        Return entity id -> number and content hash of its last stored revision up to the given number.

        Not only of that number itself: a revision that changed nothing was not stored, and its content is that of
        the one before it.
        """
        if not revisions:
            return {}
        one = (
            "(SELECT entity_id, revision_id, content_hash FROM entity_revisions"
            " WHERE entity_id = %s AND revision_id <= %s ORDER BY revision_id DESC LIMIT 1)"
        )
        rows = self._db.query(
            " UNION ALL ".join([one] * len(revisions)), [part for revision in revisions for part in revision]
        )
        return {row[0]: (int(row[1]), row[2]) for row in rows}


class _Batch:
    """One call of write_many."""

    def __init__(self, store: RevisionStore, entities: Sequence[Entity], edit: Edit, *, imported: bool) -> None:
        self._store = store
        self._entities = entities
        self._edit = edit
        self._imported = imported
        self._rows: dict[str, EntityRows] = {}
        self._stored_keys: set[str] = set()

    def write(self) -> list[WriteResult | PermanentError | HeadMoved]:
        """Write all together; write one by one when that fails for a reason that may lie with one entity."""
        for _ in range(_BATCH_ATTEMPTS if len(self._entities) > 1 else 0):
            try:
                results = self._attempt(self._entities)
            except HeadMoved:
                continue
            except DatabaseError:
                break
            return [results[entity.id] for entity in self._entities]
        return [self._write_one(entity) for entity in self._entities]

    def _write_one(self, entity: Entity) -> WriteResult | PermanentError | HeadMoved:
        moved = HeadMoved(f"{entity.id}: head not tried")
        for _ in range(_ONE_BY_ONE_ATTEMPTS):
            try:
                return self._attempt([entity])[entity.id]
            except HeadMoved as error:
                moved = HeadMoved(f"{error}, {_ONE_BY_ONE_ATTEMPTS} times in a row")
            except DatabaseError as error:
                return error
        return moved

    def _attempt(self, entities: Sequence[Entity]) -> dict[str, WriteResult]:
        results: dict[str, WriteResult] = {}
        plans: list[Plan] = []
        creations: list[Entity] = []
        decisions = self._store.decide(entities)
        for entity in entities:
            decision = decisions[entity.id]
            if isinstance(decision, WriteResult):
                results[entity.id] = decision
                continue
            head, revision_id = decision
            plans.append(plan_revision(entity, self._rows_of(entity), head, revision_id, self._edit.made_at))
            if head is None:
                creations.append(entity)
        if not plans:
            return results
        new = [(plan.snapshot_key, plan.snapshot) for plan in plans if plan.snapshot_key not in self._stored_keys]
        self._store._objects.put_many(new)
        self._stored_keys.update(key for key, _ in new)
        if self._imported:
            self._store._high_water.raise_imported(_highest(creations))
        commit(self._store._db, plans, self._edit, self._store._change_topic)
        return results | {plan.entity_id: plan.result() for plan in plans}

    def _rows_of(self, entity: Entity) -> EntityRows:
        """Return the entity's rows, made once however often the batch is tried."""
        if entity.id not in self._rows:
            self._rows[entity.id] = rows_of(entity)
        return self._rows[entity.id]


def _revision(row: Row) -> Revision:
    entity_id, revision_id, parent, operation, content_hash, key, size, created_at, editor_id, summary = row
    # The session's time zone is UTC, and the driver gives times without one.
    recorded_at = created_at.replace(tzinfo=UTC)
    return Revision(entity_id, revision_id, parent, operation, content_hash, key, size, recorded_at, editor_id, summary)


def _highest(entities: Iterable[Entity]) -> dict[EntityType, int]:
    """Return the highest number of each type."""
    highest: dict[EntityType, int] = {}
    for entity in entities:
        highest[entity.type] = max(parse_id(entity.id).number, highest.get(entity.type, 0))
    return highest
