"""Id ranges: the rows of id_ranges, moved by compare-and-set.

Reads:   id_ranges, id_high_water
Writes:  id_ranges, id_high_water
Repeats: harmless; a reservation whose outcome is unknown is given up, and its ids are never given out

A row of id_ranges says two things. ``next_id`` is the first id that nobody has reserved. ``current_range_start`` and
``current_range_end`` are the range that was reserved (or given back) last. Both can be changed by hand. So a row of
id_high_water holds the last id that is reserved, and changes in the same transactions: a next_id at or below it was
moved back, and nothing is reserved until an operator corrects it. The same row holds the highest imported number;
reserved ranges start above it. high_water.py states the promise about imported ids, schema.sql how to end an alarm.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from wbd.engines.mysql import Database, Transaction
from wbd.entity.ids import MAX_ID, EntityType
from wbd.errors import BadInput, RangeContention, RangeRefused
from wbd.ids.high_water import add_missing_rows, in_lock_order
from wbd.ids.id_range import IdRange
from wbd.runtime.clock import Clock, SystemClock

# The documents' first row of each type, and its range_size.
FIRST_RANGE = (1, 1000, 1, 1000)
_ATTEMPTS = 20
# The wait after a lost race grows to this, with which dozens of hosts on one row succeed within 20 attempts.
_LOST_RACE_WAIT_MAX_S = 0.2
# One statement reads both tables as of one moment, so that no reservation of another host comes between. Each table is
# compared with the name and not with the other table, since id_ranges may be older and of another collation.
_SELECT = (
    "(SELECT r.entity_type, r.current_range_start, r.current_range_end, r.next_id, r.range_size, h.reserved_to,"
    " h.imported_to FROM id_ranges r LEFT JOIN id_high_water h ON h.entity_type = %s WHERE r.entity_type = %s)"
)


@dataclass(frozen=True, slots=True)
class RangeRow:
    """
    One row of id_ranges, and what id_high_water says of its type.

    Args:
        reserved_to: the last id that is reserved, 0 if none; None: the row of id_high_water is missing.
        imported_to: the highest number that an import brought, 0 if none.
    """

    entity_type: EntityType
    current_range_start: int
    current_range_end: int
    next_id: int
    range_size: int
    reserved_to: int | None = 0
    imported_to: int = 0


@dataclass(slots=True)
class RangeStats:
    """Counts since the table object was made."""

    reserved: int = 0
    lost_races: int = 0
    given_back: int = 0


@dataclass(slots=True)
class _TypeState:
    # Last id that this process knows it has reserved; a next_id at or below it was moved back.
    high: int = 0
    # First id of its latest reservation, and high before that.
    latest_first: int = 0
    high_before: int = 0
    imported_to: int = 0
    stats: RangeStats = field(default_factory=RangeStats)

    def reserved(self, taken: IdRange) -> None:
        self.latest_first, self.high_before = taken.first, self.high
        self.high = max(self.high, taken.last)

    def returning(self, tail: IdRange) -> None:
        """Lower high to this process's own ids below *tail*: others may return theirs, too."""
        if tail.first > self.latest_first:
            self.high = min(self.high, tail.first - 1)
        else:
            self.high = min(self.high, self.high_before) if tail.first == self.latest_first else 0


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
        clock: Clock | None = None,
    ) -> None:
        """
        Args:
            floors: first id of a type to give out, for an installation where lower ids are in use already.
            reserved: ids that are never given out.
        """
        self._db = db
        self._clock = clock or SystemClock()
        self._floors = {entity_type: (floors or {}).get(entity_type, 1) for entity_type in EntityType}
        skip = sorted(reserved, key=lambda one: one.first)
        self._skip = {t: [one for one in skip if one.entity_type is t] for t in EntityType}
        self._lock = threading.Lock()
        self._state = {entity_type: _TypeState() for entity_type in EntityType}

    def ensure_rows(self) -> list[EntityType]:
        """
        Insert the documents' first row for each type that has none, and the missing rows of id_high_water.

        Any number of processes may do so at once; existing rows stay as they are.

        Returns:
            The types whose row of id_ranges is new.

        Raises:
            DatabaseUnavailable: no connection; retryable.
        """
        rows = {row.entity_type: row for row in self.read()}
        missing = [t for t in EntityType if t not in rows]

        def work(tx: Transaction) -> None:
            tx.insert(
                "id_ranges (entity_type, current_range_start, current_range_end, next_id, range_size)",
                [(t.value, *FIRST_RANGE) for t in in_lock_order(missing)],
                # Another worker may insert them at this moment; its row stays as it is.
                on_duplicate="entity_type = VALUES(entity_type)",
            )
            add_missing_rows(tx)

        if missing or any(row.reserved_to is None for row in rows.values()):
            self._db.transaction(work)
        return missing

    def read(self) -> list[RangeRow]:
        """Return the rows of the known types, and remember their imported_to. Raises DatabaseUnavailable."""
        return self._db.transaction(lambda tx: self._read(tx, list(EntityType)))

    def imported_to(self, entity_type: EntityType) -> int:
        """
        Return the highest imported number as of the last read or reservation, 0 if there is none.

        Ids up to it that were reserved before must not be handed out any more.
        """
        return self._state[entity_type].imported_to

    def know(self, entity_type: EntityType, high: int) -> None:
        """Remember that ids up to *high* were reserved here; a next_id at or below it is refused from now on."""
        with self._lock:
            self._state[entity_type].high = max(self._state[entity_type].high, high)

    def usable(self, ids: IdRange) -> list[IdRange]:
        """Return the parts of *ids* that are not below the floor and not reserved, in order."""
        usable = []
        first = max(ids.first, self._floors[ids.entity_type])
        for hole in self._skip[ids.entity_type]:
            if hole.first > first and first <= ids.last:
                usable.append(IdRange(ids.entity_type, first, min(ids.last, hole.first - 1)))
            first = max(first, hole.last + 1)
        return [*usable, IdRange(ids.entity_type, first, ids.last)] if first <= ids.last else usable

    def stats(self, entity_type: EntityType) -> RangeStats:
        """Return the live counts of one type."""
        return self._state[entity_type].stats

    def check(self, row: RangeRow) -> None:
        """
        Raise RangeRefused when *row* would make this process reserve ids that were reserved before.

        That is the case when next_id lies at or below an id that this process or any other has reserved, or below the
        range reserved last. Without its row of id_high_water nothing is reserved either, since the check needs it.
        """
        name = row.entity_type.value
        if row.reserved_to is None:
            raise RangeRefused(
                f"id_high_water {name}: no row; whether next_id {row.next_id} of id_ranges was moved back cannot be "
                "told, so none is reserved; see that it is above every id in use, then restart the id worker"
            )
        lowest = max(row.current_range_start, row.reserved_to + 1, self._state[row.entity_type].high + 1)
        if row.next_id < lowest:
            raise RangeRefused(
                f"id_ranges {name}: next_id {row.next_id} was moved back below {lowest}; reserving from it would "
                f"repeat ids, so none is reserved until it is put right; set next_id to {lowest} or more"
            )

    def reserve(self, entity_type: EntityType, size: int) -> IdRange:
        """
        Reserve the next *size* ids of one type for this process.

        One compare-and-set on id_ranges.next_id, and one on id_high_water, in a transaction of their own; after a lost
        race it reads the row again and retries. A commit whose outcome is unknown raises, and the range that it may
        have reserved is lost.

        Returns:
            IdRange of *size* ids above every imported one; fewer where a reserved id or MAX_ID comes first.

        Raises:
            DatabaseUnavailable: no connection, or the outcome is unknown; retryable.
            RangeContention: lost the race 20 times in a row; retryable.
            RangeRefused: no row, next_id moved back, or no id up to MAX_ID left.
        """
        if not 1 <= size <= MAX_ID:
            raise BadInput(f"{entity_type.value} range of {size} ids not within 1..{MAX_ID}")
        state = self._state[entity_type]
        for attempt in range(_ATTEMPTS):
            try:
                taken = self._db.transaction(lambda tx: self._attempt(tx, entity_type, size))
            except RangeContention:
                with self._lock:
                    state.stats.lost_races += 1
                self._clock.sleep(random.uniform(0, min(_LOST_RACE_WAIT_MAX_S, 0.001 * 2**attempt)))
                continue
            with self._lock:
                state.reserved(taken)
                state.stats.reserved += 1
            return taken
        raise RangeContention(
            f"id_ranges {entity_type.value}: lost the race for a range {_ATTEMPTS} times in a row; tried again later"
        )

    def give_back(self, tail: IdRange) -> bool:
        """
        Return ids that this process reserved and will not use, if nobody has reserved since.

        The caller must have stopped giving out *tail* before, and must own all ids up to *tail*.last.

        Returns:
            True if the ids can be reserved again, False if they are lost as a gap.

        Raises:
            DatabaseUnavailable: not done, or the outcome is unknown; the ids must not be used either way.
        """
        with self._lock:
            state = self._state[tail.entity_type]
            state.returning(tail)
        try:
            self._db.transaction(lambda tx: _return(tx, tail))
        except RangeContention:
            return False
        with self._lock:
            state.stats.given_back += len(tail)
        return True

    def _attempt(self, tx: Transaction, entity_type: EntityType, size: int) -> IdRange:
        """Try once. Raises RangeContention, with nothing written, when another process was first."""
        rows = self._read(tx, [entity_type])
        if not rows:
            raise RangeRefused(f"id_ranges {entity_type.value}: no row; run: wbd dev create_tables, or restart")
        row = rows[0]
        self.check(row)
        taken = next_range(row, size, self._floors[entity_type], self._skip[entity_type])
        # The server counts changed rows, and both numbers always change. So 0 means that the comparison failed.
        changed = tx.execute(
            "UPDATE id_ranges SET current_range_start = %s, current_range_end = %s, next_id = %s, range_size = %s "
            "WHERE entity_type = %s AND next_id = %s",
            (taken.first, taken.last, taken.last + 1, size, entity_type.value, row.next_id),
        ) and tx.execute(
            # An import may have come since the row was read.
            "UPDATE id_high_water SET reserved_to = %s "
            "WHERE entity_type = %s AND reserved_to = %s AND imported_to < %s",
            (taken.last, entity_type.value, row.reserved_to, taken.first),
        )
        if changed != 1:
            raise RangeContention(f"id_ranges {entity_type.value}: somebody else was first")
        return taken

    def _read(self, tx: Transaction, types: list[EntityType]) -> list[RangeRow]:
        sql = " UNION ALL ".join([_SELECT] * len(types))
        rows = tx.query(sql, [name for one in types for name in (one.value, one.value)])
        ranges = [
            RangeRow(
                EntityType(name.lower()),
                int(start),
                int(end),
                int(next_id),
                int(size),
                None if reserved_to is None else int(reserved_to),
                int(imported_to or 0),
            )
            for name, start, end, next_id, size, reserved_to, imported_to in rows
        ]
        for row in ranges:
            self._state[row.entity_type].imported_to = row.imported_to
        return sorted(ranges, key=lambda row: row.entity_type)


