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
│   ├── BadEntity               malformed entity; .place is its JSON path
│   ├── BadInput                malformed file, line or request; .place says where
│   ├── DatabaseError           the server refused the statement
│   ├── RangeRefused            no id can be reserved safely from a row of id_ranges
│   ├── SegmentUnusable         a file is not a ring of ids, or not one of ours
│   ├── EventTooLarge           an event is over the topic's limit
│   └── GraphTooHard            canonicalization passed its work limit
└── LeaseLost                   somebody else owns the work now; drop it
"""

from __future__ import annotations


class WbdError(Exception):
    """Root of everything that wbd raises on purpose."""


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
    """
    Entity JSON that breaks the data model.

    Args:
        place: JSON path of the offending value, such as ``claims.P31[0].mainsnak``; "" for the whole.
    """

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(f"{place}: {message}" if place else message)
        self.place = place


class BadInput(PermanentError):
    """A malformed file, line or request; *place* says where."""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(f"{place}: {message}" if place else message)
        self.place = place


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
