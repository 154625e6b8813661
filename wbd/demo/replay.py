"""Read the diff topic as a consumer does: apply every event, measure the lag, and check that it all adds up."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
import pyoxigraph as ox

from wbd.engines.kafka import read_topic
from wbd.engines.mysql import Database
from wbd.engines.objects import ObjectStore
from wbd.errors import WbdError
from wbd.events.entity_diff import EntityDiff
from wbd.mapping.context import MappingContext
from wbd.mapping.entity import map_entity

# Triples of more entities than this are not kept for the comparison at the end; their events are still counted.
MAX_REPLAYED = 2000

Graph = set[str]


@dataclass(slots=True)
class Replayed:
    """What came over the topic."""

    events: int = 0
    repeats: int = 0
    added: int = 0
    removed: int = 0
    lags_s: list[float] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    seen: set[tuple[str, int]] = field(default_factory=set)


class Replay:
    """
    Follows the topic in a thread until stop().

    State a consumer would hold: the graph of each entity, and the last revision applied to it.
    """

    def __init__(self, brokers: str, topic: str) -> None:
        self.result = Replayed()
        self.trouble: str | None = None
        self._brokers = brokers
        self._topic = topic
        self._graphs: dict[str, Graph] = {}
        self._last: dict[str, int] = {}
        self._event_ids: set[str] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="replay", daemon=True)
        self._thread.start()

    def wait_for(self, expected: set[tuple[str, int]], stalled_s: float) -> set[tuple[str, int]]:
        """Wait until every (entity, revision) has come or none has for *stalled_s*; return those missing."""
        last, last_mono_s = -1, time.monotonic()
        while True:
            missing = expected - self.result.seen
            if not missing or self.trouble is not None:
                return missing
            if self.result.events != last:
                last, last_mono_s = self.result.events, time.monotonic()
            elif time.monotonic() - last_mono_s > stalled_s:
                return missing
            time.sleep(0.05)

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join(10.0)

    @property
    def triples(self) -> int | None:
        """Triples that a consumer holds now; None when there were more entities than are kept."""
        return sum(map(len, self._graphs.values())) if len(self._graphs) == len(self._last) else None

    def differing(self, db: Database, objects: ObjectStore, context: MappingContext) -> list[str]:
        """Return the entities whose replayed triples are not exactly those of their head."""
        keys: dict[str, str] = dict(
            db.query(
                "SELECT r.entity_id, r.snapshot_key FROM entity_head h JOIN entity_revisions r"
                " ON r.entity_id = h.entity_id AND r.revision_id = h.head_revision_id"
            )
        )
        wrong = []
        for entity_id, graph in self._graphs.items():
            snapshot = objects.get(keys[entity_id])
            whole = "\n".join(map_entity(orjson.loads(snapshot or b"{}"), context))
            if _triples(whole, ox.RdfFormat.N_TRIPLES) != graph:
                wrong.append(entity_id)
        return wrong

    def _follow(self) -> None:
        try:
            for message in read_topic(self._brokers, self._topic, stop=self._stopping):
                self._apply(message)
        except WbdError as error:
            self.trouble = str(error)

    def _apply(self, message: Any) -> None:
        event = EntityDiff.from_bytes(message.value())
        result = self.result
        result.events += 1
        if event.event_id in self._event_ids:
            result.repeats += 1
            return
        self._event_ids.add(event.event_id)
        recorded_at = datetime.fromisoformat(event.timestamp)
        result.lags_s.append((datetime.now(UTC) - recorded_at).total_seconds())
        if event.sequence == 0 and self._last.get(event.entity_id) != event.previous_revision_id:
            result.out_of_order.append(f"{event.entity_id} r{event.revision_id}")
        self._last[event.entity_id] = event.revision_id
        added = _triples(event.rdf_added_data, ox.RdfFormat.TURTLE)
        removed = _triples(event.rdf_removed_data, ox.RdfFormat.TURTLE)
        result.added += len(added)
        result.removed += len(removed)
        if event.entity_id in self._graphs or len(self._graphs) < MAX_REPLAYED:
            graph = self._graphs.setdefault(event.entity_id, set())
            if event.operation in ("reconcile", "delete") and event.sequence == 0:
                graph.clear()
            graph -= removed
            graph |= added
        result.seen.add((event.entity_id, event.revision_id))


def lag_percentiles_s(lags_s: list[float]) -> tuple[float, float]:
    """Return the median and the 99th percentile."""
    ordered = sorted(lags_s)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]


def _triples(data: str, form: ox.RdfFormat) -> Graph:
    return {str(quad.triple) for quad in ox.parse(data.encode(), form)}
