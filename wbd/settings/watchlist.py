"""Settings of the watchlist and its notifications."""

from __future__ import annotations

from pydantic import Field

from wbd.settings.kinds import Cron
from wbd.settings.subject import Subject


class Watchlist(Subject):
    """Watchlist and notifications: the consumer of change events, and the cleanup."""

    watchlist_consumer_enabled: bool = Field(True, description="run the watchlist consumer")
    notification_cleanup_enabled: bool = Field(True, description="run the notification cleanup")
    notification_cleanup_schedule: Cron = Field("0 3 * * *", description="when it runs, cron, UTC")
    notification_retention_days: int = Field(30, ge=1, le=36_500, description="days that notifications are kept")
