"""What a worker is, and what it sees of the runtime.

A worker has no loop, sleep, retry, signal handling or environment access of its own: it says what one step is.
"""

from __future__ import annotations

import threading
import uuid
from datetime import datetime
from typing import Any, Protocol

from wbd.runtime.clock import Clock, SystemClock
from wbd.runtime.logs import Log
from wbd.runtime.metrics import Metrics


class Run:
    """What a worker sees of the runtime; wake(), beat() and stopping may be used from any thread."""

    def __init__(self, name: str, worker_id: str, log: Log, clock: Clock | None = None) -> None:
        self.name = name
        self.worker_id = worker_id
        # Of this process alone, whatever worker_id two hosts were given: leases must tell them apart.
        self.lease_owner = f"{worker_id}/{uuid.uuid4().hex[:8]}"
        self.log = log
        self.clock = clock or SystemClock()
        self.metrics = Metrics()
        self.is_ready = False
        self.heartbeat_at: datetime = self.clock.now()
        self.heartbeat_mono_s = self.clock.mono_s()
        self._stopping = threading.Event()
        self._woken = threading.Event()

    @property
    def stopping(self) -> bool:
        """True once the process was asked to end; a long step should come to its end."""
        return self._stopping.is_set()

    def wake(self) -> None:
        """Run the next step now instead of when it was due."""
        self._woken.set()

    def ready(self, flag: bool = True) -> None:
        """Say whether the worker does its work; health and ``wbd up`` wait for it."""
        if flag != self.is_ready:
            self.log.info("ready" if flag else "not ready")
        self.is_ready = flag

    def beat(self) -> None:
        """Show that the worker is alive; a step longer than a minute should call it as it goes."""
        self.heartbeat_at = self.clock.now()
        self.heartbeat_mono_s = self.clock.mono_s()

    def ask_to_stop(self) -> None:
        """Begin the end: the step under way is the last."""
        self._stopping.set()
        self._woken.set()

    def pause(self, timeout_s: float) -> bool:
        """Wait until wake(), True, or the timeout, False."""
        woken = self.clock.wait(self._woken, timeout_s)
        self._woken.clear()
        return woken


class Worker(Protocol):
    """
    One worker of the group.

    start, step and stop run in the main thread; health is called from another.
    """

    def start(self, run: Run) -> None:
        """Connect, bind, begin serving. A RetryableError is tried again, so a second call must be harmless."""

    def step(self, run: Run) -> float:
        """Do one bounded piece of work; return the seconds until the next is wanted, 0.0 for at once."""

    def stop(self) -> None:
        """Release everything, within drain_s; also called when start failed."""

    def health(self) -> dict[str, Any]:
        """Return JSON-able fields beside the runtime's own."""
