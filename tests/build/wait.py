"""Wait for another process to get somewhere."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Ask *condition* until it is true; return False when *timeout_s* passed first. Asks at least once."""
    deadline_mono_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline_mono_s:
            return False
        time.sleep(0.05)
    return True
