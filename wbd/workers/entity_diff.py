"""Turn each new revision of an entity into the RDF that it added and removed, on Kafka.

Reads:    entity_head, entity_revisions, the snapshots of both revisions, entity_diff_requests
Writes:   kafka_entity_diff_topic, keyed by entity; then entity_diff_state, entity_diff_failures, entity_diff_requests
Repeats:  a crash between the two publishes a revision again; its event_id is the same
Schedule: polls; at once while there is work, every entity_diff_poll_interval when there is none

Any number of processes on any hosts share the shards by leases. The events of one entity come in order of their
revisions; a revision that cannot be mapped is set aside with its reason and the next one diffs against the last
published. A missing snapshot is waited for while its revision is young, then set aside; where no diff can bring
consumers to a head, the head is published in full.
"""

from __future__ import annotations

import sys
from typing import Any

from wbd.diff_stream.agenda import Agenda, Pace
from wbd.diff_stream.chains import ChainReader
from wbd.diff_stream.feed import DiffFeed
from wbd.diff_stream.publisher import Publisher
from wbd.diff_stream.stream import DiffStream, idle_report, make_planner
from wbd.engines.kafka import EventProducer
from wbd.engines.mysql import Database
from wbd.engines.objects import ObjectStore
from wbd.mapping.context import MappingContext
from wbd.revisions.revision import SHARDS
from wbd.runtime.leases import SlotLeases
from wbd.runtime.memory import collect_seldom
from wbd.runtime.process import run_worker
from wbd.runtime.worker import Run
from wbd.settings.settings import Settings
from wbd.wiki import Wiki

_LEASE_S = 30.0


class EntityDiffWorker:
    """
    Follows entity_head and publishes the changes of each revision.

    Args:
        pace: taken from the settings when it is not given.
    """

    def __init__(
        self,
        db: Database,
        objects: ObjectStore,
        producer: EventProducer,
        context: MappingContext,
        settings: Settings,
        pace: Pace | None = None,
    ) -> None:
        self._db = db
        self._objects = objects
        self._producer = producer
        self._context = context
        self._settings = settings
        self._pace = pace or pace_of(settings)
        self._stream: DiffStream | None = None

    def start(self, run: Run) -> None:
        """Check the servers and join the processes that share the shards."""
        collect_seldom()
        self._db.query("SELECT 1 FROM entity_diff_state LIMIT 1")
        self._objects.ping()
        self._producer.ping()
        planner = make_planner(self._settings, self._context)
        leases = SlotLeases(self._db, run.name, run.lease_owner, slots=SHARDS, lease_s=_LEASE_S, clock=run.clock)
        feed = DiffFeed(self._db, overlap_s=self._settings.entity_diff_overlap_s)
        reader = ChainReader(
            self._objects,
            self._settings.entity_diff_missing_after_s,
            run.clock,
            run.log,
            max_held_back=self._pace.held_back,
        )
        publisher = Publisher(
            planner,
            self._producer,
            self._settings.kafka_entity_diff_topic,
            plan_s=self._pace.plan_s,
            clock=run.clock,
            log=run.log,
            metrics=run.metrics,
        )
        agenda = Agenda(feed, reader, run.clock, self._pace)
        self._waiting = run.metrics.gauge("worker_queue_length", "Heads found waiting by the last poll.")
        self._stream = DiffStream(leases, feed, reader, agenda, publisher, pace=self._pace, beat=run.beat, log=run.log)
        run.ready()

    def step(self, run: Run) -> float:
        """Publish one batch of revisions; return 0 while there may be more."""
        assert self._stream is not None
        try:
            return self._stream.step()
        finally:
            self._waiting.set(self._stream.waiting)

    def stop(self) -> None:
        """Give the shards back and close."""
        try:
            if self._stream is not None:
                self._stream.close()
        finally:
            self._db.close()

    def health(self) -> dict[str, Any]:
        """Return the last entity, diffs computed, Kafka statistics and lag, as the documents list them."""
        return self._stream.report() if self._stream else idle_report()


def pace_of(settings: Settings) -> Pace:
    """Return the pace that the settings ask for."""
    return Pace(poll_s=float(settings.entity_diff_poll_interval), sweep_s=float(settings.entity_diff_sweep_interval_s))


def build(settings: Settings) -> EntityDiffWorker:
    """Wire the worker to the servers of the settings."""
    wiki = Wiki(settings, connections=2)
    return EntityDiffWorker(
        wiki.database,
        wiki.snapshots,
        wiki.producer("entity-diff"),
        wiki.mapping(settings.entity_diff_flavour),
        settings,
    )


if __name__ == "__main__":
    sys.exit(run_worker("entity_diff", build))
