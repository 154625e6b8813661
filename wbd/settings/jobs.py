"""Settings of background jobs."""

from __future__ import annotations

from pydantic import Field

from wbd.settings.kinds import Seconds
from wbd.settings.subject import Subject


class Jobs(Subject):
    """Jobs: how many run side by side, and how often one is tried."""

    worker_concurrency: int = Field(4, ge=1, le=1000, description="jobs that a job worker runs side by side")
    worker_poll_interval: Seconds = Field(5.0, description="seconds between looks for jobs")
    worker_max_retries: int = Field(3, ge=0, le=100, description="attempts of a job after the first")
    worker_max_jobs_per_worker: int = Field(50, ge=1, description="jobs after which a job worker starts afresh")
    worker_replicas: int = Field(1, ge=1, le=1000, description="job worker processes on this host")
    max_concurrent_tasks: int = Field(10, ge=1, le=10_000, description="bound of concurrent tasks in one process")
