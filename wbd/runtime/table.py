"""The table of workers: every program of the process group, once.

``wbd status``, the API, the runtime and the tests read this table. supervisord.conf, docs/workers.md and the table in
README.md are written from it by ``make generate``. A new worker is a row here and a file in ``wbd/workers``.
"""

from __future__ import annotations

from dataclasses import dataclass

from wbd.errors import ConfigError
from wbd.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """
    One program of the group. Fields that end in ``_setting`` hold the name of a setting.

    summary: one line for people, without a full stop.
    drain_s: how long the worker may finish its step after SIGTERM; supervisord waits longer, the group longer still.
    rss_limit_mb: upper bound of the resident memory in normal operation; the system tests hold each worker to it.
    startsecs: how long a process must live before supervisord calls it running.
    essential: the group is unhealthy when this worker does not work.
    enabled_setting: switches the worker off, None if it is always on.
    schedule_setting: the cron line of a worker that is due at times, None for one that works continuously.
    poll_setting: the interval in which a continuous worker looks for work; None if it is fixed.
    processes_setting: the number of processes that compute for the worker beside its own, None if there are none.
    """

    name: str
    summary: str
    drain_s: float
    rss_limit_mb: int
    startsecs: int = 2
    essential: bool = False
    enabled_setting: str | None = None
    schedule_setting: str | None = None
    poll_setting: str | None = None
    processes_setting: str | None = None

    @property
    def module(self) -> str:
        return f"wbd.workers.{self.name}"

    def disabled_by(self, settings: Settings) -> str | None:
        """Return the setting that switches the worker off, None while it is on."""
        name = self.enabled_setting
        return name if name is not None and not getattr(settings, name) else None


WORKERS: tuple[WorkerSpec, ...] = (
    WorkerSpec(
        "id_generation",
        "reserves ranges of entity ids and hands ids to API processes through shared memory and a Unix socket",
        # A database that hangs blocks the step for 8 s (read, connect, read again). Then clients have 1.5 s to read
        # their last replies, and giving ids back may take 3 s.
        drain_s=15,
        rss_limit_mb=200,
        essential=True,
    ),
    WorkerSpec(
        "entity_diff",
        "publishes the RDF triples that each revision added and removed",
        drain_s=20,
        rss_limit_mb=500,
        enabled_setting="entity_diff_enabled",
        poll_setting="entity_diff_poll_interval",
        processes_setting="entity_diff_processes",
    ),
    WorkerSpec("entity_change", "publishes a small event for each committed revision", drain_s=15, rss_limit_mb=200),
    WorkerSpec(
        "user_stats",
        "counts all users and active users once a day",
        drain_s=20,
        rss_limit_mb=200,
        enabled_setting="user_stats_enabled",
        schedule_setting="user_stats_schedule",
    ),
    WorkerSpec(
        "api",
        "serves the health of every worker and metrics for Prometheus over HTTP",
        drain_s=5,
        rss_limit_mb=200,
    ),
)


def worker_spec(name: str) -> WorkerSpec:
    """
    Return the row of one worker.

    Raises:
        ConfigError: no such worker; lists all of them.
    """
    for spec in WORKERS:
        if spec.name == name:
            return spec
    raise ConfigError(f"worker {name!r} unknown; there are: {', '.join(w.name for w in WORKERS)}")
