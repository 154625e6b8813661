"""The interface of a worker, and the part of the runtime that a worker sees.

A worker defines one step. It has no loop, sleep, retry, signal handling or environment access of its own.
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
    """The runtime as its worker sees it; wake(), beat() and stopping may be used from any thread."""

    def __init__(self, name: str, worker_id: str, log: Log, clock: Clock | None = None) -> None:
        self.name = name
        self.worker_id = worker_id
        # Unique for each process: leases must tell two hosts with the same worker_id apart.
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
        """True once the process was asked to stop; a long step should then end early."""
        return self._stopping.is_set()

    def wake(self) -> None:
        """Run the next step now, before it is due."""
        self._woken.set()

    def ready(self, flag: bool = True) -> None:
        """Record whether the worker does its work; health reports it and ``wbd up`` waits for it."""
        if flag != self.is_ready:
            self.log.info("ready" if flag else "not ready")
        self.is_ready = flag

    def beat(self) -> None:
        """Record that the worker is alive; a step longer than a minute should call this repeatedly."""
        self.heartbeat_at = self.clock.now()
        self.heartbeat_mono_s = self.clock.mono_s()

    def ask_to_stop(self) -> None:
        """Make the current step the last."""
        self._stopping.set()
        self._woken.set()

    def pause(self, timeout_s: float) -> bool:
        """Wait for wake(); return True when it came and False when *timeout_s* passed first."""
        woken = self.clock.wait(self._woken, timeout_s)
        self._woken.clear()
        return woken


class Worker(Protocol):
    """
    One worker of the group.

    start, step and stop run in the main thread; health is called from another.
    """

    def start(self, run: Run) -> None:
        """Connect, bind, begin serving. Called again after a RetryableError, so a repeat must be harmless."""

    def step(self, run: Run) -> float:
        """Do one bounded piece of work; return the seconds until the next step, 0.0 for at once."""

    def stop(self) -> None:
        """Release everything, within drain_s; also called when start failed."""

    def health(self) -> dict[str, Any]:
        """Return JSON-able fields for the report; none may have the name of a field of Report."""
