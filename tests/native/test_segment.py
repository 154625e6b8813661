"""The promises of the ring of ids, kept by the C code and by its Python twin."""

from __future__ import annotations

import inspect
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.native.conftest import ROOT, origin
from wbd.errors import RangeRefused, SegmentUnusable
from wbd.ids import segment, segment_twin
from wbd.ids.segment import ALL, BLOCK, SLOTS, UP_TO

MAX_ID = 2**63 - 1
MAX_SIZE = 2**32 - 1
DEADLINE_S = 20.0


def native() -> Any:
    origin("wbd.ids._segment")
    from wbd.ids import _segment

    return _segment


def make(kind: str, *, publish: bool = True) -> Any:
    return (native() if kind == "c" else segment_twin).Segment(publish=publish)


@pytest.fixture(params=["c", "python"])
def ring(request: pytest.FixtureRequest) -> Any:
    return make(request.param)


def test_ids_leave_in_the_order_in_which_they_came(ring: Any) -> None:
    for first, last in ((5, 7), (8, 8), (20, 22)):
        assert ring.publish(1, first, last, 0)
    assert [ring.take_one(1) for _ in range(8)] == [5, 6, 7, 8, 20, 21, 22, 0]


def test_lanes_know_nothing_of_each_other(ring: Any) -> None:
    for lane in range(4):
        assert ring.publish(lane, 1, 3, 0)
    assert ring.take(2, 3, ALL) == [(1, 3)]
    assert ring.drain(3) == [(1, 3)]
    assert [ring.look(lane)["left"] for lane in range(4)] == [3, 3, 0, 0]


def test_a_take_of_all_takes_none_when_one_is_missing(ring: Any) -> None:
    ring.publish(0, 1, 3, 0)
    ring.publish(0, 10, 12, 0)
    assert ring.take(0, 7, ALL) == []
    assert ring.take(0, 6, ALL) == [(1, 3), (10, 12)]


def test_a_take_of_what_there_is_takes_less_than_asked_for(ring: Any) -> None:
    assert ring.take(0, 7, UP_TO) == []
    ring.publish(0, 1, 3, 0)
    ring.publish(0, 4, 6, 0)
    assert ring.take(0, MAX_ID, UP_TO) == [(1, 6)]


def test_a_block_is_consecutive_and_drops_what_is_too_short_in_front(ring: Any) -> None:
    for first, last in ((1, 3), (10, 12), (13, 15), (30, 31)):
        ring.publish(0, first, last, 0)
    ring.take_one(0)
    assert ring.take(0, 7, BLOCK) == [] and ring.look(0)["skipped"] == 0
    assert ring.take(0, 5, BLOCK) == [(10, 14)]
    assert ring.look(0)["skipped"] == 2
    assert ring.take(0, 3, ALL) == [(15, 15), (30, 31)]


def test_ids_in_use_elsewhere_are_dropped_from_the_front(ring: Any) -> None:
    for first, last in ((3, 5), (10, 12)):
        ring.publish(0, first, last, 0)
    assert [ring.skip_to(0, number) for number in (-1, 0, 2, 3, 3, 10, MAX_ID, MAX_ID)] == [0, 0, 0, 1, 0, 3, 2, 0]
    assert ring.look(0)["skipped"] == 6


def test_64_ranges_wait_and_no_more(ring: Any) -> None:
    assert [ring.publish(0, 2 * i, 2 * i, 0) for i in range(1, SLOTS + 2)] == [True] * SLOTS + [False]
    assert ring.look(0)["pieces"] == [(2 * i, 2 * i) for i in range(1, SLOTS + 1)]
    assert ring.look(0)["high"] == 2 * SLOTS
    ring.take_one(0)
    assert ring.publish(0, 2 * SLOTS + 1, 2 * SLOTS + 1, 0)
    assert not ring.publish(0, 2 * SLOTS + 2, 2 * SLOTS + 2, 0)


@pytest.mark.parametrize(("first", "last"), [(1, 1), (10, 30), (20, 30), (0, 5), (-5, -1), (31, 30), (MAX_ID, 21)])
def test_a_range_at_or_below_the_highest_id_or_an_empty_one_is_refused(ring: Any, first: int, last: int) -> None:
    ring.publish(0, 10, 20, 0)
    ring.take(0, 11, ALL)
    with pytest.raises(RangeRefused, match="not above all that the lane has held"):
        ring.publish(0, first, last, 0)
    assert ring.look(0)["left"] == 0 and ring.publish(0, 21, 21, 0)


