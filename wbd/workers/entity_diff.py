"""Turn each new revision of an entity into the RDF that it added and removed, on Kafka.

Reads:    entity_head, entity_revisions, the snapshots of both revisions, entity_diff_requests
Writes:   kafka_entity_diff_topic, keyed by entity; then entity_diff_state, entity_diff_failures, entity_diff_requests
Repeats:  a crash between the two publishes a revision again; its event_id is the same
Schedule: polls; at once while there is work, every entity_diff_poll_interval when there is none

Any number of processes on any hosts share the shards by leases. The events of one entity come in order of their
revisions; a revision that cannot be mapped is set aside with its reason and the next one diffs against the last
published. A missing snapshot is waited for while its revision is young, then set aside; where consumers cannot be
brought to a head by a diff, the head is published whole.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from wbd.diff_stream.chains import ChainReader
from wbd.diff_stream.feed import DiffFeed, Failure, Progress, Reconcile, WaitingHead, WaitingRevision
from wbd.diff_stream.messages import EventWriter
from wbd.diff_stream.plan import Chain, ChainPlanner, Planned
from wbd.diff_stream.pool import ManyProcesses, OneProcess, Planner
from wbd.engines.kafka import MAX_MESSAGE_BYTES, Event, EventProducer, Topics
from wbd.engines.mysql import Database
from wbd.engines.objects import ObjectStore, open_store
from wbd.errors import BrokerUnavailable
from wbd.mapping.config import mapping_context
from wbd.mapping.context import FLAVOURS, MappingContext
from wbd.revisions.revision import SHARDS
from wbd.runtime import logs
from wbd.runtime.clock import SystemClock
from wbd.runtime.leases import SlotLeases
from wbd.runtime.memory import collect_seldom
from wbd.runtime.process import run_worker
from wbd.runtime.worker import Run
from wbd.settings.settings import Settings

_BATCH = 400
_SWEEP_PAGE = 5000
_LEASE_S = 30.0
# Planning ends here and the rest comes with the next step, or a slow machine would outlast its lease every time.
_PLAN_S = 6.0
# How often the window behind the positions is read again while work goes on, and requests are looked for.
_OVERLAP_EVERY_S = 2.0
# How often a page of a sweep is looked at while there is other work.
_PAGE_EVERY_S = 1.0
_FOUND_AGAIN_EVERY_S = 60.0
# What the broker counts beside the value of a message.
_OVERHEAD_BYTES = 1024
# Lags that health tells percentiles of.
_LAGS = 1000


@dataclass(slots=True)
class Numbers:
    """Counts since the process began."""

    diffs: int = 0
    reconciles: int = 0
    messages: int = 0
    triples_added: int = 0
    triples_removed: int = 0
    set_aside: int = 0
    swept: int = 0
    plan_s: float = 0.0
    last_entity: str | None = None
    last_revision: int | None = None
    last_lag_s: float | None = None
    lags_s: deque[float] = field(default_factory=lambda: deque(maxlen=_LAGS))


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How far entities have come, what is set aside, and whether the broker failed."""

    progress: list[Progress]
    failures: list[Failure]
    failed: BrokerUnavailable | None


