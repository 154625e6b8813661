"""Recurring tasks of the diff worker are due by the clock that is handed in."""

from __future__ import annotations

from tests.build.clock import SetClock
from wbd.diff_stream.agenda import Timer


def test_a_task_is_due_at_once_and_then_an_interval_after_each_restart() -> None:
    clock = SetClock()
    timer = Timer(clock, 60.0)
    assert timer.due
    for _ in range(3):
        timer.restart()
        assert not timer.due
        clock.advance(59.9)
        assert not timer.due
        clock.advance(0.1)
        assert timer.due


def test_a_task_stays_due_until_it_is_restarted() -> None:
    clock = SetClock()
    timer = Timer(clock, 60.0)
    clock.advance(1000.0)
    assert timer.due
    timer.restart()
    assert not timer.due


def test_a_task_without_an_interval_is_always_due() -> None:
    timer = Timer(SetClock(), 0.0)
    timer.restart()
    assert timer.due