def test_a_range_has_at_most_as_many_ids_as_an_offset_counts(ring: Any) -> None:
    with pytest.raises(RangeRefused):
        ring.publish(0, 1, MAX_SIZE + 1, 0)
    assert ring.publish(0, 1, MAX_SIZE, 0) and ring.publish(0, MAX_SIZE + 1, 2 * MAX_SIZE, 0)
    assert ring.take(0, MAX_SIZE - 1, BLOCK) == [(1, MAX_SIZE - 1)]
    assert [ring.take_one(0), ring.take_one(0)] == [MAX_SIZE, MAX_SIZE + 1]
    assert ring.look(0)["left"] == MAX_SIZE - 1


def test_the_last_id_of_all_is_given_out_and_nothing_after_it(ring: Any) -> None:
    assert ring.publish(0, MAX_ID - 1, MAX_ID, 2)
    assert ring.take(0, 3, UP_TO) == [(MAX_ID - 1, MAX_ID)] and ring.take_one(0) == 0
    with pytest.raises(RangeRefused):
        ring.publish(0, MAX_ID, MAX_ID, 0)
    with pytest.raises(OverflowError):
        ring.publish(0, MAX_ID + 1, MAX_ID + 1, 0)


def test_what_was_drained_may_be_published_again_and_nothing_below(ring: Any) -> None:
    for first, last in ((1, 10), (21, 30)):
        ring.publish(0, first, last, 0)
    ring.take(0, 4, ALL)
    assert ring.drain(0) == [(5, 10), (21, 30)] and ring.drain(0) == []
    assert ring.look(0) | {"contended": 0} == {
        "left": 0, "added": 20, "skipped": 0, "returned": 16, "contended": 0, "high": 4, "low_left": 0, "pieces": [],
    }  # fmt: skip
    with pytest.raises(RangeRefused):
        ring.publish(0, 4, 10, 0)
    assert ring.publish(0, 5, 10, 0) and ring.take(0, 6, ALL) == [(5, 10)]


def test_the_low_mark_wakes_once_until_the_next_range(ring: Any) -> None:
    def wakes() -> int:
        return int(ring.wait(0, 0.0))

    ring.publish(0, 1, 10, 4)
    seen = [(ring.take_one(0), wakes()) for _ in range(11)]
    assert seen == [(number, number > 6) for number in range(1, 11)] + [(0, 1)]
    ring.publish(0, 11, 20, 4)
    assert wakes() == 1 and ring.take(0, 6, ALL) and wakes() == 1
    assert ring.take(0, 5, ALL) == [] and wakes() == 1
    ring.take_one(0)
    assert wakes() == 2
    # Published and still low: the next taker wakes the publisher, whatever it asks for and whether it gets ids or not.
    asks: tuple[Callable[[], object], ...] = (
        lambda: ring.take_one(0),
        lambda: ring.take(0, 99, ALL),
        lambda: ring.take(0, 99, BLOCK),
    )
    for ask in asks:
        ring.publish(0, ring.look(0)["high"] + 1, ring.look(0)["high"] + 1, 200)
        before = wakes()
        ask()
        assert wakes() == before + 1
        ask()
        assert wakes() == before + 1
    ring.publish(0, 1000, 1000, 0)
    before = wakes()
    assert ring.take(0, 99, UP_TO) and ring.take_one(0) == 0 and wakes() == before


def test_whoever_waits_is_woken_from_another_thread(ring: Any) -> None:
    ring.publish(0, 1, 2, 2)
    results: list[int] = []
    waiter = threading.Thread(target=lambda: results.append(ring.wait(0, DEADLINE_S)))
    waiter.start()
    ring.take_one(0)
    waiter.join(DEADLINE_S)
    assert results == [1]
    waiter = threading.Thread(target=lambda: results.append(ring.wait(1, DEADLINE_S)))
    waiter.start()
    ring.wake()
    waiter.join(DEADLINE_S)
    assert results == [1, 2] and ring.wait(1, DEADLINE_S) == 2


def test_a_wait_for_nothing_ends_in_time(ring: Any) -> None:
    assert ring.wait(0, 0.001) == 0
    for wrong in (-0.1, 3601.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="timeout_s"):
            ring.wait(0, wrong)


