"""Writers keep the order of each entity, never batch one id twice, bound what waits, and never swallow an error."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.build.wikibase import item
from wbd.entity.check import check_entity
from wbd.importing.writers import Item, Writers

_LIMIT_BYTES = 8 * 1024 * 1024


def queued(number: int, order: int, size_bytes: int = 10) -> Item:
    return Item(check_entity(item(f"Q{number}")), size_bytes, order)


def nothing() -> None:
    return None


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 5), max_size=200), st.integers(1, 4))
def test_each_entity_is_written_in_the_order_given_and_once_a_batch(numbers: list[int], threads: int) -> None:
    written: defaultdict[str, list[int]] = defaultdict(list)

    def write(batch: Sequence[Item]) -> None:
        ids = [one.entity.id for one in batch]
        assert len(set(ids)) == len(ids)
        for one in batch:
            written[one.entity.id].append(one.origin)

    with Writers(threads, write, nothing) as writers:
        for order, number in enumerate(numbers):
            writers.put(queued(number, order))
        writers.finish(abandon=lambda: False)
    for number in set(numbers):
        assert written[f"Q{number}"] == [order for order, other in enumerate(numbers) if other == number]


def test_what_waits_becomes_one_batch() -> None:
    writing, go, sizes = threading.Event(), threading.Event(), []

    def write(batch: Sequence[Item]) -> None:
        writing.set()
        go.wait(10)
        sizes.append(len(batch))

    with Writers(1, write, nothing) as writers:
        writers.put(queued(1, 0))
        assert writing.wait(10)
        for number in range(2, 152):
            writers.put(queued(number, 0))
        go.set()
        writers.finish(abandon=lambda: False)
    assert sizes == [1, 100, 50]


def test_put_waits_while_too_many_bytes_are_on_their_way_and_ticks_meanwhile() -> None:
    go = threading.Event()
    waiting: list[int] = []
    handed = 0

    def tick() -> None:
        waiting.append(handed)
        go.set()

    def write(_batch: Sequence[Item]) -> None:
        go.wait(10)

    with Writers(2, write, tick) as writers:
        for number in range(1, 21):
            writers.put(queued(number, 0, size_bytes=1024 * 1024))
            handed += 1
        writers.finish(abandon=lambda: False)
    assert waiting[0] == _LIMIT_BYTES // (1024 * 1024)


def test_an_entity_over_the_bound_goes_alone() -> None:
    sizes: list[int] = []
    with Writers(1, lambda batch: sizes.append(len(batch)), nothing) as writers:
        for number in range(1, 4):
            writers.put(queued(number, 0, size_bytes=2 * _LIMIT_BYTES))
        writers.finish(abandon=lambda: False)
    assert sizes == [1, 1, 1]


def test_what_a_writer_raises_is_raised_to_the_caller() -> None:
    def write(batch: Sequence[Item]) -> None:
        raise ZeroDivisionError(batch[0].entity.id)

    with pytest.raises(ZeroDivisionError, match="Q1"), Writers(2, write, nothing) as writers:
        writers.put(queued(1, 0))
        writers.finish(abandon=lambda: False)


def test_abandoned_entities_are_not_written_and_those_under_way_are_finished() -> None:
    begun, go = threading.Event(), threading.Event()
    written: list[int] = []

    def write(batch: Sequence[Item]) -> None:
        begun.set()
        go.wait(10)
        written.extend(one.origin for one in batch)

    with Writers(1, write, nothing) as writers:
        writers.put(queued(1, 1))
        assert begun.wait(10)
        writers.put(queued(2, 2))

        def abandon() -> bool:
            go.set()
            return True

        writers.finish(abandon)
    assert written == [1]
