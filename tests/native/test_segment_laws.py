"""The ring equals a plain model of it, and the C code its twin, for any calls in any order."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.native.test_segment import MAX_ID, MAX_SIZE, make, native
from wbd.errors import RangeRefused, WbdError
from wbd.ids import segment_twin
from wbd.ids.segment import ALL, BLOCK, SLOTS, UP_TO

LANE = 1
EXAMPLES = settings(max_examples=50, stateful_step_count=50, deadline=None)


def flat(pieces: list[tuple[int, int]]) -> list[int]:
    """Return the ids of *pieces*, which are in order and joined where they are adjacent."""
    assert all(first <= last for first, last in pieces)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(pieces))
    return [number for first, last in pieces for number in range(first, last + 1)]


class Model(RuleBasedStateMachine):
    """A lane is a list of lists of ids."""

    kind = "c"

    def __init__(self) -> None:
        super().__init__()
        self.ring = make(self.kind)
        self.waiting: list[list[int]] = []
        self.added = self.skipped = self.returned = self.high = self.wakes = 0
        self.low_left = 1
        self.armed = self.closed = False
        self.taken: list[int] = []

    @property
    def ids(self) -> list[int]:
        return [number for one in self.waiting for number in one]

    def leave(self, count: int) -> list[int]:
        """Take *count* ids away from the front."""
        gone, left_over = self.ids[:count], set(self.ids[count:])
        self.waiting = [left for one in self.waiting if (left := [number for number in one if number in left_over])]
        if self.armed and len(left_over) < self.low_left:
            self.armed = False
            self.wakes += 1
        return gone

    def give(self, expected: list[int], got: list[int]) -> None:
        assert got == expected
        assert not expected or not self.taken or self.taken[-1] < expected[0]
        self.taken += expected

    @rule(gap=st.integers(0, 3), size=st.integers(1, 9), low_left=st.integers(-1, 40))
    def publish(self, gap: int, size: int, low_left: int) -> None:
        first, last = self.high + 1 + gap, self.high + gap + size
        if self.closed:
            with pytest.raises(RangeRefused):
                self.ring.publish(LANE, first, last, low_left)
            return
        assert self.ring.publish(LANE, first, last, low_left) == (len(self.waiting) < SLOTS)
        if len(self.waiting) < SLOTS:
            self.waiting.append(list(range(first, last + 1)))
            self.added += size
            self.high, self.low_left, self.armed = last, max(0, low_left), True

    @rule(below=st.integers(0, 20))
    def publish_what_was_there(self, below: int) -> None:
        with pytest.raises(RangeRefused):
            self.ring.publish(LANE, self.high - below, self.high + 5, 3)

    @rule()
    def fill(self) -> None:
        while not self.closed and len(self.waiting) < SLOTS:
            self.publish(1, 2, 10)

    @rule()
    def take_one(self) -> None:
        got = self.ring.take_one(LANE)
        self.give(self.leave(1), [got] if got else [])

    @rule(count=st.integers(1, 30))
    def take_all(self, count: int) -> None:
        enough = count <= len(self.ids)
        self.give(self.leave(count if enough else 0), flat(self.ring.take(LANE, count, ALL)))

    @rule(count=st.integers(1, 30))
    def take_up_to(self, count: int) -> None:
        self.give(self.leave(count), flat(self.ring.take(LANE, count, UP_TO)))

    @rule(count=st.integers(1, 12))
    def take_block(self, count: int) -> None:
        ids = self.ids
        starts = [i for i in range(len(ids) - count + 1) if ids[i + count - 1] - ids[i] == count - 1]
        # A block begins at the start of consecutive ids: shorter pieces end in front of it.
        expected: list[int] = []
        if starts:
            self.skipped += starts[0]
            expected = self.leave(starts[0] + count)[starts[0] :]
        else:
            self.leave(0)
        self.give(expected, flat(self.ring.take(LANE, count, BLOCK)))

    @rule(ahead=st.integers(-5, 20))
    def skip_to(self, ahead: int) -> None:
        number = (self.ids[0] if self.ids else self.high) + ahead
        dropped = self.leave(sum(one <= number for one in self.ids))
        self.skipped += len(dropped)
        assert self.ring.skip_to(LANE, number) == len(dropped)

    @rule()
    def drain(self) -> None:
        if self.ids:
            self.high = self.ids[0] - 1
        drained = self.leave(len(self.ids))
        self.returned += len(drained)
        assert flat(self.ring.drain(LANE)) == drained

    @rule()
    def wake(self) -> None:
        self.ring.wake()
        self.wakes += 1

    @precondition(lambda self: len(self.taken) > 50)
    @rule()
    def close(self) -> None:
        self.ring.close()
        self.waiting, self.closed = [], True

    @invariant()
    def looks_like_the_model(self) -> None:
        lane = self.ring.look(LANE)
        assert flat(lane["pieces"]) == self.ids and lane["left"] == len(self.ids)
        counts = self.added, self.skipped, self.returned, self.high, self.low_left, 0
        assert tuple(lane[name] for name in ("added", "skipped", "returned", "high", "low_left", "contended")) == counts
        assert self.ring.wait(self.wakes, 0.0) == self.wakes and self.ring.closed == self.closed
        self.ring.check()


@pytest.mark.parametrize("kind", ["c", "python"])
def test_the_ring_does_what_a_list_of_lists_would(kind: str) -> None:
    if kind == "c":
        native()
    run_state_machine_as_test(type("Machine", (Model,), {"kind": kind}), settings=EXAMPLES)


numbers = st.integers(-2, 70) | st.integers(MAX_ID - 70, MAX_ID + 2) | st.integers(-(2**63) - 2, 2**64 + 2)
sizes = st.integers(1, 50) | st.integers(MAX_SIZE - 3, MAX_SIZE + 2)
lanes = st.integers(0, 1) | st.integers(-1, 4)


class Twins(RuleBasedStateMachine):
    """Both get the same calls, however odd, and give the same answers."""

    def __init__(self) -> None:
        super().__init__()
        self.rings = make("c"), make("python")

    def both(self, method: str, *arguments: int) -> None:
        answers = []
        for ring in self.rings:
            try:
                answers.append(getattr(ring, method)(*arguments))
            except (IndexError, OverflowError, ValueError, WbdError) as error:
                answers.append(type(error))
        assert answers[0] == answers[1]

    @rule(lane=lanes, first=numbers, last=numbers, low_left=numbers)
    def publish_anything(self, lane: int, first: int, last: int, low_left: int) -> None:
        self.both("publish", lane, first, last, low_left)

    @rule(lane=st.integers(0, 1), gap=st.integers(1, 3) | st.integers(2**40, 2**62), size=sizes, low_left=sizes)
    def publish_behind(self, lane: int, gap: int, size: int, low_left: int) -> None:
        first = self.rings[0].look(lane)["high"] + gap
        self.both("publish", lane, first, first + size - 1, low_left)

    @rule(lane=lanes)
    def take_one(self, lane: int) -> None:
        self.both("take_one", lane)

    @rule(lane=lanes, count=sizes | numbers, mode=st.sampled_from([ALL, UP_TO, BLOCK, 3, -1]))
    def take(self, lane: int, count: int, mode: int) -> None:
        self.both("take", lane, count, mode)

    @rule(lane=lanes, number=numbers)
    def skip_to(self, lane: int, number: int) -> None:
        self.both("skip_to", lane, number)

    @rule(lane=st.integers(0, 1), ahead=st.integers(-3, 50) | sizes)
    def skip_ahead(self, lane: int, ahead: int) -> None:
        pieces = self.rings[0].look(lane)["pieces"]
        if pieces:
            self.both("skip_to", lane, min(MAX_ID, pieces[0][0] + ahead))

    @rule(lane=lanes)
    def drain(self, lane: int) -> None:
        self.both("drain", lane)

    @invariant()
    def look_alike(self) -> None:
        for lane in range(-1, 5):
            self.both("look", lane)
        self.both("wait", 0, 0)


def test_extension_and_twin_answer_alike_up_to_the_largest_numbers() -> None:
    native()
    assert segment_twin.SLOTS == SLOTS
    run_state_machine_as_test(Twins, settings=EXAMPLES)
