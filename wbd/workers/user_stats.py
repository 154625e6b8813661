"""Turn user activity into one row of daily statistics.

Reads:    users
Writes:   user_daily_stats, one row a day
Repeats:  harmless; the day is the key
Schedule: user_stats_schedule; a missed day is made up for at the start
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

from wbd.engines.mysql import Database
from wbd.runtime.process import run_worker
from wbd.runtime.schedule import ScheduledWorker
from wbd.runtime.worker import Run
from wbd.settings.settings import Settings

# The documents' definition of an active user.
ACTIVE_WITHIN = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class UserStats:
    """One row of user_daily_stats."""

    stat_date: date
    total_users: int
    active_users: int


class UserStatsTask:
    """Counts users, and those active in the 30 days before the day of the count."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._stored: UserStats | None = None
        self._live: UserStats | None = None

    def start(self, run: Run) -> None:
        """Read the last row stored, and count once to compare with it."""
        rows = self._db.query(
            "SELECT stat_date, total_users, active_users FROM user_daily_stats ORDER BY stat_date DESC LIMIT 1"
        )
        self._stored = UserStats(*rows[0]) if rows else None
        self._live = self.count(run.clock.now().date())

    def is_done(self, scheduled_at: datetime) -> bool:
        """Tell whether the day has its row."""
        return bool(self._db.query("SELECT 1 FROM user_daily_stats WHERE stat_date = %s", (scheduled_at.date(),)))

    def run_once(self, run: Run, scheduled_at: datetime) -> None:
        """Count as of now and store it as the day's row."""
        stats = self.count(scheduled_at.date())
        self._db.transaction(
            lambda tx: tx.insert(
                "user_daily_stats (stat_date, total_users, active_users)",
                [(stats.stat_date, stats.total_users, stats.active_users)],
                on_duplicate="total_users = VALUES(total_users), active_users = VALUES(active_users)",
            )
        )
        self._stored = self._live = stats
        run.log.info("stored", stat_date=str(stats.stat_date), users=stats.total_users, active=stats.active_users)

    def count(self, day: date) -> UserStats:
        """Count the users there are now; active since the start of the day 30 days before *day*."""
        ((total,),) = self._db.query("SELECT COUNT(*) FROM users")
        ((active,),) = self._db.query("SELECT COUNT(*) FROM users WHERE last_activity >= %s", (day - ACTIVE_WITHIN,))
        return UserStats(day, int(total), int(active))

    def stop(self) -> None:
        """Close the pool."""
        self._db.close()

    def health(self) -> dict[str, Any]:
        """Return the statistics stored last, and those counted last, for comparison."""
        return {
            "stored": self._stored and asdict(self._stored),
            "live": self._live and asdict(self._live),
        }


def build(settings: Settings) -> ScheduledWorker:
    """Wire the task to the database and the schedule of the settings."""
    task = UserStatsTask(Database(settings.database_address(), max_connections=settings.pool_size(1)))
    return ScheduledWorker(task, settings.user_stats_schedule)


if __name__ == "__main__":
    sys.exit(run_worker("user_stats", build))
