"""A lane gives each of its ids out once, in order, in any mix of takes and adds."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from wbd.entity.ids import MAX_ID, EntityType
from wbd.errors import RangeRefused
from wbd.ids.id_range import IdRange
from wbd.ids.pool import IdPool
from wbd.ids.ranges import RangeRow, next_range
from wbd.ids.refill import RANGE_LASTS_S, SizeBounds, low_mark, next_size

ITEM = EntityType.ITEM


def item_range(first: int, last: int) -> IdRange:
    return IdRange(ITEM, first, last)


class LaneMachine(RuleBasedStateMachine):
    """A lane beside a plain model: the list of the ids it holds, in order."""

    @initialize()
    def start(self) -> None:
        self.lane = IdPool()[ITEM]
        self.held: list[int] = []
        self.given: list[int] = []
        self.dropped = 0
        self.high = 0

    @rule(gap=st.integers(0, 3), size=st.integers(1, 12), mark=st.integers(0, 15))
    def add(self, gap: int, size: int, mark: int) -> None:
        first = self.high + 1 + gap
        if self.lane.add(item_range(first, first + size - 1), mark):
            self.held += range(first, first + size)
            self.high = first + size - 1

    @rule(back=st.integers(0, 5), size=st.integers(1, 5))
    def add_again(self, back: int, size: int) -> None:
        first = max(1, self.high - back)
        if first <= self.high:
            with pytest.raises(RangeRefused):
                self.lane.add(item_range(first, first + size - 1), 1)

    @rule()
    def take_one(self) -> None:
        number = self.lane.take_one()
        assert number == (self.held.pop(0) if self.held else 0)
        self.given += [number] if number else []

    @rule(count=st.integers(1, 20))
    def take(self, count: int) -> None:
        pieces = self.lane.take(count)
        assert (pieces is None) == (len(self.held) < count)
        self._given(pieces or [], count if pieces else 0)

    @rule(count=st.integers(1, 20))
    def take_up_to(self, count: int) -> None:
        self._given(self.lane.take_up_to(count), min(count, len(self.held)))

    def _given(self, pieces: list[IdRange], count: int) -> None:
        numbers = [number for piece in pieces for number in piece.numbers()]
        assert numbers == self.held[:count]
        del self.held[:count]
        self.given += numbers

    @rule(count=st.integers(1, 12))
    def take_block(self, count: int) -> None:
        runs = [i for i in range(len(self.held) - count + 1) if self.held[i + count - 1] - self.held[i] == count - 1]
        block = self.lane.take_block(count)
        if not runs:
            assert block is None
            return
        assert block is not None and list(block.numbers()) == self.held[runs[0] : runs[0] + count]
        self.dropped += runs[0]
        del self.held[: runs[0] + count]
        self.given += block.numbers()

    @rule(above=st.integers(-5, 20))
    def skip_to(self, above: int) -> None:
        number = max(0, (self.held[0] if self.held else self.high) + above)
        dropped = [held for held in self.held if held <= number]
        assert self.lane.skip_to(number) == len(dropped)
        del self.held[: len(dropped)]
        self.dropped += len(dropped)

    def teardown(self) -> None:
        if hasattr(self, "lane"):
            assert [number for ids in self.lane.drain() for number in ids.numbers()] == self.held

    @invariant()
    def nothing_is_given_twice_and_everything_is_accounted_for(self) -> None:
        if not hasattr(self, "lane"):
            return
        assert self.given == sorted(set(self.given))
        state = self.lane.state()
        assert (state.left, state.taken, state.skipped) == (len(self.held), len(self.given), self.dropped)
        assert (state.current.first if state.current else None) == (self.held[0] if self.held else None)


TestLane = LaneMachine.TestCase
TestLane.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def wakes(pool: IdPool) -> int:
    """Return how often the refill has been woken."""
    return pool.segment.wait(0, 0.0)


def test_a_lane_says_once_that_it_is_low_and_again_after_the_next_add() -> None:
    pool = IdPool()
    pool[ITEM].add(item_range(1, 10), 5)
    for _ in range(5):
        pool[ITEM].take_one()
    assert wakes(pool) == 0
    pool[ITEM].take_one()
    pool[ITEM].take_one()
    assert wakes(pool) == 1
    pool[ITEM].add(item_range(11, 17), 5)
    assert wakes(pool) == 1
    pool[ITEM].take(8)
    assert wakes(pool) == 2


def test_a_take_that_is_too_large_says_how_much_is_wanted_until_more_comes() -> None:
    pool = IdPool()
    pool[ITEM].add(item_range(1, 10), 2)
    assert pool[ITEM].take(50) is None and pool[ITEM].take_block(40) is None
    assert wakes(pool) == 1 and pool[ITEM].state().wanted == 50 and pool[ITEM].state().is_low
    pool[ITEM].add(item_range(11, 60), 2)
    assert not pool[ITEM].state().is_low
    assert pool[ITEM].take_block(50) == item_range(1, 50), "neighbouring ranges are one"


def test_what_was_drained_may_come_back_and_what_was_taken_may_not() -> None:
    lane = IdPool()[ITEM]
    lane.add(item_range(1, 10), 1)
    lane.add(item_range(20, 30), 1)
    assert [lane.take_one() for _ in range(3)] == [1, 2, 3]
    assert lane.drain() == [item_range(4, 10), item_range(20, 30)]
    assert lane.take_one() == 0 and lane.take(1) is None and lane.drain() == []
    assert lane.state().taken == 3
    with pytest.raises(RangeRefused):
        lane.add(item_range(3, 10), 1)
    assert lane.add(item_range(4, 10), 1) and lane.take_one() == 4


def test_a_full_lane_takes_no_range_until_one_is_used_up() -> None:
    lane = IdPool()[ITEM]
    added = [lane.add(item_range(2 * n, 2 * n), 1) for n in range(1, 100)]
    assert added == [True] * 64 + [False] * 35
    assert lane.take_one() == 2 and lane.add(item_range(500, 500), 1) and not lane.add(item_range(502, 502), 1)


def test_ids_of_another_type_do_not_get_in() -> None:
    with pytest.raises(RangeRefused, match="item lane"):
        IdPool()[ITEM].add(IdRange(EntityType.LEXEME, 1, 2), 1)


def test_threads_that_take_and_add_at_once_share_no_id() -> None:
    pool = IdPool()
    given: list[list[int]] = [[] for _ in range(4)]

    def take(mine: list[int]) -> None:
        while len(mine) < 2000:
            for piece in pool[ITEM].take_up_to(7):
                mine.extend(piece.numbers())
            if number := pool[ITEM].take_one():
                mine.append(number)

    threads = [threading.Thread(target=take, args=(mine,)) for mine in given]
    for thread in threads:
        thread.start()
    for start in range(1, 20001, 50):
        while any(thread.is_alive() for thread in threads):
            if pool[ITEM].add(item_range(start, start + 49), 10):
                break
            pool.segment.wait(wakes(pool), 0.01)
    for thread in threads:
        thread.join(timeout=20)
    everything = [number for mine in given for number in mine]
    assert len(everything) == len(set(everything)) >= 8000
    assert all(mine == sorted(mine) for mine in given)


HOLES = st.lists(st.tuples(st.integers(1, 300), st.integers(0, 40)), max_size=6).map(
    lambda spans: sorted((item_range(a, a + n) for a, n in spans), key=lambda one: one.first)
)


@given(st.integers(1, 300), st.integers(1, 100), st.integers(1, 300), HOLES)
def test_a_reservation_starts_at_the_first_free_id_and_holds_no_reserved_one(
    next_id: int, size: int, floor: int, holes: list[IdRange]
) -> None:
    row = RangeRow(ITEM, 1, 1000, next_id, 1000)
    taken = next_range(row, size, floor, holes)
    reserved = {number for hole in holes for number in hole.numbers()}
    free = [n for n in range(max(next_id, floor), 1000) if n not in reserved]
    assert taken.first == free[0] and len(taken) <= size
    assert not reserved & set(taken.numbers())
    assert len(taken) == size or taken.last + 1 in reserved, "shorter only where a reserved id follows"


def test_the_last_range_ends_at_the_last_id_and_none_comes_after_it() -> None:
    row = RangeRow(ITEM, MAX_ID - 20, MAX_ID - 11, MAX_ID - 10, 1000)
    assert next_range(row, 1000, 1, []) == item_range(MAX_ID - 10, MAX_ID)
    with pytest.raises(RangeRefused):
        next_range(RangeRow(ITEM, MAX_ID - 10, MAX_ID, MAX_ID + 1, 1000), 1, 1, [])
    with pytest.raises(RangeRefused):
        next_range(row, 1, 1, [item_range(MAX_ID - 10, MAX_ID)])


@given(st.integers(1, 10**7), st.floats(0, 1e7))
def test_a_range_goes_towards_a_quarter_of_an_hour_by_8_times_or_a_half_at_most(size: int, rate: float) -> None:
    new_size = next_size(size, rate)
    assert size // 2 <= new_size <= size * 8
    if rate and size / 2 <= rate * RANGE_LASTS_S <= size * 8:
        assert new_size == int(rate * RANGE_LASTS_S)
    assert next_size(size, 0.0) == size, "no demand seen yet"


@given(st.integers(1, 10**9), st.integers(1, 10**6), st.integers(1, 10**6))
def test_sizes_stay_within_their_bounds(size: int, one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert low <= SizeBounds(low, high).clamp(size) <= high
    assert SizeBounds(high, low).clamp(size) == low


def test_the_low_mark_is_a_tenth_of_the_range_in_use_with_one_behind_it() -> None:
    assert low_mark(1000) == 1100 and low_mark(1) == 2
