"""Count the users of the wiki, and keep one row of counts a day.

Reads:   users
Writes:  user_daily_stats
Repeats: harmless; the day is the key, and a repeat replaces its counts
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from wbd.engines.mysql import Database

# The requirement documents' definition of an active user.
ACTIVE_WITHIN = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class UserStats:
    """One row of user_daily_stats."""

    stat_date: date
    total_users: int
    active_users: int


class UserCounts:
    """The counts of users, live from the table and stored by day."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def count(self, day: date) -> UserStats:
        """Count the users there are now; active since the start of the day 30 days before *day*."""
        ((total,),) = self._db.query("SELECT COUNT(*) FROM users")
        ((active,),) = self._db.query("SELECT COUNT(*) FROM users WHERE last_activity >= %s", (day - ACTIVE_WITHIN,))
        return UserStats(day, int(total), int(active))

    def store(self, stats: UserStats) -> None:
        """Store the counts as the row of their day."""
        self._db.transaction(
            lambda tx: tx.insert(
                "user_daily_stats (stat_date, total_users, active_users)",
                [(stats.stat_date, stats.total_users, stats.active_users)],
                on_duplicate="total_users = VALUES(total_users), active_users = VALUES(active_users)",
            )
        )

    def is_stored(self, day: date) -> bool:
        """Tell whether *day* has its row."""
        return bool(self._db.query("SELECT 1 FROM user_daily_stats WHERE stat_date = %s", (day,)))

    def latest(self) -> UserStats | None:
        """Return the row of the last day that has one."""
        rows = self._db.query(
            "SELECT stat_date, total_users, active_users FROM user_daily_stats ORDER BY stat_date DESC LIMIT 1"
        )
        return UserStats(*rows[0]) if rows else None
