"""Turn each new revision of an entity into the RDF that it added and removed, on Kafka.

Reads:    entity_head, entity_revisions, the snapshots of both revisions
Writes:   kafka_entity_diff_topic, keyed by entity; then entity_diff_state, entity_diff_failures
Repeats:  a crash between the two publishes a revision again; its event_id is the same
Schedule: polls; at once while there is work, every entity_diff_poll_interval when there is none

Any number of processes on any hosts share the shards by leases. The events of one entity come in order of their
revisions; a revision that cannot be mapped is set aside with its reason and the next one diffs against the last
published.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC
from itertools import islice
from typing import Any

import orjson

from wbd.engines.kafka import Event, EventProducer
from wbd.engines.mysql import Database
from wbd.engines.objects import ObjectStore, open_store
from wbd.errors import BrokerUnavailable, PermanentError
from wbd.events.entity_diff import EntityDiff
from wbd.rdf.context import MappingContext
from wbd.rdf.diff import RdfDiff, diff_entities
from wbd.rdf.formats import to_turtle
from wbd.rdf.mapping import FAULTS
from wbd.rdf.vocabulary import Vocabulary
from wbd.revisions.diff_feed import DiffFeed, Progress, WaitingHead, WaitingRevision
from wbd.revisions.store import SHARDS
from wbd.runtime.clock import iso
from wbd.runtime.leases import SlotLeases
from wbd.runtime.process import run_worker
from wbd.runtime.retry import Backoff
from wbd.runtime.worker import Run
from wbd.settings import Settings

_BATCH = 400
_SWEEP_PAGE = 5000
_LEASE_S = 30.0
# Planning ends here and the rest comes with the next step, or a slow machine would outlast its lease every time.
_PLAN_S = 6.0
# How often the window behind the positions is read again while work goes on.
_OVERLAP_EVERY_S = 2.0
# A snapshot is written before its row, so a missing one is a slow replica or a loss that a person must see.
_MISSING_BACKOFF = Backoff(first_s=1.0, max_s=60.0)
# Bounds memory and log when a whole bucket is gone; what is over it is left to the sweep.
_MAX_HELD_BACK = 1000


@dataclass(slots=True)
class HeldBack:
    """An entity whose next snapshot, or what it is diffed against, is missing: when it is tried again."""

    head: WaitingHead
    reason: str
    failures: int
    retry_at_mono_s: float


@dataclass(frozen=True, slots=True)
class Planned:
    """What becomes of one revision: an event to publish, or the reason why it is set aside."""

    revision: WaitingRevision
    event: Event | None = None
    diff: RdfDiff | None = None
    reason: str = ""


@dataclass(slots=True)
class Numbers:
    """Counts since the process began."""

    diffs: int = 0
    triples_added: int = 0
    triples_removed: int = 0
    set_aside: int = 0
    swept: int = 0
    last_entity: str | None = None
    last_revision: int | None = None
    last_lag_s: float | None = None


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
        self._feed = DiffFeed(db, overlap_s=settings.entity_diff_overlap_s)
        self._leases: SlotLeases | None = None
        # Found and not dealt with yet; nothing more is looked for until it is empty.
        self._heads: dict[str, WaitingHead] = {}
        self._held_back: dict[str, HeldBack] = {}
        self._numbers = Numbers()
        self._overlap_at_mono_s = 0.0
        self._sweep_at_mono_s: float | None = None

    def start(self, run: Run) -> None:
        """Check the servers and join the processes that share the shards."""
        self._db.query("SELECT 1 FROM entity_diff_state LIMIT 1")
        self._objects.ping()
        self._producer.ping()
        self._leases = SlotLeases(self._db, run.name, run.lease_owner, slots=SHARDS, lease_s=_LEASE_S, clock=run.clock)
        self._diffs = run.metrics.counter("wbd_diffs_total", "Revisions whose diff was published.")
        self._triples = run.metrics.counter("wbd_diff_triples_total", "Triples in published diffs.", ("change",))
        self._aside = run.metrics.counter("wbd_diff_set_aside_total", "Revisions that could not be diffed.")
        self._lag = run.metrics.histogram("wbd_diff_lag_seconds", "From a revision's record to its acknowledgement.")
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
            self._held_back = {e: held for e, held in self._held_back.items() if held.head.shard in shards}
            run.log.info("shards", owned=len(shards), of=SHARDS)
        if not shards:
            return min(2.0, leases.due_in_s + 0.1)
        if not self._heads:
            self._heads = self._find(run)
            self._waiting.set(len(self._heads))
        batch = list(islice(self._heads.values(), _BATCH))
        revisions = self._feed.revisions(batch, _BATCH * 2)
        if revisions:
            self._publish(run, revisions)
            return 0.0
        for head in batch:
            # Done meanwhile, or a head whose row in entity_revisions is missing, which a later sweep looks at again.
            del self._heads[head.entity_id]
            self._held_back.pop(head.entity_id, None)
        if self._heads or self._sweep_at_mono_s == 0.0:
            return 0.0
        next_s = [float(self._settings.entity_diff_poll_interval), leases.due_in_s]
        next_s += [held.retry_at_mono_s - run.clock.mono_s() for held in self._held_back.values()]
        return max(0.05, min(next_s))

    def stop(self) -> None:
        """Give the shards back and close."""
        try:
            if self._leases is not None and self._leases.held:
                self._leases.release(self._feed.positions(self._unfinished()))
        finally:
            self._db.close()

    def health(self) -> dict[str, Any]:
        """Return the last entity, diffs computed, Kafka statistics and lag, as the documents list them."""
        n = self._numbers
        return {
            "shards": len(self._leases.held) if self._leases else 0,
            "last_processed_entity": n.last_entity,
            "last_processed_revision": n.last_revision,
            "diffs_computed": n.diffs,
            "triples_added": n.triples_added,
            "triples_removed": n.triples_removed,
            "set_aside": n.set_aside,
            "found_by_sweep": n.swept,
            "lag_s": n.last_lag_s,
            "kafka": {"acknowledged": self._producer.acknowledged, "failed": self._producer.failed},
            "held_back": [
                {"entity_id": entity_id, "reason": held.reason, "failures": held.failures}
                for entity_id, held in list(self._held_back.items())[:20]
            ],
        }

    def _unfinished(self) -> list[WaitingHead]:
        """Return the heads that positions must not pass."""
        return [*self._heads.values(), *(held.head for held in self._held_back.values())]

    def _find(self, run: Run) -> dict[str, WaitingHead]:
        """Poll, with the overlap when it is due; sweep a page when there is nothing else to do; add what is due."""
        now = run.clock.mono_s()
        overlap = now >= self._overlap_at_mono_s
        leave_out = Counter(held.head.shard for held in self._held_back.values())
        heads = self._feed.poll(_BATCH, overlap=overlap, leave_out=leave_out)
        if overlap:
            self._overlap_at_mono_s = now + _OVERLAP_EVERY_S
        elif not heads:
            heads = self._feed.poll(_BATCH, overlap=True, leave_out=leave_out)
        if self._sweep_at_mono_s is None:
            self._sweep_at_mono_s = now + self._settings.entity_diff_sweep_interval_s
        if not heads and now >= self._sweep_at_mono_s:
            heads, ended = self._feed.sweep(_SWEEP_PAGE)
            self._numbers.swept += len(heads)
            # 0.0 means a sweep is under way: the next step goes on with it at once.
            self._sweep_at_mono_s = now + self._settings.entity_diff_sweep_interval_s if ended else 0.0
        found = {}
        for head in heads:
            if held := self._held_back.get(head.entity_id):
                held.head = head
            else:
                found[head.entity_id] = head
        # No poll looks as far back as some of them lie.
        due = {e: held.head for e, held in self._held_back.items() if held.retry_at_mono_s <= now}
        return found | due

    def _publish(self, run: Run, revisions: list[WaitingRevision]) -> None:
        """Diff, publish, and record what the broker has; raises BrokerUnavailable after recording the rest."""
        snapshots = self._read(revisions)
        until_mono_s = run.clock.mono_s() + _PLAN_S
        chains: list[list[Planned]] = []
        for _, chain in _by_entity(revisions):
            if chains and (run.stopping or run.clock.mono_s() >= until_mono_s):
                break
            run.beat()
            chains.append(self._plan(run, chain, snapshots, until_mono_s))
        assert self._leases is not None
        self._leases.check()
        events = [planned.event for plans in chains for planned in plans if planned.event]
        outcome = iter(self._producer.publish(events))
        answers = {id(event): answer for event, answer in zip(events, outcome, strict=True)}
        progress, failures, failed = [], [], None
        for plans in chains:
            reached, set_aside, error = self._settle(run, plans, answers)
            progress += reached
            failures += set_aside
            failed = failed or error
        self._feed.record(progress, failures)
        for done in progress:
            head = self._heads.get(done.entity_id)
            if head is not None and done.seen_revision_id >= head.head_revision_id:
                del self._heads[done.entity_id]
        self._numbers.set_aside += len(failures)
        self._aside.inc(len(failures))
        if failed is not None:
            raise failed

    def _plan(
        self, run: Run, chain: list[WaitingRevision], snapshots: dict[str, bytes | None], until_mono_s: float
    ) -> list[Planned]:
        """Plan the revisions of one entity, oldest first, until a snapshot is missing or the time is over."""
        base_id, base_key = chain[0].base_revision_id, chain[0].base_snapshot_key
        base: dict[str, Any] | None = None
        plans: list[Planned] = []
        if base_id is not None and base_key is None:
            # Against nothing it would bring back what consumers hold, and take nothing away.
            self._hold_back(run, chain[0], f"row of r{base_id} in entity_revisions")
            return plans
        for revision in chain:
            if plans and (run.stopping or run.clock.mono_s() >= until_mono_s):
                return plans
            missing = [key for key in (base_key, revision.snapshot_key) if key and snapshots[key] is None]
            if missing:
                self._hold_back(run, revision, f"snapshot {missing[0]}")
                return plans
            self._held_back.pop(revision.entity_id, None)
            try:
                if base is None and base_key is not None:
                    base = _parse(snapshots[base_key], base_key)
                new = _parse(snapshots[revision.snapshot_key], revision.snapshot_key)
                diff = diff_entities(base, new, self._context)
            except PermanentError as error:
                plans.append(Planned(revision, reason=str(error)))
                continue
            except FAULTS as error:
                # A fault that the mapping has no name for; dying of it would stop every other entity, for good.
                run.log.exception("unforeseen fault", entity_id=revision.entity_id, revision_id=revision.revision_id)
                plans.append(Planned(revision, reason=f"{revision.snapshot_key}: {type(error).__name__}: {error}"))
                continue
            plans.append(Planned(revision, self._event(revision, base_id, diff), diff))
            base, base_id, base_key = new, revision.revision_id, revision.snapshot_key
        return plans

    def _settle(
        self, run: Run, plans: list[Planned], answers: dict[int, Exception | None]
    ) -> tuple[list[Progress], list[tuple[str, int, str]], BrokerUnavailable | None]:
        """Say how far one entity has come, what is set aside, and whether the broker failed."""
        progress: Progress | None = None
        failures: list[tuple[str, int, str]] = []
        failed: BrokerUnavailable | None = None
        for planned in plans:
            revision, reason = planned.revision, planned.reason
            answer = answers[id(planned.event)] if planned.event else None
            if isinstance(answer, BrokerUnavailable):
                failed = answer
                break
            if answer is not None:
                reason = str(answer)
            published = progress.published_revision_id if progress else revision.base_revision_id
            if reason:
                run.log.error(
                    reason, entity_id=revision.entity_id, revision_id=revision.revision_id, action="set aside"
                )
                failures.append((revision.entity_id, revision.revision_id, reason))
            elif planned.diff is not None:
                published = revision.revision_id
                self._count(run, revision, planned.diff)
            progress = Progress(revision.entity_id, revision.revision_id, published)
            if answer is not None:
                # The next revision was diffed against this one; it comes again, against the last published.
                break
        return ([progress] if progress else []), failures, failed

    def _event(self, revision: WaitingRevision, base_id: int | None, diff: RdfDiff) -> Event:
        value = EntityDiff(
            schema_version=self._settings.streaming_entity_diff_version,
            entity_id=revision.entity_id,
            revision_id=revision.revision_id,
            previous_revision_id=base_id,
            operation="import" if base_id is None else "diff",
            rdf_added_data=to_turtle(diff.added, self._context.vocabulary),
            rdf_removed_data=to_turtle(diff.removed, self._context.vocabulary),
            timestamp=iso(revision.created_at.replace(tzinfo=UTC)),
        )
        return Event(self._settings.kafka_entity_diff_topic, revision.entity_id, value.to_bytes())

    def _read(self, revisions: Iterable[WaitingRevision]) -> dict[str, bytes | None]:
        """Read every snapshot of the batch once, side by side."""
        keys = {key: None for r in revisions for key in (r.base_snapshot_key, r.snapshot_key) if key}
        return dict(zip(keys, self._objects.get_many(list(keys)), strict=True))

    def _hold_back(self, run: Run, revision: WaitingRevision, what: str) -> None:
        head = self._heads.pop(revision.entity_id)
        before = self._held_back.get(head.entity_id)
        failures = before.failures + 1 if before else 1
        delay_s = _MISSING_BACKOFF.delay_s(failures)
        reason = f"entity_diff {revision.entity_id} r{revision.revision_id}: {what} missing"
        if before is None and len(self._held_back) >= _MAX_HELD_BACK:
            run.log.warning(f"{reason}; {_MAX_HELD_BACK} are held back already, left to the next sweep")
            return
        run.log.warning(f"{reason}; event held back, retry {failures} in {delay_s:.0f} s", entity_id=head.entity_id)
        self._held_back[head.entity_id] = HeldBack(head, reason, failures, run.clock.mono_s() + delay_s)

    def _count(self, run: Run, revision: WaitingRevision, diff: RdfDiff) -> None:
        lag_s = (run.clock.now() - revision.created_at.replace(tzinfo=UTC)).total_seconds()
        n = self._numbers
        n.diffs += 1
        n.triples_added += len(diff.added)
        n.triples_removed += len(diff.removed)
        n.last_entity, n.last_revision, n.last_lag_s = revision.entity_id, revision.revision_id, round(lag_s, 3)
        self._diffs.inc()
        self._triples.labels("added").inc(len(diff.added))
        self._triples.labels("removed").inc(len(diff.removed))
        self._lag.observe(max(0.0, lag_s))


def _by_entity(revisions: list[WaitingRevision]) -> list[tuple[str, list[WaitingRevision]]]:
    chains: defaultdict[str, list[WaitingRevision]] = defaultdict(list)
    for revision in revisions:
        chains[revision.entity_id].append(revision)
    return list(chains.items())


def _parse(data: bytes | None, key: str) -> dict[str, Any]:
    try:
        found = orjson.loads(data or b"")
    except orjson.JSONDecodeError as error:
        raise PermanentError(f"snapshot {key}: not JSON ({error})") from None
    if not isinstance(found, dict):
        raise PermanentError(f"snapshot {key}: not a JSON object")
    return found


def build(settings: Settings) -> EntityDiffWorker:
    """Wire the worker to the servers of the settings."""
    vocabulary = Vocabulary(entity_base=settings.wikibase_entity_base, data_base=settings.wikibase_data_base)
    return EntityDiffWorker(
        Database(settings.database_address(), max_connections=settings.pool_size(2)),
        open_store(settings.objects_address(), settings.s3_revisions_bucket),
        EventProducer(settings.brokers(), client_id="wbd-entity-diff"),
        MappingContext(vocabulary=vocabulary),
        settings,
    )


if __name__ == "__main__":
    sys.exit(run_worker("entity_diff", build))
