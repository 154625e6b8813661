"""Turn a diff into the bytes of its messages: formats, event schemas, chunks when one message is too small. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import orjson

from wbd.errors import EventTooLarge
from wbd.events.entity_diff import EntityDiff, Operation, message_id
from wbd.events.rdf_change import RdfChange
from wbd.mapping.vocabulary import Vocabulary
from wbd.rdf.formats import FORMATS, write_lines
from wbd.rdf.graph_diff import RdfDiff
from wbd.runtime.clock import iso

EventFormat = Literal["entity_diff", "rdf_change"]

MAX_CHUNKS: Final = 1000
"""Bound of the messages of one event; with the default size of a message, 16 GB of RDF."""

# Attempts to make chunks smaller when the first guess was too large.
_GUESSES: Final = 8
# Room for the fields of a message that are not RDF.
_ENVELOPE_BYTES: Final = 4096

Parts = tuple[Sequence[str], Sequence[str], Sequence[str], Sequence[str]]
"""Lines that were added, removed, linked and unlinked; the last two are about shared nodes. See EventWriter."""


@dataclass(frozen=True, slots=True)
class Step:
    """
    The fields of an event beside its triples.

    recorded_at: when the revision was recorded, UTC.
    request: tells two reconciles of one revision apart.
    """

    entity_id: str
    revision_id: int
    previous_revision_id: int | None
    operation: Operation
    recorded_at: datetime
    request: str = ""

    @property
    def name(self) -> str:
        """Identity of the event: shared by all its messages, and by no other event."""
        name = f"{self.entity_id}/{self.previous_revision_id or 0}/{self.revision_id}/{self.operation}"
        return f"{name}/{self.request}" if self.request else name


@dataclass(frozen=True, slots=True)
class EventWriter:
    """
    Writes the messages of an event; it can be pickled for another process.

    Args:
        event_format: the documents' fields, or Wikimedia's rdf_change.
        rdf_format: a key of rdf.formats.FORMATS.
        schema_version: version in the documents' event.
        stream, domain: see RdfChange.
        max_bytes: bound of one message's value.
    """

    vocabulary: Vocabulary
    event_format: EventFormat
    rdf_format: str
    schema_version: str
    stream: str
    domain: str
    max_bytes: int

    def messages(self, step: Step, diff: RdfDiff, published_at: datetime) -> list[bytes]:
        """
        Return the values of an event's messages, in the order of publication.

        Raises:
            EventTooLarge: one triple is larger than max_bytes, or the event needs more than MAX_CHUNKS messages.
            BadInput: a triple cannot be written in the RDF format.
        """
        parts = self._parts(step, diff)
        single = self._message(step, parts, published_at, 0, 1)
        if len(single) <= self.max_bytes:
            return [single]
        lines_bytes = sum(_size(line) for part in parts for line in part)
        room = self.max_bytes - _ENVELOPE_BYTES
        # Scaled by the size of a line in the single message, less a tenth: the first line of a subject is the longest.
        budget = int(room * lines_bytes / len(single) * 0.9)
        for _ in range(_GUESSES):
            chunks = _divide(parts, budget) if budget > 0 else []
            if len(chunks) > MAX_CHUNKS:
                break
            values = [self._message(step, chunk, published_at, i, len(chunks)) for i, chunk in enumerate(chunks)]
            if values and max(map(len, values)) <= self.max_bytes:
                return values
            budget //= 2
        raise EventTooLarge(
            f"event {step.entity_id} r{step.revision_id}: {len(single)} bytes do not fit into {MAX_CHUNKS} messages of "
            f"{self.max_bytes}, or one triple does not fit into one"
        )

    def _parts(self, step: Step, diff: RdfDiff) -> Parts:
        if self.event_format == "entity_diff":
            return diff.added, diff.removed, diff.linked_shared, diff.unlinked_shared
        if step.operation == "delete":
            return [], [], [], []
        if step.operation == "reconcile":
            return diff.added, [], [], []
        return diff.own_added, diff.own_removed, diff.linked_shared, diff.unlinked_shared

    def _message(self, step: Step, parts: Parts, published_at: datetime, sequence: int, length: int) -> bytes:
        added, removed, linked, unlinked = (
            write_lines(part, self.rdf_format, self.vocabulary) if part else "" for part in parts
        )
        media_type = FORMATS[self.rdf_format][0]
        if self.event_format == "rdf_change":
            return RdfChange(
                name=step.name,
                stream=self.stream,
                domain=self.domain,
                entity_id=step.entity_id,
                rev_id=step.revision_id,
                operation=step.operation,
                dt=iso(step.recorded_at),
                published_at=iso(published_at),
                added=added,
                deleted=removed,
                linked_shared=linked,
                unlinked_shared=unlinked,
                mime_type=media_type,
                sequence=sequence,
                sequence_length=length,
            ).to_bytes()
        return EntityDiff(
            schema_version=self.schema_version,
            entity_id=step.entity_id,
            revision_id=step.revision_id,
            previous_revision_id=step.previous_revision_id,
            operation=step.operation,
            rdf_added_data=added,
            rdf_removed_data=removed,
            timestamp=iso(step.recorded_at),
            mime_type=media_type,
            rdf_linked_shared_data=linked,
            rdf_unlinked_shared_data=unlinked,
            sequence=sequence,
            sequence_length=length,
            event_id=message_id(step.name, sequence),
        ).to_bytes()


def _size(line: str) -> int:
    return len(orjson.dumps(line))


def _divide(parts: Parts, budget: int) -> list[Parts]:
    """Divide the lines into chunks of about *budget* bytes each, in their order; a line is never divided."""
    chunks: list[tuple[list[str], ...]] = []
    left = 0
    for position, part in enumerate(parts):
        for line in part:
            size = _size(line)
            if not chunks or size > left:
                chunks.append(([], [], [], []))
                left = budget
            chunks[-1][position].append(line)
            left -= size
    return [(chunk[0], chunk[1], chunk[2], chunk[3]) for chunk in chunks]
