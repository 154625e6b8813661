"""Time as the runtime sees it: one object that tests can set."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time for people, monotonic time for durations, and a wait that an event ends early."""

    def now(self) -> datetime: ...

    def mono_s(self) -> float: ...

    def wait(self, event: threading.Event, timeout_s: float) -> bool: ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """Return the wall time, in UTC."""
        return datetime.now(UTC)

    def mono_s(self) -> float:
        """Return seconds since some fixed moment; never goes back."""
        return time.monotonic()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait until *event* is set, True, or the timeout passed, False."""
        return event.wait(timeout_s)


def iso(moment: datetime) -> str:
    """Return a UTC moment as ISO 8601 with milliseconds and Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
