"""New revisions become the heads of their entities, in one transaction.

Reads:   entity_head, the tables of rows.TABLES
Writes:  entity_head by compare-and-set, entity_revisions, the tables of rows.TABLES, event_outbox
Repeats: refused; the head is no longer the one that the plan replaces

Edits, redirects, imports and deletions all take this path, so a row and its event never disagree. A snapshot has to
be stored before its revision is committed: from the commit on, readers look for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wbd.engines.mysql import DUPLICATE_KEY, Database, Transaction
from wbd.entity.check import Entity, snapshot_bytes, snapshot_key
from wbd.errors import DatabaseError, EditRefused, HeadMoved, NoSuchEntity
from wbd.events.entity_change import NO_EDITOR, EntityChange, Operation
from wbd.revisions.revision import Head, Outcome, WriteResult, shard_of
from wbd.revisions.rows import TABLES, EntityRows, RowKey, RowValues, Table, TableRows, no_rows
from wbd.runtime.clock import iso

# Width of entity_revisions.edit_summary in characters; row and event are cut alike.
SUMMARY_LENGTH = 500
# A deletion has no content and no snapshot.
_NO_CONTENT = ""
# Keeps one DELETE statement short; few edits remove more rows of one table.
_KEYS_A_DELETE = 200


@dataclass(frozen=True, slots=True)
class Edit:
    """
    Who makes a revision, why and when.

    Args:
        editor_id: user of the wiki, None when there is none.
        summary: of any length; its first SUMMARY_LENGTH characters are stored and announced.
        made_at: when the edit was made, with a time zone.
    """

    editor_id: int | None
    summary: str
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Plan:
    """
    A revision that is to replace *head*; None: the entity has no revision yet.

    Args:
        redirect: the target, when the revision is a redirect.
    """

    entity_id: str
    head: Head | None
    revision_id: int
    operation: Operation
    content_hash: str
    snapshot_key: str
    snapshot: bytes
    rows: EntityRows
    redirect: str | None

    @property
    def is_deletion(self) -> bool:
        """Whether the revision has no content."""
        return self.operation == "delete"

    def result(self) -> WriteResult:
        """Return what becomes of the entity once the plan is committed."""
        if self.head is None:
            return WriteResult(self.entity_id, Outcome.CREATED, self.revision_id)
        return WriteResult(self.entity_id, Outcome.UPDATED, self.revision_id, self.head.revision_id)


def plan_revision(entity: Entity, rows: EntityRows, head: Head | None, revision_id: int, made_at: datetime) -> Plan:
    """Plan to write *entity*; its own time of modification, if it has one, goes into the snapshot."""
    snapshot = snapshot_bytes(entity, revision_id, entity.modified or made_at.strftime("%Y-%m-%dT%H:%M:%SZ"))
    return Plan(
        entity_id=entity.id,
        head=head,
        revision_id=revision_id,
        operation="create" if head is None or head.is_deleted else "update",
        content_hash=entity.content_hash,
        snapshot_key=snapshot_key(entity.id, revision_id, snapshot),
        snapshot=snapshot,
        rows=rows,
        redirect=entity.redirect,
    )


def plan_deletion(head: Head) -> Plan:
    """Plan a revision without content."""
    return Plan(
        entity_id=head.entity_id,
        head=head,
        revision_id=head.revision_id + 1,
        operation="delete",
        content_hash=_NO_CONTENT,
        snapshot_key="",
        snapshot=b"",
        rows=no_rows(),
        redirect=None,
    )


def refuse_target(target: str, head: Head | None) -> None:
    """
    Refuse to redirect to an entity whose head is *head*.

    Raises:
        NoSuchEntity: it is not stored, or deleted.
        EditRefused: it is a redirect itself.
    """
    if head is None:
        raise NoSuchEntity(f"{target}: no such entity; a redirect needs a target")
    if head.is_deleted:
        raise NoSuchEntity(f"{target}: deleted in r{head.revision_id}; a redirect needs a target")
    if head.is_redirect:
        raise EditRefused(f"{target} is a redirect itself; redirect to its target instead")


def read_heads(tx: Transaction, entity_ids: Sequence[str], *, lock: bool = False) -> dict[str, Head]:
    """Return the heads of those entities that have one; *lock* holds their rows, in the order of the ids."""
    if not entity_ids:
        return {}
    marks = ",".join(["%s"] * len(entity_ids))
    rows = tx.query(
        "SELECT entity_id, head_revision_id, content_hash, is_deleted, is_redirect FROM entity_head"
        f" WHERE entity_id IN ({marks}){' ORDER BY entity_id FOR UPDATE' if lock else ''}",
        entity_ids,
    )
    return {row[0]: Head(row[0], int(row[1]), row[2], bool(row[3]), bool(row[4])) for row in rows}


def commit(db: Database, plans: Sequence[Plan], edit: Edit, change_topic: str, *, check_targets: bool = False) -> None:
    """
    Make revisions of different entities visible, all or none.

    The heads come first: their locks serialize the writers of one entity, which also puts its events into the
    outbox in the order of its revisions. They are taken in the order of the ids, so that two writers never wait for
    each other in a circle.

    Args:
        change_topic: Kafka topic that the outbox names for the entity change events.
        check_targets: refuse redirects whose target does not stand at the moment of the commit. An import leaves
            this out, because a dump may hold the target after the redirect.

    Raises:
        HeadMoved: a head is not the one that its plan replaces; nothing was written.
        EditRefused: see refuse_target; nothing was written.
        DatabaseError: the server refused a statement; nothing was written.
        DatabaseUnavailable: nothing is known to be written.
    """
    plans = sorted(plans, key=lambda plan: plan.entity_id)
    new = [plan for plan in plans if plan.head is None]
    moved = [plan for plan in plans if plan.head is not None]
    summary = edit.summary[:SUMMARY_LENGTH]
    inserting_heads = False

    def work(tx: Transaction) -> None:
        nonlocal inserting_heads
        if check_targets:
            _check_targets(tx, plans)
        inserting_heads = True
        _insert_heads(tx, new)
        inserting_heads = False
        for plan in moved:
            _move_head(tx, plan)
        _insert_revisions(tx, plans, edit.editor_id, summary)
        _write_rows(tx, _rows_by_id(new), _rows_by_id(moved))
        _insert_events(tx, plans, edit, summary, change_topic)

    try:
        db.transaction(work)
    except DatabaseError as error:
        if inserting_heads and error.errno == DUPLICATE_KEY:
            raise HeadMoved("another writer created an entity of the batch first") from error
        raise


def _check_targets(tx: Transaction, plans: Sequence[Plan]) -> None:
    """Lock redirects with their targets, so that neither of two that point at each other slips through."""
    targets = {plan.entity_id: plan.redirect for plan in plans if plan.redirect is not None}
    heads = read_heads(tx, sorted({*targets, *targets.values()}), lock=True)
    for target in targets.values():
        refuse_target(target, heads.get(target))


def _insert_heads(tx: Transaction, plans: Sequence[Plan]) -> None:
    tx.insert(
        "entity_head (entity_id, head_revision_id, content_hash, shard, is_redirect)",
        [(p.entity_id, p.revision_id, p.content_hash, shard_of(p.entity_id), p.redirect is not None) for p in plans],
    )


def _move_head(tx: Transaction, plan: Plan) -> None:
    assert plan.head is not None
    changed = tx.execute(
        "UPDATE entity_head SET head_revision_id = %s, content_hash = %s, is_deleted = %s, is_redirect = %s"
        " WHERE entity_id = %s AND head_revision_id = %s",
        (
            plan.revision_id,
            plan.content_hash,
            plan.is_deletion,
            plan.redirect is not None,
            plan.entity_id,
            plan.head.revision_id,
        ),
    )
    if changed != 1:
        raise HeadMoved(f"{plan.entity_id}: head is no longer r{plan.head.revision_id}")


def _insert_revisions(tx: Transaction, plans: Sequence[Plan], editor_id: int | None, summary: str) -> None:
    tx.insert(
        "entity_revisions (entity_id, revision_id, parent_revision_id, operation, content_hash, snapshot_key,"
        " snapshot_bytes, sitelink_id, editor_id, edit_summary)",
        [
            (
                plan.entity_id,
                plan.revision_id,
                plan.head.revision_id if plan.head else None,
                plan.operation,
                plan.content_hash,
                plan.snapshot_key,
                len(plan.snapshot),
                plan.rows.sitelink_id,
                editor_id,
                summary,
            )
            for plan in plans
        ],
    )


def _insert_events(tx: Transaction, plans: Sequence[Plan], edit: Edit, summary: str, topic: str) -> None:
    timestamp = iso(edit.made_at)
    editor_id = NO_EDITOR if edit.editor_id is None else edit.editor_id
    events = [EntityChange(p.entity_id, p.revision_id, p.operation, editor_id, summary, timestamp) for p in plans]
    tx.insert(
        "event_outbox (topic, event_key, payload)", [(topic, event.entity_id, event.to_bytes()) for event in events]
    )


def _rows_by_id(plans: Iterable[Plan]) -> dict[str, EntityRows]:
    return {plan.entity_id: plan.rows for plan in plans}


def _write_rows(tx: Transaction, new: dict[str, EntityRows], moved: dict[str, EntityRows]) -> None:
    """
    Bring the tables of rows.TABLES to what the new heads hold, writing only what differs.

    Args:
        new: entities that had no head before, so that there is nothing to compare with.
        moved: entities whose present rows are read and compared.
    """
    for table in TABLES:
        # Sorted, so that two writers never wait for each other in a circle.
        added = [
            (entity_id, *key, *values)
            for entity_id in sorted(new)
            for key, values in sorted(new[entity_id].tables[table].items())
        ]
        if moved:
            added += _replace_rows(tx, table, moved)
        if added:
            columns = ", ".join(("entity_id", *table.key, *table.values))
            # The update side is for a key that is there with other values.
            update = ", ".join(f"{name} = VALUES({name})" for name in table.values or table.key[:1])
            tx.insert(f"{table.name} ({columns})", added, on_duplicate=update)


def _replace_rows(tx: Transaction, table: Table, moved: dict[str, EntityRows]) -> list[tuple[Any, ...]]:
    """Delete the rows that are gone; return those to insert or update."""
    present = _read_rows(tx, table, sorted(moved))
    added: list[tuple[Any, ...]] = []
    for entity_id in sorted(moved):
        wanted, old = moved[entity_id].tables[table], present[entity_id]
        _delete_rows(tx, table, entity_id, sorted(old.keys() - wanted.keys()))
        added += [(entity_id, *key, *values) for key, values in sorted(wanted.items()) if old.get(key) != values]
    return added


def _read_rows(tx: Transaction, table: Table, entity_ids: Sequence[str]) -> defaultdict[str, TableRows]:
    columns = ", ".join(("entity_id", *table.key, *table.values))
    marks = ",".join(["%s"] * len(entity_ids))
    rows: defaultdict[str, TableRows] = defaultdict(dict)
    width = len(table.key)
    for entity_id, *row in tx.query(
        f"SELECT {columns} FROM {table.name} WHERE entity_id IN ({marks})",
        entity_ids,
    ):
        key: RowKey = tuple(row[:width])
        values: RowValues = tuple(row[width:])
        rows[entity_id][key] = values
    return rows


def _delete_rows(tx: Transaction, table: Table, entity_id: str, keys: Sequence[RowKey]) -> None:
    one = " AND ".join(f"{name} = %s" for name in table.key)
    for start in range(0, len(keys), _KEYS_A_DELETE):
        chunk = keys[start : start + _KEYS_A_DELETE]
        which = f" AND ({' OR '.join([f'({one})'] * len(chunk))})" if table.key else ""
        tx.execute(
            f"DELETE FROM {table.name} WHERE entity_id = %s{which}",
            [entity_id, *(part for key in chunk for part in key)],
        )
