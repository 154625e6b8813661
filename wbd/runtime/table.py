"""The table of workers: every program of the process group, once.

supervisord.conf, ``wbd status``, the API and the tests read this table; a new worker is a row here and a
file in ``wbd/workers``.
"""

from __future__ import annotations

from dataclasses import dataclass

from wbd.errors import ConfigError
from wbd.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """
    One program of the group.

    drain_s: how long the worker may finish its step after SIGTERM; supervisord waits longer, the group longer still.
    startsecs: how long it must live before supervisord calls it running.
    essential: the group is of no use without it.
    enabled_setting: name of the setting that switches it off, None if it is always on.
    """

    name: str
    summary: str
    drain_s: float
    startsecs: int = 2
    essential: bool = False
    enabled_setting: str | None = None

    @property
    def module(self) -> str:
        return f"wbd.workers.{self.name}"

    def disabled_by(self, settings: Settings) -> str | None:
        """Return the setting that switches the worker off, None while it is on."""
        name = self.enabled_setting
        return name if name is not None and not getattr(settings, name) else None


WORKERS: tuple[WorkerSpec, ...] = (
    # A hung database holds its step for 8 s (read, connect, read again); then 1.5 s for clients, 3 s to give ids back.
    WorkerSpec("id_generation", "reserves id ranges and serves ids", drain_s=15, essential=True),
    WorkerSpec(
        "entity_diff",
        "publishes RDF diffs of consecutive revisions",
        drain_s=20,
        enabled_setting="entity_diff_enabled",
    ),
    WorkerSpec("entity_change", "publishes entity change events", drain_s=15),
    WorkerSpec("user_stats", "counts users once a day", drain_s=20, enabled_setting="user_stats_enabled"),
    WorkerSpec("api", "health of the group, metrics", drain_s=5),
)


def worker_spec(name: str) -> WorkerSpec:
    """
    Return the row of one worker.

    Raises:
        ConfigError: no such worker; lists those there are.
    """
    for spec in WORKERS:
        if spec.name == name:
            return spec
    raise ConfigError(f"worker {name!r} unknown; there are: {', '.join(w.name for w in WORKERS)}")
