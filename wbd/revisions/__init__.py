"""Entities and their revisions. Importing this opens nothing; see docs/import.md for examples."""

from wbd.revisions.editing import MAX_HISTORY, MAX_USER_ID, Revisions
from wbd.revisions.revision import Head, Outcome, Revision, StoredEntity, WriteResult
from wbd.revisions.store import RevisionStore

__all__ = [
    "MAX_HISTORY",
    "MAX_USER_ID",
    "Head",
    "Outcome",
    "Revision",
    "RevisionStore",
    "Revisions",
    "StoredEntity",
    "WriteResult",
]
