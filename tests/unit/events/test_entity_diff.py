"""The entity diff event: the documents' fields to the letter, and an id that repeats share."""

from __future__ import annotations

import json

import pytest

from wbd.errors import BadInput
from wbd.events.entity_diff import EntityDiff, message_id

EVENT = EntityDiff(
    "2.0.0", "Q123", 42, 41, "diff", "<a:a> <b:b> <c:c> .\n", "", "2025-01-15T10:30:00Z", event_id=message_id("one")
)


def test_the_message_has_every_documented_field_and_those_beside_them() -> None:
    fields = json.loads(EVENT.to_bytes())
    assert fields == {
        "schema_version": "2.0.0",
        "entity_id": "Q123",
        "revision_id": 42,
        "previous_revision_id": 41,
        "rdf_added_data": "<a:a> <b:b> <c:c> .\n",
        "rdf_removed_data": "",
        "timestamp": "2025-01-15T10:30:00Z",
        "operation": "diff",
        "mime_type": "text/turtle",
        "event_id": EVENT.event_id,
        "rdf_linked_shared_data": "",
        "rdf_unlinked_shared_data": "",
        "sequence": 0,
        "sequence_length": 1,
    }


def test_reading_a_message_gives_the_event_that_was_written() -> None:
    assert EntityDiff.from_bytes(EVENT.to_bytes()) == EVENT


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"1", b'{"entity_id": "Q1"}'])
def test_what_is_not_such_an_event_is_refused(value: bytes) -> None:
    with pytest.raises(BadInput, match="entity diff event"):
        EntityDiff.from_bytes(value)