def _return(tx: Transaction, tail: IdRange) -> None:
    """Move both rows back to the first id of *tail*. Raises RangeContention, with nothing written, if ids follow it."""
    name = tail.entity_type.value
    changed = tx.execute(
        "UPDATE id_ranges SET next_id = %s, current_range_start = %s, current_range_end = %s "
        "WHERE entity_type = %s AND next_id = %s",
        (tail.first, tail.first, tail.last, name, tail.last + 1),
    ) and tx.execute(
        "UPDATE id_high_water SET reserved_to = %s WHERE entity_type = %s AND reserved_to = %s",
        (tail.first - 1, name, tail.last),
    )
    if changed != 1:
        raise RangeContention(f"id_ranges {name}: somebody reserved behind {tail}")


def next_range(row: RangeRow, size: int, floor: int, skip: Sequence[IdRange]) -> IdRange:
    """
    Return the range that a reservation takes from *row*.

    Args:
        skip: reserved ids of this type, sorted by first.

    Raises:
        RangeRefused: no id up to MAX_ID is left.
    """
    first = max(row.next_id, floor, row.imported_to + 1)
    for hole in skip:
        if hole.first <= first <= hole.last:
            first = hole.last + 1
    if first > MAX_ID and row.imported_to >= MAX_ID >= row.next_id:
        raise RangeRefused(
            f"id_high_water {row.entity_type.value}: imported_to {row.imported_to} leaves no id up to the last one; "
            "if that import was a mistake, set imported_to to the highest number in use"
        )
    if first > MAX_ID:
        raise RangeRefused(
            f"id_ranges {row.entity_type.value}: next_id {row.next_id} leaves no id up to the last one, {MAX_ID}"
        )
    last = min(first + size - 1, MAX_ID, *(hole.first - 1 for hole in skip if hole.first > first))
    return IdRange(row.entity_type, first, last)
