"""Settings of health checks and circuit breakers."""

from __future__ import annotations

from pydantic import Field

from wbd.settings.kinds import Seconds
from wbd.settings.subject import Subject


class Health(Subject):
    """Health and retries: how often servers are checked, and when a failing one is left alone for a while."""

    health_check_interval: Seconds = Field(30.0, description="seconds between checks of the servers a worker needs")
    circuit_breaker_failure_threshold: int = Field(
        5, ge=1, le=10_000, description="failures in a row that open a breaker"
    )
    circuit_breaker_recovery_timeout: Seconds = Field(60.0, description="seconds until an open breaker is tried")
