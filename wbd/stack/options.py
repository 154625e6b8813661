"""Settings of a stack, and the interface between a stack and whoever starts it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from wbd.group.supervisord import Program
from wbd.runtime.report import Report

Echo = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class StackOptions:
    """
    The settings that decide which engines are embedded.

    topics: topics that the mock cluster creates; for a real broker the caller's prepare() creates them.
    """

    state_dir: Path
    cache_dir: Path | None = None
    vitess_host: str | None = None
    vitess_unix_socket: str | None = None
    database_url: str | None = None
    kafka_brokers: str | None = None
    objects_url: str | None = None
    topics: tuple[str, ...] = ()


class Caller(Protocol):
    """
    Whoever starts a stack: it knows tables, topics and workers, while the stack knows engines and programs.

    programs: the worker programs of the group.
    """

    @property
    def programs(self) -> Sequence[Program]: ...

    def echo(self, line: str) -> None:
        """Show a line of progress."""

    def prepare(self) -> None:
        """Create tables, buckets and topics. Called once the engines answer and their settings are in stack.json."""

    def report(self, program: str) -> Report:
        """Return what a worker program says of itself: whether it is ready, and its trouble."""

    def on_ready(self) -> None:
        """Take note that every program runs and every worker is ready. Called once."""
