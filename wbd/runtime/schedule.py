"""Work that is due at times of a cron line, as a worker.

A run that was missed while no process was there is made up for at the start, once: the job knows by its own records
whether the last due time was dealt with. So several hosts may run one schedule; the first that comes does the work.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from croniter import croniter

from wbd.runtime.clock import iso
from wbd.runtime.worker import Run

# A clock that is set while the process waits is noticed within this time.
_LOOK_S = 30.0
_SECOND = timedelta(seconds=1)


class ScheduledJob(Protocol):
    """What is done once at each due time."""

    def start(self, run: Run) -> None:
        """Connect. A RetryableError is tried again."""

    def is_done(self, scheduled_at: datetime) -> bool:
        """Tell whether the work of a due time is done, by whomever."""

    def run_once(self, run: Run, scheduled_at: datetime) -> None:
        """Do the work of one due time; repeating it is harmless."""

    def stop(self) -> None:
        """Release everything."""

    def health(self) -> dict[str, Any]:
        """Return JSON-able fields beside the schedule's own."""


class ScheduledWorker:
    """A worker whose steps wait for the next due time of *cron*, five fields, in UTC."""

    def __init__(self, job: ScheduledJob, cron: str) -> None:
        self._job = job
        self._cron = cron
        self._done_for: datetime | None = None
        self._ran_at: datetime | None = None
        self._took_s: float | None = None

    def start(self, run: Run) -> None:
        """Start the job and become ready; what was missed is due in the first step."""
        self._job.start(run)
        run.ready()

    def step(self, run: Run) -> float:
        """Do what is due; return the seconds until there may be something to do."""
        due_at = last_due(self._cron, run.clock.now())
        if due_at != self._done_for:
            if not self._job.is_done(due_at):
                begun_mono_s = run.clock.mono_s()
                self._job.run_once(run, due_at)
                self._took_s = round(run.clock.mono_s() - begun_mono_s, 3)
                self._ran_at = run.clock.now()
                run.log.info("ran", scheduled_at=iso(due_at), took_s=self._took_s)
            self._done_for = due_at
        wait_s = (next_due(self._cron, run.clock.now()) - run.clock.now()).total_seconds()
        return max(0.0, min(wait_s, _LOOK_S))

    def stop(self) -> None:
        """Stop the job."""
        self._job.stop()

    def health(self) -> dict[str, Any]:
        """Return the last and the next due time, beside the job's own fields."""
        next_at = next_due(self._cron, datetime.now(UTC))
        return {
            **self._job.health(),
            "schedule": self._cron,
            "last_run_at": self._ran_at and iso(self._ran_at),
            "last_run_took_s": self._took_s,
            "last_due_at": self._done_for and iso(self._done_for),
            "next_run_at": iso(next_at),
        }


def last_due(cron: str, now: datetime) -> datetime:
    """Return the latest due time at or before *now*, UTC."""
    # get_prev() is strictly before; a due time is due at its very second.
    found: datetime = croniter(cron, now.replace(microsecond=0) + _SECOND).get_prev(datetime)
    return found


def next_due(cron: str, now: datetime) -> datetime:
    """Return the first due time after *now*, UTC."""
    found: datetime = croniter(cron, now).get_next(datetime)
    return found
