"""Due times of a cron line, and what is done about them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.build.clock import SetClock
from wbd.errors import DatabaseUnavailable
from wbd.runtime import logs
from wbd.runtime.schedule import ScheduledWorker, last_due, next_due
from wbd.runtime.worker import Run

logs.configure("INFO", "structured")
CRON = "0 2 * * *"


class Task:
    """Remembers what it did; *done* is what the database would know."""

    def __init__(self) -> None:
        self.ran: list[datetime] = []
        self.done: set[datetime] = set()
        self.trouble: Exception | None = None

    def start(self, run: Run) -> None: ...

    def is_done(self, scheduled_at: datetime) -> bool:
        return scheduled_at in self.done

    def run_once(self, run: Run, scheduled_at: datetime) -> None:
        if self.trouble:
            raise self.trouble
        self.ran.append(scheduled_at)
        self.done.add(scheduled_at)

    def stop(self) -> None: ...

    def health(self) -> dict[str, Any]:
        return {"own": 1}


def at(day: int, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, second, tzinfo=UTC)


def worker(task: Task, clock: SetClock) -> tuple[ScheduledWorker, Run]:
    run = Run("user_stats", "w", logs.get_log("test"), clock)
    made = ScheduledWorker(task, CRON)
    made.start(run)
    return made, run


def test_each_due_time_is_dealt_with_once() -> None:
    task, clock = Task(), SetClock(at(1, 12))
    made, run = worker(task, clock)
    while clock.at < at(5, 12):
        clock.advance(made.step(run) or 1)
    assert task.ran == [at(day, 2) for day in (1, 2, 3, 4, 5)], "that of the first day was missed and is made up for"


def test_what_another_host_did_is_not_done_again() -> None:
    task, clock = Task(), SetClock(at(1, 12))
    task.done.add(at(1, 2))
    made, run = worker(task, clock)
    made.step(run)
    assert task.ran == []


def test_a_run_that_failed_is_due_still() -> None:
    task, clock = Task(), SetClock(at(1, 12))
    made, run = worker(task, clock)
    task.trouble = DatabaseUnavailable("away")
    with pytest.raises(DatabaseUnavailable):
        made.step(run)
    task.trouble = None
    made.step(run)
    assert task.ran == [at(1, 2)]


def test_a_due_time_is_due_at_its_very_second_and_not_before() -> None:
    assert last_due(CRON, at(2, 1, 59, 59)) == at(1, 2)
    assert last_due(CRON, at(2, 2)) == at(2, 2)
    assert next_due(CRON, at(2, 2)) == at(3, 2)


def test_health_tells_the_schedule_and_the_last_and_next_run() -> None:
    task, clock = Task(), SetClock(at(1, 12))
    made, run = worker(task, clock)
    made.step(run)
    health = made.health()
    assert (health["own"], health["schedule"], health["last_due_at"]) == (1, CRON, "2026-03-01T02:00:00.000Z")
    assert health["last_run_at"] == "2026-03-01T12:00:00.000Z"
    assert health["next_run_at"] == "2026-03-02T02:00:00.000Z"


@given(
    st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    st.sampled_from([CRON, "*/7 * * * *", "30 4 1 * *", "0 0 29 2 *", "15 3 * * 1-5"]),
)
def test_now_lies_between_the_last_due_time_and_the_next(now: datetime, cron: str) -> None:
    assert last_due(cron, now) <= now < next_due(cron, now)
    assert next_due(cron, last_due(cron, now)) == next_due(cron, now)
