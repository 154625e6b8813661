"""Keeps the pool of ids filled ahead of demand, with ranges as large as the demand asks for.

Reads:   id_ranges
Writes:  id_ranges; the pool of this process
Repeats: harmless; every range goes into the pool once, after its commit

A lane is refilled when 90 % of the range in use is gone (the documents' threshold) while one whole range lies behind
it, so that a database that goes away at the worst moment still leaves a full range.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wbd.errors import DependencyUnavailable, PermanentError, RangeContention, RangeRefused, SegmentUnusable, WbdError
from wbd.ids.entity_id import EntityType
from wbd.ids.id_range import IdRange
from wbd.ids.pool import IdPool, LaneState
from wbd.ids.ranges import RangeTable
from wbd.runtime.clock import Clock

# A range should last so long at the demand of the day: an outage of minutes is then invisible, and a crash loses
# no more ids than half an hour uses.
RANGE_LASTS_S = 900.0
# The rest of the range in use at which the next is reserved; the documents' threshold of 90 %.
_REST = 0.1


@dataclass(frozen=True, slots=True)
class SizeBounds:
    """Smallest and largest range that is reserved ahead; where they cross, the largest wins."""

    min_size: int = 1000
    max_size: int = 1_000_000

    def clamp(self, size: int) -> int:
        return min(self.max_size, max(self.min_size, size))


@dataclass(slots=True)
class TypeSupply:
    """What the refills of one type have seen."""

    size: int
    refills: int = 0
    reserved: IdRange | None = None
    reserved_mono_s: float = 0.0
    taken_then: int = 0

    def rate_per_s(self, taken: int, mono_s: float) -> float:
        """Return the ids taken a second since the last refill; 0.0 before the first."""
        elapsed_s = mono_s - self.reserved_mono_s
        return (taken - self.taken_then) / elapsed_s if self.refills and elapsed_s > 0 else 0.0


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
        # Reserved and not in the pool for want of room, in increasing order; nothing is reserved before they are in.
        self._waiting: dict[EntityType, list[IdRange]] = {}
        self.last_reservation_at: datetime | None = None

    def prepare(self) -> list[EntityType]:
        """
        Create missing rows and read the sizes that the last run ended with; return the types that were new.

        Raises:
            DatabaseUnavailable: retryable; nothing is half done.
        """
        made = self._table.ensure_rows()
        supplies = {row.entity_type: TypeSupply(self._bounds.clamp(row.range_size)) for row in self._table.read()}
        self._supplies = supplies
        return made

    def use(self, pool: IdPool, kept: Sequence[IdRange] = ()) -> None:
        """
        Fill *pool* from now on.

        Args:
            kept: what was drained from the pool before it, in order; goes into the new one before anything else.
        """
        self._pool = pool
        for ids in reversed(kept):
            self._waiting.setdefault(ids.entity_type, []).insert(0, ids)
        mono_s = self._clock.mono_s()
        for entity_type, supply in self._supplies.items():
            supply.taken_then, supply.reserved_mono_s = pool[entity_type].state().taken, mono_s

    def look(self) -> tuple[int, list[WbdError]]:
        """
        Read the table once, before a refill needs it; drop ids that an import has brought since they were reserved.

        Returns:
            How many ids were dropped, and why a row is not safe to reserve from (next_id moved back).

        Raises:
            DatabaseUnavailable: retryable.
        """
        errors: list[WbdError] = []
        for row in self._table.read():
            try:
                self._table.check(row)
            except RangeRefused as error:
                errors.append(error)
        dropped = sum(self._pool[one].skip_to(self._table.imported_to(one)) for one in EntityType)
        return dropped, errors

    def refill(self) -> tuple[list[IdRange], list[WbdError]]:
        """
        Reserve at most one range for each lane that is low.

        Returns:
            The ranges that went into the pool, and why others did not. The first unavailable database ends the
            round, since the other types would wait for the same server.

        Raises:
            SegmentUnusable: the pool is damaged; what was reserved for it is kept for the next one.
        """
        added: list[IdRange] = []
        errors: list[WbdError] = []
        for entity_type, supply in self._supplies.items():
            try:
                if not self._add_waiting(entity_type, supply):
                    continue
                lane = self._pool[entity_type].state()
                if not lane.is_low:
                    continue
                added.append(self._refill_one(lane, supply))
            except DependencyUnavailable as error:
                return added, [*errors, error]
            except SegmentUnusable:
                raise
            except (RangeContention, PermanentError) as error:
                errors.append(error)
        return added, errors

    def is_low(self) -> bool:
        """Tell whether any lane wants a refill."""
        return any(lane.is_low for lane in self._pool.states())

    def give_back(self) -> tuple[int, int]:
        """
        Close the pool and return what is left in it to the table, the highest ids first.

        Returns:
            Ids given back, and ids lost as gaps because somebody reserved behind them.

        Raises:
            DatabaseUnavailable: what was not given back is lost as a gap.
        """
        given, lost = 0, 0
        rests = self._pool.drain() + [ids for waiting in self._waiting.values() for ids in waiting]
        for rest in sorted(rests, key=lambda one: one.first, reverse=True):
            if self._table.give_back(rest):
                given += len(rest)
            else:
                lost += len(rest)
        return given, lost

    def report(self) -> dict[str, dict[str, Any]]:
        """Return each type's supply for health, JSON-able."""
        mono_s = self._clock.mono_s()
        found: dict[str, dict[str, Any]] = {}
        for lane in self._pool.states():
            supply = self._supplies.get(lane.entity_type) or TypeSupply(0)
            stats = self._table.stats(lane.entity_type)
            rate = supply.rate_per_s(lane.taken, mono_s)
            found[lane.entity_type.value] = {
                "range_first": supply.reserved.first if supply.reserved else None,
                "range_last": supply.reserved.last if supply.reserved else None,
                "next": lane.current.first if lane.current else None,
                "left": lane.left,
                "taken": lane.taken,
                "skipped": lane.skipped,
                "refills": supply.refills,
                "contention": stats.lost_races,
                "take_contention": lane.contended,
                "range_size": supply.size,
                "supply_s": round(lane.left / rate, 1) if rate else None,
            }
        return found

    def _refill_one(self, lane: LaneState, supply: TypeSupply) -> IdRange:
        mono_s = self._clock.mono_s()
        supply.size = self._bounds.clamp(next_size(supply.size, supply.rate_per_s(lane.taken, mono_s)))
        taken = self._table.reserve(lane.entity_type, max(supply.size, lane.wanted))
        supply.refills += 1
        supply.reserved, supply.reserved_mono_s, supply.taken_then = taken, mono_s, lane.taken
        self.last_reservation_at = self._clock.now()
        self._waiting.setdefault(lane.entity_type, []).append(taken)
        self._add_waiting(lane.entity_type, supply)
        return taken

    def _add_waiting(self, entity_type: EntityType, supply: TypeSupply) -> bool:
        """Put what waits into the pool; False when some has to wait longer. Raises RangeRefused; a gap then."""
        waiting = self._waiting.get(entity_type, [])
        while waiting:
            try:
                if not self._pool[entity_type].add(waiting[0], low_mark(supply.size)):
                    return False
            except RangeRefused:
                del waiting[0]
                raise
            del waiting[0]
        return True


def next_size(size: int, rate_per_s: float) -> int:
    """
    Return the size of the next range: what *rate_per_s* uses in RANGE_LASTS_S, at most 8 times or half the last.

    A rate of 0 says nothing yet (the first refills of a process), so the size stays. It grows faster than it
    shrinks, because a range that is too small makes takers wait, and one that is too large only waits itself.
    """
    if not rate_per_s:
        return size
    return max(size // 2, min(size * 8, int(rate_per_s * RANGE_LASTS_S)))


def low_mark(size: int) -> int:
    """Return the number of ids left below which a lane is refilled: a tenth of one range, and a whole one behind it."""
    return size + math.ceil(size * _REST)
