"""Time as the runtime sees it: one object that tests can set."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time for people, monotonic time for durations, and two waits; an event ends the first of them early."""

    def now(self) -> datetime: ...

    def mono_s(self) -> float: ...

    def wait(self, event: threading.Event, timeout_s: float) -> bool: ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """Return the wall time, in UTC."""
        return datetime.now(UTC)

    def mono_s(self) -> float:
        """Return seconds since a fixed moment; they never go back."""
        return time.monotonic()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait for *event*; return True when it is set and False when *timeout_s* passed first."""
        return event.wait(timeout_s)

    def sleep(self, seconds: float) -> None:
        """Wait for *seconds*."""
        time.sleep(seconds)


def iso(moment: datetime) -> str:
    """Return a UTC moment as ISO 8601 with milliseconds and Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
