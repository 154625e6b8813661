"""Read the diff topic as a consumer does: apply every event, measure the lag, and compare the result with the heads.

Reads:   the diff topic, as a consumer group of its own; entity_head, entity_revisions, snapshots
Writes:  nothing but the offsets of its group
Repeats: harmless; a repeated event is recognized by its event_id
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import orjson
import pyoxigraph as ox

from wbd.engines.kafka import GroupConsumer, Received
from wbd.engines.mysql import Database
from wbd.engines.objects import ObjectStore
from wbd.errors import PermanentError, WbdError
from wbd.events.entity_diff import EntityDiff
from wbd.mapping.context import MappingContext
from wbd.mapping.entity import map_entity
from wbd.revisions.heads import every_head
from wbd.runtime.clock import Clock, SystemClock

# Bound of the entities whose triples are kept for the comparison at the end; events of further ones are only counted.
MAX_REPLAYED = 2000
# How soon the thread notices stop(), and wait_for() what has come.
_POLL_S = 0.2
_LOOK_S = 0.05

Graph = set[str]


@dataclass(slots=True)
class Replayed:
    """
    The events that came over the topic.

    seen: entity and revision of each.
    malformed: place and fault of each message that is not an event.
    """

    events: int = 0
    repeats: int = 0
    added: int = 0
    removed: int = 0
    lags_s: list[float] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    seen: set[tuple[str, int]] = field(default_factory=set)
    malformed: list[str] = field(default_factory=list)


class Replay:
    """
    Follows the topic in a thread until stop().

    It holds the state of a consumer: the graph of each entity, and the last revision applied to it.
    """

    def __init__(self, brokers: str, topic: str, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self.result = Replayed()
        self.trouble: str | None = None
        self._consumer = GroupConsumer(
            brokers,
            f"wbd-demo-{uuid.uuid4().hex[:12]}",
            [topic],
            dead_letter=self._set_aside,
            client_id="wbd-demo",
        )
        self._graphs: dict[str, Graph] = {}
        self._last: dict[str, int] = {}
        self._event_ids: set[str] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="replay", daemon=True)
        self._thread.start()

    def wait_for(self, expected: set[tuple[str, int]], stalled_s: float) -> set[tuple[str, int]]:
        """Wait until every (entity, revision) has come, or none has for *stalled_s*; return the missing ones."""
        last, last_mono_s = -1, self._clock.mono_s()
        while True:
            missing = expected - self.result.seen
            if not missing or self.trouble is not None:
                return missing
            if self.result.events != last:
                last, last_mono_s = self.result.events, self._clock.mono_s()
            elif self._clock.mono_s() - last_mono_s > stalled_s:
                return missing
            self._clock.sleep(_LOOK_S)

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join(10.0)

    @property
    def triples(self) -> int | None:
        """Number of triples that a consumer holds now; None when there were more than MAX_REPLAYED entities."""
        return sum(map(len, self._graphs.values())) if len(self._graphs) == len(self._last) else None

    def differing(self, db: Database, objects: ObjectStore, context: MappingContext) -> list[str]:
        """Return the entities whose replayed triples are not exactly those of their head."""
        wrong = []
        for head in every_head(db, snapshots=True):
            graph = self._graphs.get(head.entity_id)
            if graph is None:
                continue
            snapshot = objects.get(head.snapshot_key) if head.snapshot_key else None
            lines = "\n".join(map_entity(orjson.loads(snapshot or b"{}"), context))
            if _triples(lines, ox.RdfFormat.N_TRIPLES) != graph:
                wrong.append(head.entity_id)
        return wrong

    def _follow(self) -> None:
        try:
            while not self._stopping.is_set():
                self._consumer.run_once(self._apply_all, _POLL_S)
        except WbdError as error:
            self.trouble = str(error)
        finally:
            self._consumer.close()

    def _apply_all(self, batch: Sequence[Received]) -> None:
        # All of them are read before the first is applied: a malformed one makes the consumer repeat the batch.
        for event in [EntityDiff.from_bytes(message.value) for message in batch]:
            self._apply(event)

    def _set_aside(self, message: Received, error: PermanentError) -> None:
        self.result.malformed.append(f"{message.place}: {error}")

    def _apply(self, event: EntityDiff) -> None:
        result = self.result
        result.events += 1
        if event.event_id in self._event_ids:
            result.repeats += 1
            return
        self._event_ids.add(event.event_id)
        recorded_at = datetime.fromisoformat(event.timestamp)
        result.lags_s.append((self._clock.now() - recorded_at).total_seconds())
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
