"""The diff stream of the shards that this process owns, one batch a step.

Reads:   entity_head, entity_revisions, snapshots, entity_diff_requests
Writes:  kafka_entity_diff_topic; then entity_diff_state, entity_diff_failures, entity_diff_requests
Repeats: a crash between the two publishes a batch again, with the same event ids
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from wbd.diff_stream.agenda import Agenda, Pace
from wbd.diff_stream.chains import ChainReader
from wbd.diff_stream.feed import DiffFeed, Reconcile, WaitingRevision
from wbd.diff_stream.messages import EventWriter
from wbd.diff_stream.plan import ChainPlanner
from wbd.diff_stream.pool import ManyProcesses, OneProcess, Planner
from wbd.diff_stream.publisher import Numbers, Publisher
from wbd.engines.kafka import MAX_MESSAGE_BYTES, Topics
from wbd.mapping.context import MappingContext
from wbd.revisions.revision import SHARDS
from wbd.runtime.leases import SlotLeases
from wbd.runtime.logs import Log
from wbd.settings.settings import Settings

# The broker counts the headers of a message too, not only its value.
_OVERHEAD_BYTES = 1024
# A process without shards looks again after this much, or when its lease is due, whichever comes first.
_NO_SHARDS_S = 2.0
_LEAST_WAIT_S = 0.05
# Health lists this many of the entities that are held back.
_HELD_SHOWN = 20


class DiffStream:
    """
    Finds, plans, publishes and records; the parts do the work. One thread only, report() excepted.

    Args:
        beat: called before a batch, which may take seconds.
    """

    def __init__(
        self,
        leases: SlotLeases,
        feed: DiffFeed,
        reader: ChainReader,
        agenda: Agenda,
        publisher: Publisher,
        *,
        pace: Pace,
        beat: Callable[[], None],
        log: Log,
    ) -> None:
        self._leases = leases
        self._feed = feed
        self._reader = reader
        self._agenda = agenda
        self._publisher = publisher
        self._pace = pace
        self._beat = beat
        self._log = log

    @property
    def waiting(self) -> int:
        """Heads that the last poll found waiting."""
        return self._agenda.polled

    def step(self) -> float:
        """
        Publish one batch of revisions; return the seconds until the next step, 0.0 while there may be more.

        Raises:
            DependencyUnavailable: a server does not answer; what was published before that is recorded.
            LeaseLost: the lease ran out or was taken over; nothing is recorded.
        """
        before = self._leases.held
        shards = self._leases.renew(self._agenda.positions())
        if shards != before:
            self._agenda.follow({shard: self._leases.position(shard) for shard in shards})
            self._log.info("shards", owned=len(shards), of=SHARDS)
        if not shards:
            return min(_NO_SHARDS_S, self._leases.due_in_s + 0.1)
        if self._reconcile(self._agenda.reconciles()):
            return 0.0
        batch = self._agenda.batch()
        revisions = self._feed.revisions(batch, self._pace.batch_revisions)
        if revisions:
            self._publish(revisions)
            return 0.0
        # Done meanwhile, or a head whose row in entity_revisions is missing; a later sweep finds the latter again.
        self._agenda.drop(head.entity_id for head in batch)
        idle_s = self._agenda.idle_s()
        return max(_LEAST_WAIT_S, min(idle_s, self._leases.due_in_s)) if idle_s else 0.0

    def close(self) -> None:
        """Give the shards back with their positions, and end the planner's processes."""
        try:
            if self._leases.held:
                self._leases.release(self._agenda.positions())
        finally:
            self._publisher.close()

    def report(self) -> dict[str, Any]:
        """Return the stream's fields of the worker's health; safe from any thread."""
        producer = self._publisher.producer
        return {
            **_counts(self._publisher.numbers),
            "shards": len(self._leases.held),
            "found_by_sweep": self._agenda.swept,
            "snapshots": {"read": self._reader.cache.reads, "from_cache": self._reader.cache.hits},
            "kafka": {
                "acknowledged": producer.acknowledged,
                "failed": producer.failed,
                "messages": self._publisher.numbers.messages,
            },
            "held_back": [
                {"entity_id": entity_id, "reason": held.reason, "failures": held.failures}
                for entity_id, held in list(self._reader.held_back.items())[:_HELD_SHOWN]
            ],
        }

    def _publish(self, revisions: list[WaitingRevision]) -> None:
        """Diff, publish, and record what the broker has; raises BrokerUnavailable after recording the rest."""
        self._beat()
        outcome = self._publisher.publish(self._reader.chains(revisions, self._agenda.heads), self._leases.confirm)
        self._feed.record(outcome.progress, outcome.failures, fence=self._leases.fence)
        self._agenda.settle(outcome.progress)
        if outcome.failed is not None:
            raise outcome.failed

    def _reconcile(self, wanted: list[Reconcile]) -> bool:
        """Publish heads in full; tell whether any was dealt with. Raises BrokerUnavailable like _publish."""
        if not wanted:
            return False
        # A request comes before a head whose snapshot appeared, and stands for both.
        chosen = self._reader.reconciles(reversed(wanted))
        self._beat()
        outcome = self._publisher.publish([chain for _, chain in chosen.values()], self._leases.confirm)
        reached = [done.entity_id for done in outcome.progress]
        answered = [chosen[entity_id][0] for entity_id in reached]
        self._feed.record(outcome.progress, outcome.failures, answered, fence=self._leases.fence)
        self._agenda.drop(reached)
        if outcome.failed is not None:
            raise outcome.failed
        return bool(reached)


def idle_report() -> dict[str, Any]:
    """Return the fields of DiffStream.report() of a stream that has not started."""
    return {
        **_counts(Numbers()),
        "shards": 0,
        "found_by_sweep": 0,
        "snapshots": {"read": 0, "from_cache": 0},
        "kafka": {"acknowledged": 0, "failed": 0, "messages": 0},
        "held_back": [],
    }


def make_planner(settings: Settings, context: MappingContext) -> Planner:
    """
    Make the planner that the settings describe; its processes start with the first batch.

    Raises:
        BrokerUnavailable: the broker does not say how large a message of the topic may be.
    """
    topic = settings.kafka_entity_diff_topic
    # librdkafka's mock broker does not describe topics; it takes what our own topics take.
    room = Topics(settings.brokers()).max_message_bytes(topic) or MAX_MESSAGE_BYTES
    writer = EventWriter(
        vocabulary=context.vocabulary,
        event_format=settings.entity_diff_event_format,
        rdf_format=settings.entity_diff_rdf_format,
        schema_version=settings.streaming_entity_diff_version,
        stream=topic,
        domain=urlsplit(settings.wikibase_entity_base).hostname or topic,
        max_bytes=min(room, MAX_MESSAGE_BYTES) - _OVERHEAD_BYTES,
    )
    planner = ChainPlanner(context, writer)
    processes = settings.entity_diff_processes
    return OneProcess(planner) if processes == 1 else ManyProcesses(planner, processes)


def _counts(n: Numbers) -> dict[str, Any]:
    return {
        "last_processed_entity": n.last_entity,
        "last_processed_revision": n.last_revision,
        "diffs_computed": n.diffs,
        "reconciles": n.reconciles,
        "triples_added": n.triples_added,
        "triples_removed": n.triples_removed,
        "broken_snaks": n.broken_snaks,
        "set_aside": n.set_aside,
        "lag_s": n.last_lag_s,
        "lag_p50_s": n.lag_percentile_s(0.5),
        "lag_p99_s": n.lag_percentile_s(0.99),
        "ms_a_diff": round(n.plan_s * 1000 / n.diffs, 3) if n.diffs else None,
    }
