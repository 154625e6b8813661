"""One row of user statistics a day, counted from the users table."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from wbd.engines.mysql import Database
from wbd.runtime import logs
from wbd.runtime.schedule import ScheduledWorker
from wbd.runtime.worker import Run
from wbd.workers.user_stats import UserStatsTask

logs.configure("INFO", "structured")


def users(db: Database, days_ago: list[float]) -> None:
    now = datetime.now(UTC).replace(tzinfo=None)
    db.transaction(
        lambda tx: tx.insert(
            "users (id, username, last_activity)",
            [(i, f"user {i}", now - timedelta(days=days)) for i, days in enumerate(days_ago, 1)],
        )
    )


def test_the_days_row_counts_all_users_and_those_active_within_30_days(db: Database) -> None:
    users(db, [0, 1, 29, 31.5, 400])
    run = Run("user_stats", "w", logs.get_log("test"))
    worker = ScheduledWorker(UserStatsTask(db), "0 2 * * *")
    worker.start(run)
    assert worker.step(run) > 0
    rows = db.query("SELECT stat_date, total_users, active_users FROM user_daily_stats")
    due = worker.health()["last_due_at"][:10]
    # Due yesterday evening or today: the cut moves by a day, and no user lies that near to it.
    assert rows == [(date.fromisoformat(due), 5, 3)]
    assert worker.health()["stored"]["total_users"] == worker.health()["live"]["total_users"] == 5


def test_a_second_host_finds_the_day_done_and_a_repeat_changes_nothing_but_the_counts(db: Database) -> None:
    users(db, [0])
    run = Run("user_stats", "w", logs.get_log("test"))
    task = UserStatsTask(db)
    day = datetime(2026, 3, 1, 2, tzinfo=UTC)
    assert not task.is_done(day)
    task.run_once(run, day)
    assert task.is_done(day)
    db.execute("DELETE FROM users")
    task.run_once(run, day)
    assert db.query("SELECT stat_date, total_users FROM user_daily_stats") == [(date(2026, 3, 1), 0)]
