"""Ask the diff workers to publish entities in full, and list the revisions that they have set aside.

Reads:   entity_head, entity_diff_requests, entity_diff_state, entity_diff_failures
Writes:  entity_diff_requests
Repeats: a second request for an entity replaces the first
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from wbd.engines.mysql import Database


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of a request. revision_id: the one that was published; None when it was set aside for *reason*."""

    entity_id: str
    revision_id: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SetAside:
    """A revision without an event, and the reason. missing: its snapshot could not be read."""

    entity_id: str
    revision_id: int
    reason: str
    missing: bool
    failed_at: datetime


class DiffRequests:
    """The operator's side of the diff workers, which may run on other hosts."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def unknown(self, entity_ids: Sequence[str]) -> list[str]:
        """Return the entities that this wiki does not have. Raises DatabaseUnavailable."""
        rows = self._db.query(
            f"SELECT entity_id FROM entity_head WHERE entity_id IN ({_marks(entity_ids)})", entity_ids
        )
        return sorted(set(entity_ids) - {row[0] for row in rows})

    def ask(self, entity_ids: Sequence[str]) -> datetime:
        """Ask for entities in full; return the time of it by the database's clock. Raises DatabaseUnavailable."""
        ((now,),) = self._db.query("SELECT CURRENT_TIMESTAMP(6)")
        self._db.transaction(
            lambda tx: tx.insert(
                "entity_diff_requests (entity_id, requested_at)",
                [(entity_id, now) for entity_id in sorted(set(entity_ids))],
                on_duplicate="requested_at = VALUES(requested_at)",
            )
        )
        return datetime.fromisoformat(str(now))

    def answers(self, entity_ids: Sequence[str], asked_at: datetime) -> dict[str, Answer]:
        """Return the answers so far to the request made at *asked_at*. Raises DatabaseUnavailable."""
        marks = _marks(entity_ids)
        rows = self._db.query(
            "SELECT h.entity_id, s.published_revision_id, s.seen_revision_id, f.reason FROM entity_head h"
            " JOIN entity_diff_state s ON s.entity_id = h.entity_id"
            " LEFT JOIN entity_diff_requests q ON q.entity_id = h.entity_id"
            " LEFT JOIN entity_diff_failures f ON f.entity_id = h.entity_id AND f.revision_id = s.seen_revision_id"
            " AND f.failed_at >= %s"
            f" WHERE h.entity_id IN ({marks}) AND (q.requested_at IS NULL OR q.requested_at > %s)",
            (asked_at, *entity_ids, asked_at),
        )
        return {
            entity_id: Answer(entity_id, None, reason) if reason else Answer(entity_id, published)
            for entity_id, published, _, reason in rows
        }

    def set_aside(self, limit: int) -> list[SetAside]:
        """Return the latest revisions that were set aside, newest first. Raises DatabaseUnavailable."""
        rows = self._db.query(
            "SELECT entity_id, revision_id, reason, missing, failed_at FROM entity_diff_failures"
            " ORDER BY failed_at DESC, entity_id, revision_id LIMIT %s",
            (limit,),
        )
        return [SetAside(row[0], row[1], row[2], bool(row[3]), row[4]) for row in rows]


def _marks(values: Sequence[str]) -> str:
    return ",".join(["%s"] * len(values))
