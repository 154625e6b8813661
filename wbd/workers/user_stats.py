"""Turn user activity into one row of daily statistics.

Reads:    users
Writes:   user_daily_stats, one row a day
Repeats:  harmless; the day is the key
Schedule: user_stats_schedule; a missed day is made up for at the start
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import datetime
from typing import Any

from wbd.engines.mysql import Database
from wbd.runtime.process import run_worker
from wbd.runtime.schedule import ScheduledWorker
from wbd.runtime.worker import Run
from wbd.settings.settings import Settings
from wbd.statistics.users import UserCounts, UserStats
from wbd.wiki import Wiki


class UserStatsTask:
    """Stores the counts of each day that the schedule asks for."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._counts = UserCounts(db)
        self._stored: UserStats | None = None
        self._live: UserStats | None = None

    def start(self, run: Run) -> None:
        """Read the last row stored, and count once to compare with it."""
        self._stored = self._counts.latest()
        self._live = self._counts.count(run.clock.now().date())

    def is_done(self, scheduled_at: datetime) -> bool:
        """Tell whether the day has its row."""
        return self._counts.is_stored(scheduled_at.date())

    def run_once(self, run: Run, scheduled_at: datetime) -> None:
        """Count as of now and store it as the day's row."""
        stats = self._counts.count(scheduled_at.date())
        self._counts.store(stats)
        self._stored = self._live = stats
        run.log.info("stored", stat_date=str(stats.stat_date), users=stats.total_users, active=stats.active_users)

    def stop(self) -> None:
        """Close the pool."""
        self._db.close()

    def health(self) -> dict[str, Any]:
        """Return the counts stored last and those counted last, for comparison."""
        return {
            "stored": self._stored and asdict(self._stored),
            "live": self._live and asdict(self._live),
        }


def build(settings: Settings) -> ScheduledWorker:
    """Wire the task to the database and the schedule of the settings."""
    return ScheduledWorker(UserStatsTask(Wiki(settings).database), settings.user_stats_schedule)


if __name__ == "__main__":
    sys.exit(run_worker("user_stats", build))
