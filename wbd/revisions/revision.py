"""What a revision is: its number, place and outcome."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

# Shards split the poll of entity_head between processes; a byte of the id's checksum would do as well.
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
    """A row of entity_revisions."""

    entity_id: str
    revision_id: int
    parent_revision_id: int | None
    operation: str
    content_hash: str
    snapshot_key: str
    snapshot_bytes: int
    created_at: datetime


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
