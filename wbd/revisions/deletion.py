"""Delete an entity: a revision without a snapshot becomes its head.

Reads:   entity_head
Writes:  entity_head, entity_revisions, the tables of rows.TABLES, event_outbox; one transaction
Repeats: harmless; an entity that is deleted already stays as it is

What was written before stays in entity_revisions and in the bucket. Writing the entity again brings it back.
"""

from __future__ import annotations

from wbd.engines.mysql import Database, Transaction
from wbd.errors import HeadMoved
from wbd.events.entity_change import NO_EDITOR, EntityChange
from wbd.revisions.head_rows import write_rows
from wbd.revisions.revision import Outcome, WriteResult
from wbd.revisions.rows import no_rows
from wbd.revisions.store import CHANGE_TOPIC
from wbd.runtime.clock import Clock, SystemClock, iso

# The hash of no content.
_NOTHING = ""
_SUMMARY_LENGTH = 500


def delete_entity(
    db: Database,
    entity_id: str,
    *,
    editor_id: int | None = None,
    edit_summary: str = "",
    change_topic: str = CHANGE_TOPIC,
    clock: Clock | None = None,
) -> WriteResult | None:
    """
    Delete one entity.

    Args:
        editor_id: user of the wiki, None when there is none.
        change_topic: Kafka topic that the outbox names for the entity change event.

    Returns:
        The new revision, UNCHANGED if it was deleted before, None if there is no such entity.

    Raises:
        HeadMoved: another writer moved the head at the same time; nothing was written.
        DatabaseUnavailable: nothing is known to be written; the same call again completes it.
    """
    now = (clock or SystemClock()).now()

    def work(tx: Transaction) -> WriteResult | None:
        rows = tx.query("SELECT head_revision_id, is_deleted FROM entity_head WHERE entity_id = %s", (entity_id,))
        if not rows:
            return None
        was, is_deleted = int(rows[0][0]), bool(rows[0][1])
        if is_deleted:
            return WriteResult(entity_id, Outcome.UNCHANGED, was)
        moved = tx.execute(
            "UPDATE entity_head SET head_revision_id = %s, content_hash = %s, is_deleted = TRUE, is_redirect = FALSE"
            " WHERE entity_id = %s AND head_revision_id = %s",
            (was + 1, _NOTHING, entity_id, was),
        )
        if moved != 1:
            raise HeadMoved(f"{entity_id}: head is no longer r{was}")
        tx.insert(
            "entity_revisions (entity_id, revision_id, parent_revision_id, operation, content_hash, snapshot_key,"
            " snapshot_bytes, sitelink_id, editor_id, edit_summary)",
            [(entity_id, was + 1, was, "delete", _NOTHING, "", 0, None, editor_id, edit_summary[:_SUMMARY_LENGTH])],
        )
        write_rows(tx, {}, {entity_id: no_rows()})
        editor = NO_EDITOR if editor_id is None else editor_id
        event = EntityChange(entity_id, was + 1, "delete", editor, edit_summary, iso(now))
        tx.insert("event_outbox (topic, event_key, payload)", [(change_topic, entity_id, event.to_bytes())])
        return WriteResult(entity_id, Outcome.UPDATED, was + 1, was)

    return db.transaction(work)
