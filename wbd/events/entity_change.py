"""The event that an entity has a new revision.

It has exactly the fields of the requirement document. The event id is not one of them but computed from them, so
that a consumer can recognize repeats.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

import orjson

from wbd.errors import BadInput

SCHEMA_VERSION = "1.0.0"
Operation = Literal["create", "update", "delete"]
# The editor of a revision that no user of this wiki made, such as an import. MediaWiki uses the same number.
NO_EDITOR = 0

# A fixed random value, which keeps these ids apart from those of other kinds of events.
_NAMESPACE = uuid.UUID("b4a1f6f2-6d0c-5c37-8a68-2d7f0f6b9a55")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class EntityChange:
    """
    One event.

    editor_id: a user of the wiki; NO_EDITOR when there is none.
    timestamp: when the revision was recorded here, ISO 8601, UTC, Z.
    """

    entity_id: str
    revision_id: int
    operation: Operation
    editor_id: int
    edit_summary: str
    timestamp: str
    schema_version: str = SCHEMA_VERSION

    @property
    def event_id(self) -> str:
        """Id of the change, which does not depend on who publishes it and when."""
        return str(uuid.uuid5(_NAMESPACE, f"{self.entity_id}/{self.revision_id}/{self.operation}"))

    def to_bytes(self) -> bytes:
        """Return the message value, JSON in UTF-8."""
        return orjson.dumps(
            {
                "schema_version": self.schema_version,
                "entity_id": self.entity_id,
                "revision_id": self.revision_id,
                "operation": self.operation,
                "editor_id": self.editor_id,
                "edit_summary": self.edit_summary,
                "timestamp": self.timestamp,
            }
        )

    @classmethod
    def from_bytes(cls, value: bytes) -> EntityChange:
        """
        Read a message value, ignoring unknown fields, which later versions may add.

        Raises:
            BadInput: not such an event, or one of another major version; its place is the field.
        """
        try:
            fields = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise BadInput(f"entity change event: not JSON ({error})") from None
        if not isinstance(fields, dict):
            raise BadInput("entity change event: not a JSON object")
        event = cls(
            entity_id=_text(fields, "entity_id"),
            revision_id=_number(fields, "revision_id", 1),
            operation=_operation(fields),
            editor_id=NO_EDITOR if fields.get("editor_id") is None else _number(fields, "editor_id", 0),
            edit_summary="" if fields.get("edit_summary") is None else _text(fields, "edit_summary", empty=True),
            timestamp=_text(fields, "timestamp"),
            schema_version=_text(fields, "schema_version"),
        )
        if event.schema_version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
            raise _bad("schema_version", fields, f"a version 1, such as {SCHEMA_VERSION}")
        try:
            if not _TIMESTAMP.fullmatch(event.timestamp):
                raise ValueError
            datetime.fromisoformat(event.timestamp)
        except ValueError:
            raise _bad("timestamp", fields, "a time such as 2025-01-15T10:30:00Z") from None
        return event


def _text(fields: dict[str, Any], name: str, *, empty: bool = False) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not (value or empty):
        raise _bad(name, fields, "text")
    return value


def _number(fields: dict[str, Any], name: str, least: int) -> int:
    value = fields.get(name)
    if type(value) is not int or value < least:
        raise _bad(name, fields, f"a whole number, at least {least}")
    return value


def _operation(fields: dict[str, Any]) -> Operation:
    for operation in get_args(Operation):
        if fields.get("operation") == operation:
            chosen: Operation = operation
            return chosen
    raise _bad("operation", fields, "create, update or delete")


def _bad(name: str, fields: dict[str, Any], expected: str) -> BadInput:
    shown = ascii(fields[name])[:_SHOWN_CHARACTERS] if name in fields else "missing"
    return BadInput(f"entity change event: {shown}, expected {expected}", name)
