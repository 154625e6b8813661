"""What a stack is started with, and whom it tells what it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Echo = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class StackOptions:
    """
    The settings that decide what is embedded.

    topics: those that the mock cluster should hold; a real broker gets them from the caller's prepare().
    """

    state_dir: Path
    cache_dir: Path | None = None
    vitess_host: str | None = None
    vitess_unix_socket: str | None = None
    database_url: str | None = None
    kafka_brokers: str | None = None
    objects_url: str | None = None
    topics: tuple[str, ...] = ()
