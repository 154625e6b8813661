"""The fast path of IdClient: the same ids as text and number, and everything it cannot do goes to the slow path."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.native.test_segment import MAX_ID, make, native
from wbd.entity.ids import EntityType, format_id
from wbd.ids import segment_twin

COUNT_MAX = 50


def taker(kind: str) -> Any:
    """Return a taker that records the calls of its slow path."""

    class Slow(native().Taker if kind == "c" else segment_twin.Taker):  # type: ignore[misc]
        def _slow_next(self, entity_type: Any) -> Any:
            return "slow next", entity_type

        def _slow_next_int(self, entity_type: Any) -> Any:
            return "slow next_int", entity_type

        def _slow_take(self, entity_type: Any, count: Any) -> Any:
            return "slow take", entity_type, count

    return Slow(tuple(EntityType))


@pytest.fixture
def fast() -> Any:
    one = taker("c")
    one._attach(make("c"), COUNT_MAX)
    return one


@pytest.mark.parametrize("kind", ["c", "python"])
def test_without_a_ring_every_call_is_slow(kind: str) -> None:
    one = taker(kind)
    assert one._attached is None
    assert one.next("item") == ("slow next", "item")
    assert one.next_int(EntityType.LEXEME) == ("slow next_int", EntityType.LEXEME)
    assert one.take("item", 3) == ("slow take", "item", 3)


def test_the_twin_is_slow_with_a_ring_too() -> None:
    one, ring = taker("python"), make("python")
    ring.publish(0, 1, 10, 0)
    one._attach(ring, COUNT_MAX)
    assert one._attached is ring
    assert (one.next("item"), one.take("item", 1)) == (("slow next", "item"), ("slow take", "item", 1))
    one._attach(None, 0)
    assert one._attached is None


@pytest.mark.parametrize("entity_type", list(EntityType))
def test_ids_come_with_the_letter_of_their_type_by_name_and_by_member(fast: Any, entity_type: EntityType) -> None:
    lane = list(EntityType).index(entity_type)
    fast._attached.publish(lane, 8, 30, 0)
    letter = entity_type.prefix
    names = {"item": "item", "property": "property", "lexeme": "lexeme", "entityschema": "entityschema"}
    assert fast.next(entity_type) == f"{letter}8" and fast.next(names[entity_type.value]) == f"{letter}9"
    assert fast.next_int(entity_type) == 10
    assert fast.take(entity_type, 3) == [f"{letter}11", f"{letter}12", f"{letter}13"]


@given(st.integers(1, MAX_ID - 4) | st.integers(0, 18).map(lambda digits: max(1, 10**digits - 2)))
def test_every_number_is_written_as_the_library_writes_it(number: int) -> None:
    one, ring = taker("c"), make("c")
    one._attach(ring, COUNT_MAX)
    ring.publish(1, number, number + 4, 0)
    expected = [format_id(EntityType.PROPERTY, n) for n in range(number, number + 5)]
    assert [one.next("property"), *one.take("property", 3), f"P{one.next_int('property')}"] == expected


def test_a_take_spans_ranges(fast: Any) -> None:
    for first in (1, 10, 20):
        fast._attached.publish(0, first, first + 1, 0)
    assert fast.take("item", 5) == ["Q1", "Q2", "Q10", "Q11", "Q20"]


def test_what_the_ring_has_not_got_is_slow_and_takes_nothing(fast: Any) -> None:
    assert fast.next("item") == ("slow next", "item") and fast.next_int("item") == ("slow next_int", "item")
    fast._attached.publish(0, 1, 10, 0)
    assert fast.take("item", 11) == ("slow take", "item", 11)
    fast._attached.publish(0, 11, 100, 0)
    assert fast.take("item", COUNT_MAX + 1) == ("slow take", "item", COUNT_MAX + 1)
    assert fast._attached.look(0)["left"] == 100
    assert len(fast.take("item", COUNT_MAX)) == COUNT_MAX
    fast._attached.close()
    assert fast.next("item") == ("slow next", "item")


@pytest.mark.parametrize("count", [0, -1, 2**63, 2**70, -(2**70), True, 1.0, "1", None])
def test_an_odd_count_is_left_to_the_slow_path(fast: Any, count: Any) -> None:
    fast._attached.publish(0, 1, 10, 0)
    assert fast.take("item", count) == ("slow take", "item", count)


@pytest.mark.parametrize("entity_type", ["ITEM", "form", "", 7, None, b"item", "".join(["it", "em"])])
def test_another_spelling_of_a_type_is_left_to_the_slow_path(fast: Any, entity_type: Any) -> None:
    fast._attached.publish(0, 1, 10, 0)
    assert fast.next(entity_type) == ("slow next", entity_type)
    assert fast.next_int(entity_type) == ("slow next_int", entity_type)
    assert fast.take(entity_type, 1) == ("slow take", entity_type, 1)


def test_what_the_slow_path_raises_comes_through(fast: Any) -> None:
    class Refusing(native().Taker):  # type: ignore[misc]
        def _slow_next(self, entity_type: Any) -> Any:
            raise LookupError(entity_type)

    one = Refusing(tuple(EntityType))
    with pytest.raises(LookupError):
        one.next("item")
    with pytest.raises(AttributeError):
        one.next_int("item")


def test_wrong_arguments_are_refused(fast: Any) -> None:
    for wrong in ((), ("item",), ("a", "b", "c", 4), ["a", "b", "c", "d"]):
        with pytest.raises((TypeError, ValueError)):
            native().Taker(wrong)
    for attached in (7, "ring", object(), make("python")):
        with pytest.raises(TypeError, match="Segment or None"):
            fast._attach(attached, 1)
    half = native().Segment.__new__(native().Segment)
    with pytest.raises(RuntimeError, match="not mapped"):
        fast._attach(half, 1)
    with pytest.raises(TypeError):
        fast.take("item")
    assert fast._attached is not None