class EntityDiffWorker:
    """Follows entity_head and publishes what each revision changed."""

    def __init__(
        self, db: Database, objects: ObjectStore, producer: EventProducer, context: MappingContext, settings: Settings
    ) -> None:
        self._db = db
        self._objects = objects
        self._producer = producer
        self._context = context
        self._settings = settings
        self._planner: Planner | None = None
        self._feed = DiffFeed(db, overlap_s=settings.entity_diff_overlap_s)
        self._leases: SlotLeases | None = None
        # Found and not dealt with yet; nothing more is looked for until it is empty.
        self._heads: dict[str, WaitingHead] = {}
        missing_after_s = settings.entity_diff_missing_after_s
        self._reader = ChainReader(objects, missing_after_s, SystemClock(), logs.get_log("entity_diff"))
        self._numbers = Numbers()
        self._overlap_at_mono_s = 0.0
        # 0.0 while a sweep is under way.
        self._sweep_at_mono_s: float | None = None
        self._page_at_mono_s = 0.0
        self._requests_at_mono_s = 0.0
        self._found_again_at_mono_s = 0.0

    def start(self, run: Run) -> None:
        """Check the servers and join the processes that share the shards."""
        collect_seldom()
        self._db.query("SELECT 1 FROM entity_diff_state LIMIT 1")
        self._objects.ping()
        self._producer.ping()
        self._reader = ChainReader(self._objects, self._settings.entity_diff_missing_after_s, run.clock, run.log)
        if self._planner is None:
            self._planner = self._make_planner()
        self._leases = SlotLeases(self._db, run.name, run.lease_owner, slots=SHARDS, lease_s=_LEASE_S, clock=run.clock)
        self._diffs = run.metrics.counter("wbd_diffs_total", "Revisions whose diff was published.")
        self._triples = run.metrics.counter("wbd_diff_triples_total", "Triples in published diffs.", ("change",))
        self._aside = run.metrics.counter("wbd_diff_set_aside_total", "Revisions that could not be diffed.")
        self._lag = run.metrics.histogram("wbd_diff_lag_seconds", "From a revision's record to its acknowledgement.")
        self._plan_time = run.metrics.histogram(
            "wbd_diff_batch_seconds", "From the snapshots of a batch to the bytes of its events."
        )
        self._waiting = run.metrics.gauge("worker_queue_length", "Heads found waiting by the last poll.")
        run.ready()

    def step(self, run: Run) -> float:
        """Publish one batch of revisions; return 0 while there may be more."""
        leases = self._leases
        assert leases is not None
        before = leases.held
        shards = leases.renew(self._feed.positions(self._unfinished()))
        if shards != before:
            self._feed.follow({shard: leases.position(shard) for shard in shards})
            self._heads = {e: head for e, head in self._heads.items() if head.shard in shards}
            self._reader.held_back = {
                e: held for e, held in self._reader.held_back.items() if held.head.shard in shards
            }
            run.log.info("shards", owned=len(shards), of=SHARDS)
        if not shards:
            return min(2.0, leases.due_in_s + 0.1)
        if self._reconcile(run):
            return 0.0
        now = run.clock.mono_s()
        if self._sweep_at_mono_s is None:
            self._sweep_at_mono_s = now + self._settings.entity_diff_sweep_interval_s
        if not self._heads:
            self._heads = self._find(run)
            self._waiting.set(len(self._heads))
        elif now >= max(self._sweep_at_mono_s, self._page_at_mono_s):
            # Work that never ends must not keep what polls have missed waiting for good.
            self._heads |= self._reader.not_held(self._sweep(now))
        batch = list(islice(self._heads.values(), _BATCH))
        revisions = self._feed.revisions(batch, _BATCH * 2)
        if revisions:
            self._publish(run, revisions)
            return 0.0
        for head in batch:
            # Done meanwhile, or a head whose row in entity_revisions is missing, which a later sweep looks at again.
            del self._heads[head.entity_id]
            self._reader.held_back.pop(head.entity_id, None)
        if self._heads or self._sweep_at_mono_s == 0.0:
            return 0.0
        next_s = [float(self._settings.entity_diff_poll_interval), leases.due_in_s]
        next_s += [held.retry_at_mono_s - run.clock.mono_s() for held in self._reader.held_back.values()]
        return max(0.05, min(next_s))

    def stop(self) -> None:
        """Give the shards back and close."""
        try:
            if self._leases is not None and self._leases.held:
                self._leases.release(self._feed.positions(self._unfinished()))
        finally:
            if self._planner is not None:
                self._planner.close()
            self._db.close()

    def health(self) -> dict[str, Any]:
        """Return the last entity, diffs computed, Kafka statistics and lag, as the documents list them."""
        n = self._numbers
        return {
            "shards": len(self._leases.held) if self._leases else 0,
            "last_processed_entity": n.last_entity,
            "last_processed_revision": n.last_revision,
            "diffs_computed": n.diffs,
            "reconciles": n.reconciles,
            "triples_added": n.triples_added,
            "triples_removed": n.triples_removed,
            "set_aside": n.set_aside,
            "found_by_sweep": n.swept,
            "lag_s": n.last_lag_s,
            "lag_p50_s": _percentile(n.lags_s, 0.5),
            "lag_p99_s": _percentile(n.lags_s, 0.99),
            "ms_a_diff": round(n.plan_s * 1000 / n.diffs, 3) if n.diffs else None,
            "snapshots": {"read": self._reader.cache.reads, "from_cache": self._reader.cache.hits},
            "kafka": {
                "acknowledged": self._producer.acknowledged,
                "failed": self._producer.failed,
                "messages": n.messages,
            },
            "held_back": [
                {"entity_id": entity_id, "reason": held.reason, "failures": held.failures}
                for entity_id, held in list(self._reader.held_back.items())[:20]
            ],
        }

    def _unfinished(self) -> list[WaitingHead]:
        """Return the heads that positions must not pass."""
        return [*self._heads.values(), *(held.head for held in self._reader.held_back.values())]

    def _make_planner(self) -> Planner:
        settings = self._settings
        topic = settings.kafka_entity_diff_topic
        # A broker that does not say takes what our topics take.
        room = Topics(settings.brokers()).max_message_bytes(topic) or MAX_MESSAGE_BYTES
        writer = EventWriter(
            vocabulary=self._context.vocabulary,
            event_format=settings.entity_diff_event_format,
            rdf_format=settings.entity_diff_rdf_format,
            schema_version=settings.streaming_entity_diff_version,
            stream=topic,
            domain=urlsplit(settings.wikibase_entity_base).hostname or topic,
            max_bytes=min(room, MAX_MESSAGE_BYTES) - _OVERHEAD_BYTES,
        )
        planner = ChainPlanner(self._context, writer)
        processes = settings.entity_diff_processes
        return OneProcess(planner) if processes == 1 else ManyProcesses(planner, processes)

    def _find(self, run: Run) -> dict[str, WaitingHead]:
        """Poll, with the overlap when it is due; sweep a page when there is nothing else to do; add what is due."""
        now = run.clock.mono_s()
        overlap = now >= self._overlap_at_mono_s
        leave_out = self._reader.held_by_shard()
        heads = self._feed.poll(_BATCH, overlap=overlap, leave_out=leave_out)
        if overlap:
            self._overlap_at_mono_s = now + _OVERLAP_EVERY_S
        elif not heads:
            heads = self._feed.poll(_BATCH, overlap=True, leave_out=leave_out)
        if not heads and self._sweep_at_mono_s is not None and now >= self._sweep_at_mono_s:
            heads = self._sweep(now)
        # No poll looks as far back as some of them lie.
        return self._reader.not_held(heads) | self._reader.due()

    def _sweep(self, now_mono_s: float) -> list[WaitingHead]:
        """Look at a page of all heads; return those that polls have missed."""
        heads, ended = self._feed.sweep(_SWEEP_PAGE)
        self._numbers.swept += len(heads)
        # 0.0 means a sweep is under way: the next step goes on with it at once, if it has nothing else to do.
        self._sweep_at_mono_s = now_mono_s + self._settings.entity_diff_sweep_interval_s if ended else 0.0
        self._page_at_mono_s = now_mono_s + _PAGE_EVERY_S
        return heads

    def _publish(self, run: Run, revisions: list[WaitingRevision]) -> None:
        """Diff, publish, and record what the broker has; raises BrokerUnavailable after recording the rest."""
        outcome = self._deliver(run, self._reader.chains(revisions, self._heads))
        self._feed.record(outcome.progress, outcome.failures)
        for done in outcome.progress:
            head = self._heads.get(done.entity_id)
            if head is not None and done.seen_revision_id >= head.head_revision_id:
                del self._heads[done.entity_id]
        if outcome.failed is not None:
            raise outcome.failed

    def _reconcile(self, run: Run) -> bool:
        """Publish heads whole: those asked for, and those whose missing snapshots appeared; tell if there were any."""
        now = run.clock.mono_s()
        found: list[Reconcile] = []
        if now >= self._requests_at_mono_s:
            self._requests_at_mono_s = now + _OVERLAP_EVERY_S
            found = self._feed.reconciles()
        if now >= self._found_again_at_mono_s:
            self._found_again_at_mono_s = now + _FOUND_AGAIN_EVERY_S
            found += self._feed.found_again()
        if not found:
            return False
        wanted = self._reader.whole(reversed(found))
        outcome = self._deliver(run, [chain for _, chain in wanted.values()])
        reached = [done.entity_id for done in outcome.progress]
        self._feed.record(outcome.progress, outcome.failures, [wanted[entity_id][0] for entity_id in reached])
        for entity_id in reached:
            self._heads.pop(entity_id, None)
            self._reader.held_back.pop(entity_id, None)
        if outcome.failed is not None:
            raise outcome.failed
        return bool(reached)

    def _deliver(self, run: Run, chains: list[Chain]) -> _Outcome:
        """Compute and publish the events of chains; say what the broker has of them."""
        assert self._planner is not None and self._leases is not None
        run.beat()
        begun_mono_s = run.clock.mono_s()
        plans = self._planner.plan_all(chains, begun_mono_s + _PLAN_S)
        plan_s = run.clock.mono_s() - begun_mono_s
        self._numbers.plan_s += plan_s
        self._plan_time.observe(plan_s)
        self._leases.check()
        topic = self._settings.kafka_entity_diff_topic
        events = [
            Event(topic, chain.entity_id, message)
            for chain, planned in zip(chains, plans, strict=True)
            for each in planned
            for message in each.messages
        ]
        answers = iter(self._producer.publish(events))
        found = _Outcome([], [], None)
        failed: BrokerUnavailable | None = None
        for chain, planned in zip(chains, plans, strict=True):
            # All of them are taken from the iterator, those of revisions after a failure too.
            answered = [(each, [next(answers) for _ in each.messages]) for each in planned]
            failed = self._settle(run, chain, answered, found) or failed
        self._numbers.set_aside += len(found.failures)
        self._aside.inc(len(found.failures))
        return _Outcome(found.progress, found.failures, failed)

    def _settle(
        self,
        run: Run,
        chain: Chain,
        answered: list[tuple[Planned, list[Exception | None]]],
        found: _Outcome,
    ) -> BrokerUnavailable | None:
        """Add to *found* how far one entity has come and what is set aside; return the broker's failure."""
        recorded_at = {link.revision_id: link.created_at for link in chain.links}
        published, seen = chain.base_revision_id, None
        failed: BrokerUnavailable | None = None
        for planned, answers in answered:
            # What follows a message that is refused is not sent, which looks like a broker that is away.
            refused = [answer for answer in answers if answer and not isinstance(answer, BrokerUnavailable)]
            if not refused:
                failed = next((answer for answer in answers if isinstance(answer, BrokerUnavailable)), None)
                if failed is not None:
                    break
            reason = str(refused[0]) if refused else planned.reason
            if planned.unforeseen:
                run.log.error("unforeseen fault", entity_id=chain.entity_id, traceback=planned.unforeseen)
            if reason:
                run.log.error(reason, entity_id=chain.entity_id, revision_id=planned.revision_id, action="set aside")
                found.failures.append(Failure(chain.entity_id, planned.revision_id, reason, planned.missing))
            else:
                published = planned.revision_id
                self._count(run, chain, planned, recorded_at[planned.revision_id])
            seen = planned.revision_id
            if refused:
                # The next revision was diffed against this one; it comes again, against the last published.
                break
        if seen is not None:
            found.progress.append(Progress(chain.entity_id, seen, published))
        return failed

    def _count(self, run: Run, chain: Chain, planned: Planned, recorded_at: datetime) -> None:
        lag_s = (run.clock.now() - recorded_at.replace(tzinfo=UTC)).total_seconds()
        n = self._numbers
        n.diffs += 1
        n.reconciles += planned.whole
        n.messages += len(planned.messages)
        n.triples_added += planned.added
        n.triples_removed += planned.removed
        n.last_entity, n.last_revision, n.last_lag_s = chain.entity_id, planned.revision_id, round(lag_s, 3)
        n.lags_s.append(lag_s)
        self._diffs.inc()
        self._triples.labels("added").inc(planned.added)
        self._triples.labels("removed").inc(planned.removed)
        self._lag.observe(max(0.0, lag_s))


def _percentile(values: Iterable[float], share: float) -> float | None:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 3) if ordered else None


def build(settings: Settings) -> EntityDiffWorker:
    """Wire the worker to the servers of the settings."""
    return EntityDiffWorker(
        Database(settings.database_address(), max_connections=settings.pool_size(2)),
        open_store(settings.objects_address(), settings.s3_revisions_bucket),
        EventProducer(settings.brokers(), client_id="wbd-entity-diff"),
        mapping_context(settings, FLAVOURS[settings.entity_diff_flavour]),
        settings,
    )


if __name__ == "__main__":
    sys.exit(run_worker("entity_diff", build))
