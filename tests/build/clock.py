"""A clock that a test sets: time passes only when the test or a wait moves it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta


class SetClock:
    """
    Wall time and monotonic time that move together, and waits that take no real time.

    at: the wall time now; a test may also set it alone, as an administrator sets a machine's clock.
    elapsed_s: monotonic seconds since the clock was made.
    """

    def __init__(self, at: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self.at = at
        self.elapsed_s = 0.0

    def now(self) -> datetime:
        """Return the wall time, in UTC."""
        return self.at

    def mono_s(self) -> float:
        """Return monotonic seconds; the first reading is not 0, as on a real machine."""
        return 1000.0 + self.elapsed_s

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Return True at once when *event* is set; let *timeout_s* pass and return False otherwise."""
        if event.is_set():
            return True
        self.advance(timeout_s)
        return event.is_set()

    def sleep(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move both times forward."""
        self.at += timedelta(seconds=seconds)
        self.elapsed_s += seconds
