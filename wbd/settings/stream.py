"""Settings of the stream of entity diffs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from wbd.settings.kinds import Seconds, Version
from wbd.settings.subject import Subject


class EntityDiff(Subject):
    """Entity diff: how new revisions are found, and the form of the events about them."""

    entity_diff_enabled: bool = Field(True, description="run the entity diff worker")
    entity_diff_poll_interval: int = Field(60, ge=1, le=86_400, description="seconds between polls that find nothing")
    streaming_entity_diff_version: Version = Field("2.0.0", description="schema_version of entity diff events")
    entity_diff_overlap_s: Seconds = Field(
        120.0, description="window that is read again, longer than any transaction of a writer"
    )
    entity_diff_sweep_interval_s: Seconds = Field(3600.0, description="seconds between sweeps over every head")
    entity_diff_event_format: Literal["entity_diff", "rdf_change"] = Field(
        "entity_diff", description="fields of the events: wbd's, or Wikimedia's rdf_change 2.0.0"
    )
    entity_diff_rdf_format: Literal["turtle", "rdfxml", "ntriples"] = Field(
        "turtle", description="format of the triples in events"
    )
    entity_diff_flavour: Literal["full", "truthy", "updater"] = Field(
        "full", description="how much of an entity events carry; updater: the part that Wikidata's query service loads"
    )
    entity_diff_processes: int = Field(
        1, ge=1, le=256, description="processes that compute diffs; with 1 the worker does it itself"
    )
    entity_diff_missing_after_s: Seconds = Field(
        3600.0, description="age of a revision from which its missing snapshot is no longer waited for"
    )
