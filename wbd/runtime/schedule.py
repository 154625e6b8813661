"""A worker for a task that is due at the times of a cron line.

When no process was running at the last due time, the first step makes up for that one run. The task knows from its own
records whether a due time is done, so several hosts may run one schedule and the first of them does the work.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Protocol

from croniter import croniter

from wbd.runtime.clock import Clock, SystemClock, iso
from wbd.runtime.worker import Run

# Longest wait between two steps: an administrator may set the machine's clock meanwhile.
_LOOK_S = 30.0
_SECOND = timedelta(seconds=1)


class ScheduledTask(Protocol):
    """Work to do once for each due time."""

    def start(self, run: Run) -> None:
        """Connect. The runtime retries after a RetryableError."""

    def is_done(self, scheduled_at: datetime) -> bool:
        """Return whether this process or another has done the work of a due time."""

    def run_once(self, run: Run, scheduled_at: datetime) -> None:
        """Do the work of one due time; a repeat is harmless."""

    def stop(self) -> None:
        """Release everything."""

    def health(self) -> dict[str, Any]:
        """Return JSON-able fields for the report, beside those of the schedule."""


class ScheduledWorker:
    """
    A worker whose steps wait for the next due time.

    Args:
        cron: a cron line of five fields, in UTC.
    """

    def __init__(self, task: ScheduledTask, cron: str) -> None:
        self._task = task
        self._cron = cron
        self._clock: Clock = SystemClock()
        self._done_for: datetime | None = None
        self._ran_at: datetime | None = None
        self._took_s: float | None = None

    def start(self, run: Run) -> None:
        """Start the task and become ready; a missed run is due in the first step."""
        self._clock = run.clock
        self._task.start(run)
        run.ready()

    def step(self, run: Run) -> float:
        """Do the work of the last due time unless it is done; return the seconds until the next step."""
        due_at = last_due(self._cron, run.clock.now())
        if due_at != self._done_for:
            if not self._task.is_done(due_at):
                begun_mono_s = run.clock.mono_s()
                self._task.run_once(run, due_at)
                self._took_s = round(run.clock.mono_s() - begun_mono_s, 3)
                self._ran_at = run.clock.now()
                run.log.info("ran", scheduled_at=iso(due_at), took_s=self._took_s)
            self._done_for = due_at
        wait_s = (next_due(self._cron, run.clock.now()) - run.clock.now()).total_seconds()
        return max(0.0, min(wait_s, _LOOK_S))

    def stop(self) -> None:
        """Stop the task."""
        self._task.stop()

    def health(self) -> dict[str, Any]:
        """Return the last run and the next due time, beside the task's own fields."""
        next_at = next_due(self._cron, self._clock.now())
        return {
            **self._task.health(),
            "schedule": self._cron,
            "last_run_at": self._ran_at and iso(self._ran_at),
            "last_run_took_s": self._took_s,
            "last_due_at": self._done_for and iso(self._done_for),
            "next_run_at": iso(next_at),
        }


def last_due(cron: str, now: datetime) -> datetime:
    """Return the latest due time at or before *now*, UTC."""
    # get_prev() is strictly before; a due time is due at its very second.
    due_at: datetime = croniter(cron, now.replace(microsecond=0) + _SECOND).get_prev(datetime)
    return due_at


def next_due(cron: str, now: datetime) -> datetime:
    """Return the first due time after *now*, UTC."""
    due_at: datetime = croniter(cron, now).get_next(datetime)
    return due_at
