"""The exception tree: each class says what the caller should do.

WbdError
├── ConfigError                 fix the settings; the process exits 78
├── RetryableError              the same call may succeed later
│   ├── DependencyUnavailable   a server does not answer; .dependency names it
│   │   ├── DatabaseUnavailable
│   │   ├── ObjectStoreUnavailable
│   │   └── BrokerUnavailable
│   ├── IdsUnavailable          no ids left here and none to be had now
│   ├── RangeContention         lost the race for a range too often
│   ├── DiffProcessFailed       a process for diffs did not start
│   ├── HeadMoved               another writer moved the head first
│   └── SnapshotMissing         a revision's object is not there (yet)
├── PermanentError              the same call fails again
│   ├── BadEntity               malformed entity; .place is a JSON path
│   ├── BadInput                malformed file, line or request; .place says where
│   ├── EditRefused             the stored state of an entity rules the edit out
│   │   └── NoSuchEntity        nothing is stored under the id, or it is deleted
│   ├── DatabaseError           the server refused the statement
│   ├── RangeRefused            no id can be reserved safely from a row of id_ranges
│   ├── SegmentUnusable         a file is not a ring of ids, or not one of ours
│   ├── EventTooLarge           an event is over the topic's limit
│   └── GraphTooHard            canonicalization passed its work limit
└── LeaseLost                   somebody else owns the work now; drop it

Every error keeps its message and its place apart, and ``str(error)`` joins them: ``claims.P31[0].rank: is not normal,
preferred or deprecated``. A caller that knows the outer place puts it in front with ``error.at(...)``.
"""

from __future__ import annotations

import copy
from typing import Self


class WbdError(Exception):
    """
    Root of everything that wbd raises on purpose.

    Attributes:
        message: what is wrong, without its place.
        place: where it is wrong: a JSON path, a line and column, a file; "" when there is nothing to point at.
    """

    def __init__(self, message: str = "", place: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.place = place

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message

    def at(self, place: str, separator: str = ".") -> Self:
        """
        Return a copy of the error with an outer place in front of its own.

        Args:
            place: the outer place; "" adds nothing.
            separator: stands between the two places. The default joins JSON paths, and an index such as ``[0]``
                follows without it; ``": "`` joins a file name and a position in the file.
        """
        error = copy.copy(self)
        if place and self.place:
            index = separator == "." and self.place.startswith("[")
            error.place = f"{place}{'' if index else separator}{self.place}"
        else:
            error.place = place or self.place
        return error


class ConfigError(WbdError):
    """A setting is missing, unknown or not allowed; the process exits 78 (EX_CONFIG)."""

    exit_code = 78


class RetryableError(WbdError):
    """The same call may succeed later."""


class DependencyUnavailable(RetryableError):
    """A server does not answer."""

    dependency = "dependency"


class DatabaseUnavailable(DependencyUnavailable):
    """The database does not answer, or lost the connection before the work was known to be done."""

    dependency = "database"


class ObjectStoreUnavailable(DependencyUnavailable):
    """The object store does not answer."""

    dependency = "objects"


class BrokerUnavailable(DependencyUnavailable):
    """The Kafka brokers do not answer, or did not acknowledge in time."""

    dependency = "kafka"


class IdsUnavailable(RetryableError):
    """No reserved id is left and none could be reserved before the deadline."""


class RangeContention(RetryableError):
    """The compare-and-set on a range was lost too often in a row."""


class DiffProcessFailed(RetryableError):
    """A process that computes diffs did not start: no memory, or a broken installation."""


class HeadMoved(RetryableError):
    """Another writer moved the head of an entity first."""


class SnapshotMissing(RetryableError):
    """The object of a revision is not there (yet)."""


class PermanentError(WbdError):
    """The same call fails again; set the input aside and go on."""


class BadEntity(PermanentError):
    """Entity JSON that breaks the data model; its place is a JSON path, such as ``claims.P31[0].mainsnak``."""


class BadInput(PermanentError):
    """A malformed file, line or request; its place is a file, a line and column, or a field."""


class EditRefused(PermanentError):
    """The stored state of an entity rules the edit out: its redirect would lead to another redirect."""


class NoSuchEntity(EditRefused):
    """Nothing is stored under an id, or what was stored is deleted."""


class DatabaseError(PermanentError):
    """
    The server refused a statement.

    Args:
        errno: the MySQL error number, 0 if the client library gave none.
    """

    def __init__(self, message: str, errno: int = 0) -> None:
        super().__init__(message)
        self.errno = errno


class RangeRefused(PermanentError):
    """A row of id_ranges from which nothing can be reserved safely until an operator has looked at it."""


class SegmentUnusable(PermanentError):
    """Shared memory that is no ring of ids: foreign, of another version or boot, or damaged."""


class EventTooLarge(PermanentError):
    """An event is larger than the topic takes."""


class GraphTooHard(PermanentError):
    """Canonicalization of a graph passed its work limit."""


class LeaseLost(WbdError):
    """Somebody else owns the work now; drop it without writing."""
