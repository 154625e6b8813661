"""Reports of worker processes, as tests want them."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

from wbd.runtime.report import Report, Status

AT = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
WORKING = Report(
    worker="entity_diff",
    status=Status.RUNNING,
    ready=True,
    pid=4711,
    worker_id="entity_diff-1",
    last_heartbeat=AT,
    heartbeat_age_s=0.1,
    started_at=AT,
    uptime_seconds=3600.0,
)


def report(worker: str = "entity_diff", **fields: Any) -> Report:
    """Return the report of a worker that works, but for *fields*."""
    return dataclasses.replace(WORKING, worker=worker, **fields)
