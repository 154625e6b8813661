"""What a revision is, and what a write does with one. No I/O."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson

# Shards split the poll of entity_head between processes.
SHARDS = 64


class Outcome(StrEnum):
    """What became of one written entity."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Head:
    """The row of an entity in entity_head."""

    entity_id: str
    revision_id: int
    content_hash: str
    is_deleted: bool
    is_redirect: bool


@dataclass(frozen=True, slots=True)
class Revision:
    """
    A row of entity_revisions.

    Args:
        parent_revision_id: the head that the revision replaced; None for the first one.
        operation: create (also of an entity that was deleted), update or delete.
        snapshot_key: its object in the bucket; "" for a deletion.
        created_at: when it was recorded here, in UTC.
        editor_id: user of the wiki, None when there is none.
    """

    entity_id: str
    revision_id: int
    parent_revision_id: int | None
    operation: str
    content_hash: str
    snapshot_key: str
    snapshot_bytes: int
    created_at: datetime
    editor_id: int | None
    edit_summary: str

    @property
    def is_deletion(self) -> bool:
        """Whether the revision has no content."""
        return not self.snapshot_key


@dataclass(frozen=True, slots=True)
class StoredEntity:
    """A revision with its content: *snapshot* is the entity as JSON in UTF-8, empty for a deletion."""

    revision: Revision
    snapshot: bytes

    @property
    def data(self) -> dict[str, Any]:
        """Return the entity, parsed anew at each call; {} for a deletion."""
        return dict(orjson.loads(self.snapshot)) if self.snapshot else {}


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What became of an entity; revision_id is its head now, parent_revision_id the head before if it moved."""

    entity_id: str
    outcome: Outcome
    revision_id: int
    parent_revision_id: int | None = None


def shard_of(entity_id: str) -> int:
    """Return the shard of an entity, 0 to SHARDS - 1."""
    return zlib.crc32(entity_id.encode()) % SHARDS
