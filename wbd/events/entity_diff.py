"""The event that tells what one revision added to and removed from an entity's RDF.

Fields of the requirement document to the letter, and beside them what the revision did, shared data and chunks. The
event_id is the same whenever the same message is published again, so consumers can drop repeats.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Literal

import orjson

from wbd.errors import BadInput

Operation = Literal["import", "diff", "delete", "reconcile"]
# Any fixed value will do; it keeps these ids apart from those of other kinds of event.
_NAMESPACE = uuid.UUID("6f1f6b0e-2f0b-5f0e-9f5b-77bd1c0d6d11")
_REQUIRED = ("schema_version", "entity_id", "revision_id", "rdf_added_data", "rdf_removed_data", "timestamp")


def message_id(name: str, sequence: int = 0) -> str:
    """Return the id of a message from what makes it different from every other."""
    return str(uuid.uuid5(_NAMESPACE, f"{name}/{sequence}" if sequence else name))


@dataclass(frozen=True, slots=True)
class EntityDiff:
    """
    One message: a whole event, or one of its chunks.

    previous_revision_id: the revision that the diff starts from, None when there was none.
    operation: import (there was nothing before), diff, delete (there is nothing now), or reconcile (rdf_added_data is
        all that there is, whatever came before).
    rdf_added_data, rdf_removed_data: RDF in the format of mime_type.
    timestamp: when the revision was recorded, ISO 8601, UTC.
    rdf_linked_shared_data: the part of the added data about nodes that other entities may have brought already.
    rdf_unlinked_shared_data: the part of the removed data about nodes that other entities may use still.
    sequence, sequence_length: index of the chunk from 0, and how many there are. Chunks follow one another; the graphs
        of an event are the unions of its chunks'.
    event_id: the same for the same chunk of the same step of the same entity, whoever publishes it and when.
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
        # Not asdict(): its deep copy costs more than the diff of a small edit.
        return orjson.dumps({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def from_bytes(cls, value: bytes) -> EntityDiff:
        """Read a message value. Raises BadInput for anything that is not such an event."""
        try:
            found = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise BadInput(f"entity diff event: not JSON ({error})") from None
        missing = [name for name in _REQUIRED if not isinstance(found, dict) or name not in found]
        if missing:
            raise BadInput(f"entity diff event: missing {', '.join(missing)}")
        known = {name: found[name] for name in cls.__slots__ if name in found}
        return cls(**{"previous_revision_id": None, "operation": "diff", **known})
