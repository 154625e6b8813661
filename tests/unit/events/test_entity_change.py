"""Entity change events have the documents' fields, no others, and are read back only when they are whole."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wbd.errors import BadInput
from wbd.events.entity_change import NO_EDITOR, EntityChange

DOCUMENTED = {
    "schema_version": "1.0.0",
    "entity_id": "Q123",
    "revision_id": 42,
    "operation": "update",
    "editor_id": 123,
    "edit_summary": "Updated description",
    "timestamp": "2025-01-15T10:30:00Z",
}
EVENT = EntityChange("Q123", 42, "update", 123, "Updated description", "2025-01-15T10:30:00Z")


def test_the_fields_are_those_of_the_requirements_in_their_order() -> None:
    assert json.loads(EVENT.to_bytes()) == DOCUMENTED
    assert list(json.loads(EVENT.to_bytes())) == list(DOCUMENTED)


@given(
    st.text(min_size=1, max_size=20),
    st.integers(1, 2**63 - 1),
    st.sampled_from(["create", "update", "delete"]),
    st.integers(0, 2**32 - 1),
    st.text(max_size=500),
)
def test_what_is_written_is_read_back(
    entity_id: str, revision_id: int, operation: Any, editor_id: int, summary: str
) -> None:
    event = EntityChange(entity_id, revision_id, operation, editor_id, summary, "2025-01-15T10:30:00.123Z")
    assert EntityChange.from_bytes(event.to_bytes()) == event


def test_the_event_id_is_the_same_for_the_same_change_only() -> None:
    again = replace(EVENT, timestamp="2026-01-01T00:00:00Z", edit_summary="", editor_id=0)
    assert again.event_id == EVENT.event_id == "b7dffe02-9121-545b-bbbb-3c7e9ed9a038"
    others = [replace(EVENT, entity_id="Q124"), replace(EVENT, revision_id=43), replace(EVENT, operation="delete")]
    assert len({event.event_id for event in [EVENT, *others]}) == 4


def test_fields_of_later_versions_are_left_out_and_an_unknown_editor_is_nobody() -> None:
    later = {**DOCUMENTED, "schema_version": "1.4.0", "editor_id": None, "edit_summary": None, "more": [1]}
    event = EntityChange.from_bytes(json.dumps(later).encode())
    assert (event.editor_id, event.edit_summary, event.schema_version) == (NO_EDITOR, "", "1.4.0")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("schema_version", "2.0.0"),
        ("schema_version", None),
        ("entity_id", ""),
        ("entity_id", 123),
        ("revision_id", 0),
        ("revision_id", "42"),
        ("revision_id", True),
        ("operation", "rename"),
        ("operation", ["update"]),
        ("editor_id", -1),
        ("editor_id", "admin"),
        ("edit_summary", 5),
        ("timestamp", "yesterday"),
        ("timestamp", "2025-02-30T10:30:00Z"),
    ],
)
def test_a_malformed_field_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(BadInput) as caught:
        EntityChange.from_bytes(json.dumps({**DOCUMENTED, name: value}).encode())
    assert caught.value.place == name


@pytest.mark.parametrize("name", ["schema_version", "entity_id", "revision_id", "operation", "timestamp"])
def test_a_missing_field_is_refused_by_name(name: str) -> None:
    incomplete = {key: value for key, value in DOCUMENTED.items() if key != name}
    with pytest.raises(BadInput, match="missing") as caught:
        EntityChange.from_bytes(json.dumps(incomplete).encode())
    assert caught.value.place == name


@pytest.mark.parametrize("value", [b"", b"[]", b"null", b"{", b"\xff", b'"x"'])
def test_what_is_no_json_object_is_refused(value: bytes) -> None:
    with pytest.raises(BadInput):
        EntityChange.from_bytes(value)
