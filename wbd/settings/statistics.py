"""Settings of the statistics workers."""

from __future__ import annotations

from pydantic import Field

from wbd.settings.kinds import Cron
from wbd.settings.subject import Subject


class Statistics(Subject):
    """Statistics: which daily counts are made, and when."""

    backlink_stats_enabled: bool = Field(True, description="run the backlink statistics worker")
    backlink_stats_schedule: Cron = Field("0 2 * * *", description="when it runs, cron, UTC")
    backlink_stats_top_limit: int = Field(100, ge=1, le=100_000, description="how many top entities it tracks")
    user_stats_enabled: bool = Field(True, description="run the user statistics worker")
    user_stats_schedule: Cron = Field("0 2 * * *", description="when it runs, cron, UTC")
    general_stats_enabled: bool = Field(True, description="run the general statistics worker")
    general_stats_schedule: Cron = Field("0 2 * * *", description="when it runs, cron, UTC")
