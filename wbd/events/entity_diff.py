"""The event with the RDF that one revision added to an entity and removed from it.

It has the fields of the requirement document and further ones: operation, shared data, chunks. A message that is
published again has the same event_id, so that consumers can recognize repeats.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Literal

import orjson

from wbd.errors import BadInput

Operation = Literal["import", "diff", "delete", "reconcile"]
# A fixed random value, which keeps these ids apart from those of other kinds of events.
_NAMESPACE = uuid.UUID("6f1f6b0e-2f0b-5f0e-9f5b-77bd1c0d6d11")
_REQUIRED = ("schema_version", "entity_id", "revision_id", "rdf_added_data", "rdf_removed_data", "timestamp")


def message_id(name: str, sequence: int = 0) -> str:
    """Return the id of a message, computed from the name of its event and its chunk."""
    return str(uuid.uuid5(_NAMESPACE, f"{name}/{sequence}" if sequence else name))


@dataclass(frozen=True, slots=True)
class EntityDiff:
    """
    One message: a complete event, or one of its chunks.

    previous_revision_id: the revision that the diff starts from; None when there is none.
    operation: import (the entity had no triples before), diff, delete (it has none now), or reconcile (rdf_added_data
        has all of its triples; consumers replace those that they hold).
    rdf_added_data, rdf_removed_data: RDF in the format of mime_type.
    timestamp: when the revision was recorded, ISO 8601, UTC.
    rdf_linked_shared_data: the part of the added data about nodes that other entities may use already.
    rdf_unlinked_shared_data: the part of the removed data about nodes that other entities may still use.
    sequence, sequence_length: index of the chunk, from 0, and number of chunks. Chunks follow one another; each graph
        of an event is the union of those of its chunks.
    event_id: id of the message, which does not depend on who publishes it and when.
    """

    schema_version: str
    entity_id: str
    revision_id: int
    previous_revision_id: int | None
    operation: Operation
    rdf_added_data: str
    rdf_removed_data: str
    timestamp: str
    mime_type: str = "text/turtle"
    rdf_linked_shared_data: str = ""
    rdf_unlinked_shared_data: str = ""
    sequence: int = 0
    sequence_length: int = 1
    event_id: str = ""

    def to_bytes(self) -> bytes:
        """Return the message value, JSON in UTF-8."""
        # asdict() makes a deep copy, which costs more than the diff of a small edit.
        return orjson.dumps({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def from_bytes(cls, value: bytes) -> EntityDiff:
        """Read a message value. Raises BadInput when it is not such an event."""
        try:
            fields = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise BadInput(f"entity diff event: not JSON ({error})") from None
        missing = [name for name in _REQUIRED if not isinstance(fields, dict) or name not in fields]
        if missing:
            raise BadInput(f"entity diff event: missing {', '.join(missing)}")
        known = {name: fields[name] for name in cls.__slots__ if name in fields}
        return cls(**{"previous_revision_id": None, "operation": "diff", **known})
