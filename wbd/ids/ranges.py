"""Id ranges: the rows of id_ranges, moved by compare-and-set.

Reads:   id_ranges
Writes:  id_ranges
Repeats: harmless; a reservation whose outcome is unknown is given up, never handed out

A row says two things. ``next_id`` is the first id that nobody has reserved. ``current_range_start`` and
``current_range_end`` are the range that was reserved (or given back) last, so next_id never lies below
current_range_start; if it does, somebody moved it back by hand, and nothing is reserved until that is put right.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from wbd.engines.mysql import Database, Transaction
from wbd.errors import BadInput, RangeContention, RangeRefused
from wbd.ids.entity_id import MAX_ID, EntityType
from wbd.ids.id_range import IdRange

# The documents' first row of each type, and its range_size.
FIRST_RANGE = (1, 1000, 1, 1000)
_ATTEMPTS = 20
# The wait after a lost race grows to this; with it, dozens of hosts on one row get through within 20 attempts.
_LOST_RACE_WAIT_MAX_S = 0.2


@dataclass(frozen=True, slots=True)
class RangeRow:
    """One row of id_ranges."""

    entity_type: EntityType
    current_range_start: int
    current_range_end: int
    next_id: int
    range_size: int


@dataclass(slots=True)
class RangeStats:
    """Counts since the table object was made."""

    reserved: int = 0
    lost_races: int = 0
    given_back: int = 0


@dataclass(slots=True)
class _TypeState:
    # Last id that this process knows to have reserved; next_id at or below it means that it was moved back.
    high: int = 0
    stats: RangeStats = field(default_factory=RangeStats)


class RangeTable:
    """
    Reserves ranges for this process; any number of processes and hosts may share the table.

    Safe to share between threads.
    """

    def __init__(
        self,
        db: Database,
        *,
        floors: Mapping[EntityType, int] | None = None,
        reserved: Iterable[IdRange] = (),
    ) -> None:
        """
        Args:
            floors: first id of a type to give out, for an installation that has ids in use from elsewhere.
            reserved: ids that are never given out.
        """
        self._db = db
        self._floors = {entity_type: (floors or {}).get(entity_type, 1) for entity_type in EntityType}
        skip = sorted(reserved, key=lambda one: one.first)
        self._skip = {t: [one for one in skip if one.entity_type is t] for t in EntityType}
        self._lock = threading.Lock()
        self._state = {entity_type: _TypeState() for entity_type in EntityType}

    def ensure_rows(self) -> list[EntityType]:
        """
        Insert the documents' first row for each type that has none; return those types.

        Raises:
            DatabaseUnavailable: no connection; retryable.
        """
        missing = [t for t in EntityType if t not in {row.entity_type for row in self.read()}]
        if missing:
            self._db.transaction(
                lambda tx: tx.insert(
                    "id_ranges (entity_type, current_range_start, current_range_end, next_id, range_size)",
                    [(t.value, *FIRST_RANGE) for t in missing],
                    # Another worker may insert them at this moment; its row stays as it is.
                    on_duplicate="entity_type = VALUES(entity_type)",
                )
            )
        return missing

    def read(self) -> list[RangeRow]:
        """Return the rows of the known types. Raises DatabaseUnavailable."""
        rows = self._db.query(
            "SELECT entity_type, current_range_start, current_range_end, next_id, range_size FROM id_ranges "
            "ORDER BY entity_type"
        )
        known = {t.value for t in EntityType}
        return [RangeRow(EntityType(row[0]), *map(int, row[1:])) for row in rows if row[0] in known]

    def stats(self, entity_type: EntityType) -> RangeStats:
        """Return the live counts of one type."""
        return self._state[entity_type].stats

    def check(self, row: RangeRow) -> None:
        """
        Raise RangeRefused when *row* would make this process reserve ids that were reserved before.

        Seen are: next_id below the range reserved last (by anybody), and next_id at or below an id that this
        process reserved itself.
        """
        high = self._state[row.entity_type].high
        lowest = max(row.current_range_start, high + 1)
        if row.next_id < lowest:
            raise RangeRefused(
                f"id_ranges {row.entity_type.value}: next_id {row.next_id} was moved back below {lowest}; "
                "reserving from it would repeat ids, so none is reserved until next_id is above every id in use"
            )

    def reserve(self, entity_type: EntityType, size: int) -> IdRange:
        """
        Reserve the next *size* ids of one type for this process.

        One compare-and-set on id_ranges.next_id in a transaction of its own; a lost race re-reads and tries
        again. A commit whose outcome is unknown raises, and the range that it may have reserved is lost.

        Returns:
            IdRange of *size* ids; fewer where a reserved id or MAX_ID comes first.

        Raises:
            DatabaseUnavailable: no connection, or the outcome is unknown; retryable.
            RangeContention: lost the race 20 times in a row; retryable.
            RangeRefused: no row, next_id moved back, or no id below MAX_ID left.
        """
        if not 1 <= size <= MAX_ID:
            raise BadInput(f"{entity_type.value} range of {size} ids not within 1..{MAX_ID}")
        state = self._state[entity_type]
        for attempt in range(_ATTEMPTS):
            taken = self._db.transaction(lambda tx: self._attempt(tx, entity_type, size))
            if taken is not None:
                with self._lock:
                    state.high = max(state.high, taken.last)
                    state.stats.reserved += 1
                return taken
            with self._lock:
                state.stats.lost_races += 1
            time.sleep(random.uniform(0, min(_LOST_RACE_WAIT_MAX_S, 0.001 * 2**attempt)))
        raise RangeContention(
            f"id_ranges {entity_type.value}: lost the race for a range {_ATTEMPTS} times in a row; tried again later"
        )

    def give_back(self, tail: IdRange) -> bool:
        """
        Return ids that this process reserved and will not use, if nobody reserved since.

        The caller must have stopped handing out *tail* before; ids up to *tail*.last must be its own.

        Returns:
            True if the ids can be reserved again, False if they are lost as a gap.

        Raises:
            DatabaseUnavailable: not done, or the outcome is unknown; the ids must not be used either way.
        """
        with self._lock:
            state = self._state[tail.entity_type]
            state.high = min(state.high, tail.first - 1)
        changed = self._db.execute(
            "UPDATE id_ranges SET next_id = %s, current_range_start = %s, current_range_end = %s "
            "WHERE entity_type = %s AND next_id = %s",
            (tail.first, tail.first, tail.last, tail.entity_type.value, tail.last + 1),
        )
        if changed:
            with self._lock:
                state.stats.given_back += len(tail)
        return changed == 1

    def _attempt(self, tx: Transaction, entity_type: EntityType, size: int) -> IdRange | None:
        """Try one compare-and-set; None when somebody else was first."""
        rows = tx.query(
            "SELECT current_range_start, current_range_end, next_id, range_size FROM id_ranges WHERE entity_type = %s",
            (entity_type.value,),
        )
        if not rows:
            raise RangeRefused(f"id_ranges {entity_type.value}: no row; run: wbd dev create_tables, or restart")
        row = RangeRow(entity_type, *map(int, rows[0]))
        self.check(row)
        taken = next_range(row, size, self._floors[entity_type], self._skip[entity_type])
        # The server counts changed rows, and next_id always changes, so 0 means that the comparison failed.
        changed = tx.execute(
            "UPDATE id_ranges SET current_range_start = %s, current_range_end = %s, next_id = %s, range_size = %s "
            "WHERE entity_type = %s AND next_id = %s",
            (taken.first, taken.last, taken.last + 1, size, entity_type.value, row.next_id),
        )
        return taken if changed == 1 else None


def next_range(row: RangeRow, size: int, floor: int, skip: Sequence[IdRange]) -> IdRange:
    """
    Return the range that a reservation takes from *row*.

    Args:
        skip: reserved ids of this type, sorted by first.

    Raises:
        RangeRefused: no id below MAX_ID is left.
    """
    first = max(row.next_id, floor)
    for hole in skip:
        if hole.first <= first <= hole.last:
            first = hole.last + 1
    if first > MAX_ID:
        raise RangeRefused(
            f"id_ranges {row.entity_type.value}: next_id {row.next_id} leaves no id up to the last one, {MAX_ID}"
        )
    last = min(first + size - 1, MAX_ID, *(hole.first - 1 for hole in skip if hole.first > first))
    return IdRange(row.entity_type, first, last)