def test_a_closed_segment_has_nothing_and_takes_nothing(ring: Any) -> None:
    ring.publish(0, 1, 10, 5)
    ring.take_one(0)
    assert ring.closed is False
    ring.close()
    assert ring.closed is True
    assert ring.take_one(0) == 0 and ring.take(0, 1, UP_TO) == [] and ring.look(0)["left"] == 0
    assert ring.drain(0) == []
    with pytest.raises(RangeRefused, match="closed"):
        ring.publish(0, 11, 20, 5)
    ring.check()
    ring.close()


def test_wrong_arguments_are_refused_and_change_nothing(ring: Any) -> None:
    ring.publish(0, 1, 10, 0)
    for lane in (-1, 4, 99):
        for call in (ring.take_one, ring.look, ring.drain):
            with pytest.raises(IndexError):
                call(lane)
        with pytest.raises(IndexError):
            ring.take(lane, 1, ALL)
    for count, mode in ((0, ALL), (-1, UP_TO), (1, 3), (1, -1)):
        with pytest.raises(ValueError, match="count"):
            ring.take(0, count, mode)
    for call in (ring.take_one, ring.look, ring.drain):
        with pytest.raises(TypeError):
            call("0")
    with pytest.raises(TypeError):
        ring.take(0, 1.5, ALL)
    calls: tuple[Callable[[int], object], ...] = (
        lambda n: ring.take(0, n, ALL),
        lambda n: ring.skip_to(0, n),
        lambda n: ring.publish(0, n, n, 0),
    )
    for huge in (2**63, 2**64 + 5, -(2**63) - 1):
        for large in calls:
            with pytest.raises(OverflowError):
                large(huge)
    assert ring.look(0)["pieces"] == [(1, 10)] and ring.look(0)["added"] == 10


@pytest.mark.parametrize("kind", ["c", "python"])
def test_whoever_came_to_take_does_not_publish(kind: str) -> None:
    taker = make(kind, publish=False)
    for call in (lambda: taker.publish(0, 1, 1, 0), lambda: taker.drain(0), taker.check, taker.close):
        with pytest.raises(RuntimeError, match="not to publish"):
            call()


@pytest.mark.parametrize("kind", ["c", "python"])
def test_threads_get_every_id_once(kind: str) -> None:
    ring = make(kind)
    count = 20_000 if kind == "c" else 2_000
    for i in range(10):
        ring.publish(0, i * count + 1, (i + 1) * count, 0)
    results: list[list[int]] = [[] for _ in range(4)]

    def take(into: list[int]) -> None:
        while number := ring.take_one(0):
            into.append(number)
            for first, last in ring.take(0, 5, UP_TO):
                into.extend(range(first, last + 1))

    threads = [threading.Thread(target=take, args=(into,)) for into in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number for into in results for number in into) == list(range(1, 10 * count + 1))
    assert all(into == sorted(into) for into in results)


def test_the_twin_says_that_sharing_needs_the_extension() -> None:
    with pytest.raises(SegmentUnusable, match="needs the extension"):
        segment_twin.Segment(0)


def test_twin_and_extension_have_the_same_face() -> None:
    for name in segment.__all__:
        extension, twin = getattr(native(), name), getattr(segment_twin, name)
        if not inspect.isclass(extension):
            assert extension == twin
            continue
        public = [one for one in dir(extension) if not one.startswith("__")]
        assert set(public) - {"_attached"} <= set(dir(twin))
        assert {one for one in dir(twin) if not one.startswith("_")} == {one for one in public if one[0] != "_"}


def test_the_ring_is_the_extension_where_it_is_built() -> None:
    assert segment.Segment is native().Segment


def test_the_library_takes_ids_without_the_extension() -> None:
    code = """
import sys
sys.modules["wbd.ids._segment"] = None
from wbd.ids import EntityType, IdClient, segment, segment_twin
from wbd.ids.pool import IdPool
from wbd.ids.id_range import IdRange
assert segment.Segment is segment_twin.Segment and issubclass(IdClient, segment_twin.Taker)
lane = IdPool()[EntityType.ITEM]
lane.add(IdRange(EntityType.ITEM, 1, 3), 1)
assert lane.take_one() == 1
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
