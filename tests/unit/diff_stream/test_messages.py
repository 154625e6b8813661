"""Messages of an event: ids, chunks, formats, and Wikimedia's schema."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pyoxigraph as ox
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from wbd.diff_stream.messages import EventWriter, Step
from wbd.errors import EventTooLarge
from wbd.mapping.vocabulary import Vocabulary
from wbd.rdf.graph_diff import RdfDiff

CORPUS = Path(os.environ.get("WBD_CORPUS", "/nonexistent"))
NOW = datetime(2026, 1, 1, tzinfo=UTC)
STEP = Step("Q1", 5, 4, "diff", NOW)
WRITER = EventWriter(
    Vocabulary.wikidata(), "entity_diff", "turtle", "2.0.0", "wikibase.entity_diff", "www.wikidata.org", 10**7
)
PARSERS = {
    "text/turtle": ox.RdfFormat.TURTLE,
    "application/n-triples": ox.RdfFormat.N_TRIPLES,
    "application/rdf+xml": ox.RdfFormat.RDF_XML,
}


def line(number: int, length: int = 20) -> str:
    return f'<http://www.wikidata.org/entity/Q{number}> <http://schema.org/name> "{"x" * length}{number}"@en .'


def lines(first: int, behind: int, length: int = 20) -> list[str]:
    return sorted(line(number, length) for number in range(first, behind))


def parsed(data: str, mime_type: str = "text/turtle") -> set[str]:
    return {f"{quad.triple} ." for quad in ox.parse(data.encode(), format=PARSERS[mime_type])}


DIFF = RdfDiff(lines(1, 9), lines(20, 29), lines(5, 9), lines(25, 29))


def test_messages_of_different_steps_have_different_ids_and_repeats_the_same() -> None:
    steps = [
        STEP,
        replace(STEP, revision_id=6),
        replace(STEP, entity_id="Q2"),
        replace(STEP, previous_revision_id=None),
        replace(STEP, operation="reconcile"),
        replace(STEP, operation="reconcile", request="2026-01-01T00:00:00"),
        replace(STEP, operation="reconcile", request="2026-01-02T00:00:00"),
    ]
    formats: list[tuple[Literal["entity_diff", "rdf_change"], tuple[str, ...]]] = [
        ("entity_diff", ("event_id",)),
        ("rdf_change", ("meta", "id")),
    ]
    for event_format, path in formats:
        writer = replace(WRITER, event_format=event_format)
        ids = []
        for step in [*steps, *steps]:
            field: Any = json.loads(writer.messages(step, DIFF, NOW)[0])
            for name in path:
                field = field[name]
            ids.append(field)
        assert len(set(ids)) == len(steps) and ids[: len(steps)] == ids[len(steps) :]


@pytest.mark.parametrize("rdf_format", ["turtle", "rdfxml", "ntriples"])
@pytest.mark.parametrize("event_format", ["entity_diff", "rdf_change"])
@settings(max_examples=30, deadline=None)
@given(counts=st.lists(st.integers(0, 120), min_size=4, max_size=4), max_bytes=st.integers(6000, 30_000))
def test_the_chunks_of_an_event_hold_together_what_it_holds(
    event_format: Any, rdf_format: str, counts: list[int], max_bytes: int
) -> None:
    added, removed = lines(0, counts[0]), lines(1000, 1000 + counts[1])
    diff = RdfDiff(added, removed, added[: counts[2]], removed[: counts[3]])
    writer = replace(WRITER, event_format=event_format, rdf_format=rdf_format, max_bytes=max_bytes)
    messages = writer.messages(STEP, diff, NOW)
    events = [json.loads(message) for message in messages]
    assert max(map(len, messages)) <= max_bytes
    assert [each["sequence"] for each in events] == list(range(len(events)))
    assert {each["sequence_length"] for each in events} == {len(events)}
    union: dict[str, set[str]] = {name: set() for name in ("added", "removed", "linked_shared", "unlinked_shared")}
    for each in events:
        for name in union:
            if event_format == "entity_diff":
                union[name] |= parsed(each[f"rdf_{name}_data"], each["mime_type"])
            elif part := each.get(f"rdf_{'deleted' if name == 'removed' else name}_data"):
                union[name] |= parsed(part["data"], part["mime_type"])
    assert union["linked_shared"] == set(diff.linked_shared) and union["unlinked_shared"] == set(diff.unlinked_shared)
    if event_format == "rdf_change":
        assert not union["added"] & union["linked_shared"] and not union["removed"] & union["unlinked_shared"]
        assert len({each["meta"]["request_id"] for each in events}) == 1
        union["added"] |= union["linked_shared"]
        union["removed"] |= union["unlinked_shared"]
    assert union["added"] == set(diff.added) and union["removed"] == set(diff.removed)


def test_a_triple_over_the_size_of_a_message_and_too_many_messages_are_refused() -> None:
    writer = replace(WRITER, max_bytes=6000)
    with pytest.raises(EventTooLarge, match="event Q1 r5"):
        writer.messages(STEP, RdfDiff(added=[line(1, 7000)]), NOW)
    with pytest.raises(EventTooLarge, match="do not fit into 1000 messages"):
        writer.messages(STEP, RdfDiff(added=lines(0, 1200, 5000)), NOW)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="WBD_CORPUS names no folder of real input")
@pytest.mark.parametrize("operation", ["import", "diff", "delete", "reconcile"])
@pytest.mark.parametrize("max_bytes", [6000, 10**7])
def test_rdf_change_is_valid_by_wikimedias_schema(operation: Any, max_bytes: int) -> None:
    schema = yaml.safe_load((CORPUS / "events/rdf_change-2.0.0.schema.yaml").read_text())
    example = json.loads((CORPUS / "events/rdf_change-2.0.0.diff-example.json").read_text())
    jsonschema.Draft7Validator.check_schema({**schema, "$schema": "http://json-schema.org/draft-07/schema#"})
    check = jsonschema.Draft7Validator(schema, format_checker=jsonschema.FormatChecker())
    check.validate(example)
    writer = replace(WRITER, event_format="rdf_change", max_bytes=max_bytes)
    diff = RdfDiff(lines(0, 150), lines(200, 350), lines(0, 5), lines(200, 205))
    messages = writer.messages(replace(STEP, operation=operation), diff, NOW)
    assert (len(messages) > 1) == (max_bytes == 6000 and operation != "delete")
    for message in messages:
        event = json.loads(message)
        check.validate(event)
        assert event["operation"] == operation and event["meta"]["stream"] == "wikibase.entity_diff"
        data = {name for name in event if name.endswith("_data")}
        if operation == "delete":
            assert not data
        if operation == "reconcile":
            assert data == {"rdf_added_data"}
