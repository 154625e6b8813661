"""Plan chains and publish their events; say what the broker has of each entity.

Reads:   chains, with their snapshots
Writes:  kafka_entity_diff_topic, keyed by entity
Repeats: a chain that is published again has the same event ids
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from wbd.diff_stream.feed import Failure, Progress
from wbd.diff_stream.plan import Chain, Planned
from wbd.diff_stream.pool import Planner
from wbd.engines.kafka import Event, EventProducer
from wbd.errors import BrokerUnavailable
from wbd.runtime.clock import Clock
from wbd.runtime.logs import Log
from wbd.runtime.metrics import Metrics

# Percentiles in health cover this many of the latest diffs.
_LAGS = 1000


@dataclass(slots=True)
class Numbers:
    """Counts since the process began."""

    diffs: int = 0
    reconciles: int = 0
    messages: int = 0
    triples_added: int = 0
    triples_removed: int = 0
    broken_snaks: int = 0
    set_aside: int = 0
    plan_s: float = 0.0
    last_entity: str | None = None
    last_revision: int | None = None
    last_lag_s: float | None = None
    lags_s: deque[float] = field(default_factory=lambda: deque(maxlen=_LAGS))

    def lag_percentile_s(self, share: float) -> float | None:
        """Return a percentile of the latest lags, None before the first diff."""
        return _percentile(self.lags_s, share)


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What became of a batch of chains.

    failed: the broker's failure that ended it; what it interrupted is in neither list and comes again.
    """

    progress: list[Progress]
    failures: list[Failure]
    failed: BrokerUnavailable | None


class Publisher:
    """
    Publishes chains, one batch after the other. One thread only.

    Args:
        plan_s: see Pace.
    """

    def __init__(
        self,
        planner: Planner,
        producer: EventProducer,
        topic: str,
        *,
        plan_s: float,
        clock: Clock,
        log: Log,
        metrics: Metrics,
    ) -> None:
        self.numbers = Numbers()
        self.producer = producer
        self._planner = planner
        self._topic = topic
        self._plan_s = plan_s
        self._clock = clock
        self._log = log
        self._diffs = metrics.counter("wbd_diffs_total", "Revisions whose diff was published.")
        self._triples = metrics.counter("wbd_diff_triples_total", "Triples in published diffs.", ("change",))
        self._aside = metrics.counter("wbd_diff_set_aside_total", "Revisions that could not be diffed.")
        self._lag = metrics.histogram("wbd_diff_lag_seconds", "From a revision's record to its acknowledgement.")
        self._plan_time = metrics.histogram(
            "wbd_diff_batch_seconds", "From the snapshots of a batch to the bytes of its events."
        )

    def publish(self, chains: Sequence[Chain], permit: Callable[[], None]) -> Outcome:
        """
        Plan chains, publish their events and wait for the broker's answers.

        Args:
            permit: called after planning and before the first message; what it raises ends the batch unpublished.
        """
        begun_mono_s = self._clock.mono_s()
        plans = self._planner.plan_all(chains, self._plan_s)
        plan_s = self._clock.mono_s() - begun_mono_s
        self.numbers.plan_s += plan_s
        self._plan_time.observe(plan_s)
        permit()
        events = [
            Event(self._topic, chain.entity_id, message)
            for chain, planned in zip(chains, plans, strict=True)
            for each in planned
            for message in each.messages
        ]
        answers = iter(self.producer.publish(events))
        progress: list[Progress] = []
        failures: list[Failure] = []
        failed: BrokerUnavailable | None = None
        for chain, planned in zip(chains, plans, strict=True):
            # The answers of every message are taken from the iterator, also those of revisions after a failure.
            answered = [(each, [next(answers) for _ in each.messages]) for each in planned]
            reached, aside, error = self._settle(chain, answered)
            progress += reached
            failures += aside
            failed = error or failed
        self.numbers.set_aside += len(failures)
        self._aside.inc(len(failures))
        return Outcome(progress, failures, failed)

    def close(self) -> None:
        """End the planner's processes."""
        self._planner.close()

    def _settle(
        self, chain: Chain, answered: Sequence[tuple[Planned, Sequence[Exception | None]]]
    ) -> tuple[list[Progress], list[Failure], BrokerUnavailable | None]:
        """Return the progress of one entity, the revisions set aside, and the broker's failure if it stopped there."""
        recorded_at = {link.revision_id: link.created_at for link in chain.links}
        published, seen = chain.base_revision_id, None
        failures: list[Failure] = []
        failed: BrokerUnavailable | None = None
        for planned, answers in answered:
            # The producer sends nothing after a refused message of its key, which looks like a broker that is away.
            refused = [answer for answer in answers if answer and not isinstance(answer, BrokerUnavailable)]
            if not refused:
                failed = next((answer for answer in answers if isinstance(answer, BrokerUnavailable)), None)
                if failed is not None:
                    break
            reason = str(refused[0]) if refused else planned.reason
            if planned.unforeseen:
                self._log.error("unforeseen fault", entity_id=chain.entity_id, traceback=planned.unforeseen)
            if reason:
                self._log.error(reason, entity_id=chain.entity_id, revision_id=planned.revision_id, action="set aside")
                failures.append(Failure(chain.entity_id, planned.revision_id, reason, planned.missing))
            else:
                published = planned.revision_id
                self._count(chain, planned, recorded_at[planned.revision_id])
            seen = planned.revision_id
            if refused:
                # The next revision was diffed against this one; it comes again, against the last published.
                break
        progress = [] if seen is None else [Progress(chain.entity_id, seen, published)]
        return progress, failures, failed

    def _count(self, chain: Chain, planned: Planned, recorded_at: datetime) -> None:
        lag_s = (self._clock.now() - recorded_at.replace(tzinfo=UTC)).total_seconds()
        n = self.numbers
        n.diffs += 1
        n.reconciles += planned.reconcile
        n.messages += len(planned.messages)
        n.triples_added += planned.added
        n.triples_removed += planned.removed
        n.broken_snaks += planned.broken
        n.last_entity, n.last_revision, n.last_lag_s = chain.entity_id, planned.revision_id, round(lag_s, 3)
        n.lags_s.append(lag_s)
        self._diffs.inc()
        self._triples.labels("added").inc(planned.added)
        self._triples.labels("removed").inc(planned.removed)
        self._lag.observe(max(0.0, lag_s))


def _percentile(values: Iterable[float], share: float) -> float | None:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 3) if ordered else None
