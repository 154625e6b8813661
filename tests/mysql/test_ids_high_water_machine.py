"""Reservations, returns, imports and an operator who meddles, in any order, against a plain model."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from wbd.engines.mysql import Database
from wbd.entity.ids import EntityType
from wbd.errors import RangeRefused
from wbd.ids.high_water import HighWater
from wbd.ids.id_range import IdRange
from wbd.ids.ranges import RangeRow, RangeTable

ITEM = EntityType.ITEM


def row_of(db: Database) -> RangeRow:
    return next(row for row in RangeTable(db).read() if row.entity_type is ITEM)


def set_next_id(db: Database, next_id: int) -> None:
    """Move the range along with it, so that only id_high_water can tell."""
    db.execute(
        "UPDATE id_ranges SET next_id = %s, current_range_start = %s WHERE entity_type = 'item'", (next_id, next_id)
    )


class Hosts(RuleBasedStateMachine):
    """Two hosts, an importer and an operator on one table of a database."""

    ranges = Bundle("ranges")

    def __init__(self, db: Database) -> None:
        super().__init__()
        self.db = db
        for name in ("id_ranges", "id_high_water"):
            db.execute(f"DELETE FROM {name}")
        self.hosts = [RangeTable(db), RangeTable(db)]
        self.hosts[0].ensure_rows()
        self.out: set[int] = set()
        self.imported = 0
        self.reserved_to = 0
        self.moved_back = False

    @rule(target=ranges, host=st.integers(0, 1), size=st.integers(1, 9))
    def reserve(self, host: int, size: int) -> object:
        next_id = row_of(self.db).next_id
        if self.moved_back:
            with pytest.raises(RangeRefused):
                self.hosts[host].reserve(ITEM, size)
            return multiple()
        taken = self.hosts[host].reserve(ITEM, size)
        first = max(next_id, self.imported + 1)
        assert taken == IdRange(ITEM, first, first + size - 1)
        assert self.out.isdisjoint(taken.numbers())
        self.out.update(taken.numbers())
        self.reserved_to = taken.last
        return (host, taken)

    @rule(one=consumes(ranges), keep=st.integers(0, 9))
    def give_back(self, one: tuple[int, IdRange], keep: int) -> None:
        host, taken = one
        if keep >= len(taken):
            return
        tail = IdRange(ITEM, taken.first + keep, taken.last)
        is_end = row_of(self.db).next_id == tail.last + 1 and self.reserved_to == tail.last
        assert self.hosts[host].give_back(tail) == is_end
        if is_end:
            self.out.difference_update(tail.numbers())
            self.reserved_to = tail.first - 1

    @rule(number=st.integers(1, 60))
    def import_one(self, number: int) -> None:
        HighWater(self.db).raise_imported({ITEM: number})
        self.imported = max(self.imported, number)

    @rule(host=st.integers(0, 1))
    def restart(self, host: int) -> None:
        self.hosts[host] = RangeTable(self.db)
        self.hosts[host].ensure_rows()

    @rule(by=st.integers(1, 30))
    def move_next_id(self, by: int) -> None:
        """Move next_id back to a number in use, or forward."""
        next_id = max(1, self.reserved_to + 1 + by - 15)
        set_next_id(self.db, next_id)
        self.moved_back = next_id <= self.reserved_to

    @rule()
    def empty_id_ranges(self) -> None:
        self.db.execute("DELETE FROM id_ranges")
        self.hosts = [RangeTable(self.db), RangeTable(self.db)]
        self.hosts[1].ensure_rows()
        self.moved_back = self.reserved_to > 0

    @rule()
    def put_right(self) -> None:
        set_next_id(self.db, self.reserved_to + 1)
        self.moved_back = False

    @invariant()
    def the_guard_says_what_the_model_says(self) -> None:
        row = row_of(self.db)
        assert (row.reserved_to, row.imported_to) == (self.reserved_to, self.imported)


def test_no_sequence_of_reservations_returns_imports_and_meddling_repeats_an_id(db: Database) -> None:
    limits = settings(max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
    # It takes any callable that makes a machine, though its types ask for a class.
    run_machine(lambda: Hosts(db), settings=limits)  # type: ignore[arg-type]
