"""Keep the pool of ids filled ahead of demand, with ranges sized by demand.

Reads:   id_ranges
Writes:  id_ranges; the pool of this process
Repeats: harmless; every range goes into the pool once, after its commit

A lane is refilled when 90 % of the range in use is used up (the documents' threshold) and one full range follows it. So
a database that fails at the worst moment still leaves a full range.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from wbd.entity.ids import MAX_ID, EntityType
from wbd.errors import DependencyUnavailable, PermanentError, RangeContention, RangeRefused, SegmentUnusable, WbdError
from wbd.ids.id_range import IdRange
from wbd.ids.pool import IdPool, LaneState
from wbd.ids.ranges import RangeTable
from wbd.runtime.clock import Clock

# Target lifetime of a range at current demand: an outage of minutes then goes unnoticed, and a crash loses no more ids
# than are used in half an hour.
RANGE_LASTS_S = 900.0
# The part of a range that is left when the next is reserved; the documents' threshold of 90 %.
_LOW_PART = 0.1
# Demand is averaged over this window: a burst after a quiet night counts in full within a minute.
_RATE_OVER_S = 60.0


@dataclass(frozen=True, slots=True)
class SizeBounds:
    """Smallest and largest range that is reserved ahead; if min_size is above max_size, max_size counts."""

    min_size: int = 1000
    max_size: int = 1_000_000

    def clamp(self, size: int) -> int:
        return min(self.max_size, max(self.min_size, size))


@dataclass(frozen=True, slots=True)
class SupplyReport:
    """
    The supply of one entity type, for health and metrics.

    next: number of the next id, None while there is none.
    supply_s: how long the ids left last at present demand; None without demand.
    contention: lost races for a range. take_contention: lost races for an id.
    """

    left: int
    taken: int
    range_size: int
    next: int | None = None
    range_first: int | None = None
    range_last: int | None = None
    skipped: int = 0
    refills: int = 0
    contention: int = 0
    take_contention: int = 0
    supply_s: float | None = None


@dataclass(slots=True)
class TypeSupply:
    """
    The refills and the demand of one type.

    samples: moments of the last minute, each with the ids taken until then.
    """

    size: int
    refills: int = 0
    reserved: IdRange | None = None
    reserved_mono_s: float = 0.0
    taken_then: int = 0
    samples: deque[tuple[float, int]] = field(default_factory=deque)

    def sample(self, taken: int, mono_s: float) -> None:
        """Record the ids taken by now, at most once a second."""
        if not self.samples or mono_s - self.samples[-1][0] >= 1.0:
            self.samples.append((mono_s, taken))
        while mono_s - self.samples[0][0] > _RATE_OVER_S and len(self.samples) > 2:
            self.samples.popleft()

    def rate_per_s(self, taken: int, mono_s: float) -> float:
        """Return the ids taken per second in the last minute, or since the last refill if that rate is higher."""
        rates = [0.0]
        if self.samples and mono_s > self.samples[0][0]:
            rates.append((taken - self.samples[0][1]) / (mono_s - self.samples[0][0]))
        if self.refills and mono_s > self.reserved_mono_s:
            rates.append((taken - self.taken_then) / (mono_s - self.reserved_mono_s))
        return max(rates)


class Refiller:
    """
    Reserves ranges for the lanes of one pool.

    One caller at a time; report() and ``last_reservation_at`` may be read from any thread.
    """

    def __init__(self, table: RangeTable, pool: IdPool, bounds: SizeBounds, clock: Clock) -> None:
        self._table = table
        self._pool = pool
        self._bounds = bounds
        self._clock = clock
        self._supplies: dict[EntityType, TypeSupply] = {}
        # Reserved ranges for which the pool had no room, in increasing order; nothing else is reserved before they fit.
        self._waiting: dict[EntityType, list[IdRange]] = {}
        self.last_reservation_at: datetime | None = None

    def prepare(self) -> list[EntityType]:
        """
        Create missing rows and read the range sizes of the last run; return the types whose rows are new.

        Raises:
            DatabaseUnavailable: retryable; nothing is left half done.
        """
        made = self._table.ensure_rows()
        supplies = {row.entity_type: TypeSupply(self._bounds.clamp(row.range_size)) for row in self._table.read()}
        self._supplies = supplies
        return made

    def use(self, pool: IdPool, drained: Sequence[IdRange] = ()) -> None:
        """
        Fill *pool* from now on; ids in it that the present settings forbid are dropped.

        Args:
            drained: ids from the pool before it, in order; they go into the new one before anything else.

        Raises:
            SegmentUnusable: the pool is damaged; the drained ids wait for the next pool.
        """
        self._pool = pool
        for ids in reversed(drained):
            self._waiting.setdefault(ids.entity_type, []).insert(0, ids)
        mono_s = self._clock.mono_s()
        for entity_type in EntityType:
            lane = pool[entity_type]
            state = lane.state()
            if any(self._table.usable(ids) != [ids] for ids in state.ranges):
                usable = [part for ids in lane.drain() for part in self._table.usable(ids)]
                self._waiting.setdefault(entity_type, [])[:0] = usable
            if (supply := self._supplies.get(entity_type)) is not None:
                supply.taken_then, supply.reserved_mono_s = state.taken, mono_s
                supply.samples.clear()
            self._add_waiting(entity_type)

    def inspect(self) -> tuple[int, list[WbdError]]:
        """
        Read the table once, also when no refill needs it, and drop ids that must not be given out any more.

        Dropped are ids that an import has brought since they were reserved. When the table has lost a commit (a backup
        was restored, or a replica that lagged took over), all ids of that type are dropped: other hosts may have
        reserved the same numbers since.

        Returns:
            The number of dropped ids, and the reasons why rows are not safe to reserve from.

        Raises:
            DatabaseUnavailable: retryable.
        """
        errors: list[WbdError] = []
        dropped = 0
        for row in self._table.read():
            lane = self._pool[row.entity_type]
            high = lane.state().high
            if row.reserved_to is not None and high > row.reserved_to:
                self._table.know(row.entity_type, high)
                dropped += lane.skip_to(MAX_ID)
            try:
                self._table.check(row)
            except RangeRefused as error:
                errors.append(error)
            dropped += lane.skip_to(min(row.imported_to, MAX_ID))
        return dropped, errors

    def refill(self) -> tuple[list[IdRange], list[WbdError]]:
        """
        Reserve at most one range for each lane that is low.

        Returns:
            The ranges that were reserved, and the reasons why others were not. The first unavailable database ends the
            round, since the other types would wait for the same server.

        Raises:
            SegmentUnusable: the pool is damaged; ranges reserved for it wait for the next pool.
        """
        added: list[IdRange] = []
        errors: list[WbdError] = []
        mono_s = self._clock.mono_s()
        # Ranges that are reserved already need no database.
        room = {entity_type: self._add_waiting(entity_type, errors) for entity_type in EntityType}
        for entity_type, supply in self._supplies.items():
            lane = self._pool[entity_type].state()
            supply.sample(lane.taken, mono_s)
            if not (room[entity_type] and lane.is_low):
                continue
            try:
                added.append(self._refill_one(lane, supply, errors))
            except DependencyUnavailable as error:
                return added, [*errors, error]
            except SegmentUnusable:
                raise
            except (RangeContention, PermanentError) as error:
                errors.append(error)
        return added, errors

    def is_low(self) -> bool:
        """Tell whether a lane is low that a refill could fill."""
        return any(lane.is_low and not self._waiting.get(lane.entity_type) for lane in self._pool.states())

    def give_back(self) -> tuple[int, int]:
        """
        Drain the pool and return its ids to the table, the highest first.

        Returns:
            The number of ids given back, and of those lost as gaps because others have reserved after them.

        Raises:
            DatabaseUnavailable: ids that were not given back are lost as a gap.
        """
        given, lost = 0, 0
        unused = self._pool.drain() + [ids for waiting in self._waiting.values() for ids in waiting]
        for ids in sorted(unused, key=lambda one: one.first, reverse=True):
            if self._table.give_back(ids):
                given += len(ids)
            else:
                lost += len(ids)
        return given, lost

    def report(self) -> dict[str, SupplyReport]:
        """Return the supply of each entity type, by its name."""
        mono_s = self._clock.mono_s()
        reports: dict[str, SupplyReport] = {}
        for lane in self._pool.states():
            supply = self._supplies.get(lane.entity_type) or TypeSupply(0)
            stats = self._table.stats(lane.entity_type)
            rate = supply.rate_per_s(lane.taken, mono_s)
            reports[lane.entity_type.value] = SupplyReport(
                left=lane.left,
                taken=lane.taken,
                range_size=supply.size,
                next=lane.current.first if lane.current else None,
                range_first=supply.reserved.first if supply.reserved else None,
                range_last=supply.reserved.last if supply.reserved else None,
                skipped=lane.skipped,
                refills=supply.refills,
                contention=stats.lost_races,
                take_contention=lane.contended,
                supply_s=round(lane.left / rate, 1) if rate else None if lane.left else 0.0,
            )
        return reports

    def _refill_one(self, lane: LaneState, supply: TypeSupply, errors: list[WbdError]) -> IdRange:
        mono_s = self._clock.mono_s()
        supply.size = self._bounds.clamp(next_size(supply.size, supply.rate_per_s(lane.taken, mono_s)))
        taken = self._table.reserve(lane.entity_type, max(supply.size, lane.wanted))
        supply.refills += 1
        supply.reserved, supply.reserved_mono_s, supply.taken_then = taken, mono_s, lane.taken
        self.last_reservation_at = self._clock.now()
        self._waiting.setdefault(lane.entity_type, []).append(taken)
        self._add_waiting(lane.entity_type, errors)
        return taken

    def _add_waiting(self, entity_type: EntityType, errors: list[WbdError] | None = None) -> bool:
        """Put waiting ranges into the pool; False when some have to wait longer. Ranges that it refuses are a gap."""
        waiting = self._waiting.get(entity_type, [])
        supply = self._supplies.get(entity_type)
        mark = low_mark(supply.size if supply is not None else self._bounds.min_size)
        while waiting:
            try:
                if not self._pool[entity_type].add(waiting[0], mark):
                    return False
            except RangeRefused as error:
                if errors is not None:
                    errors.append(error)
            del waiting[0]
        return True


def next_size(size: int, rate_per_s: float) -> int:
    """
    Return the size of the next range: the ids that *rate_per_s* uses in RANGE_LASTS_S.

    It is at most 8 times and at least half of *size*, the last one. It grows faster than it shrinks, because takers
    wait for a range that is too small, while one that is too large only lies there longer. A rate of 0 says nothing yet
    (the first refills of a process), so the size stays.
    """
    if not rate_per_s:
        return size
    return max(size // 2, min(size * 8, int(rate_per_s * RANGE_LASTS_S)))


def low_mark(size: int) -> int:
    """Return the number of ids left below which a lane is refilled: a tenth of one range, and a full range after it."""
    return size + math.ceil(size * _LOW_PART)
