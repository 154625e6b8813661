"""Allow one ``wbd up`` or ``wbd down`` at a time in a state folder, and handle signals meanwhile."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping

from wbd.errors import RetryableError
from wbd.runtime.clock import Clock, SystemClock
from wbd.settings.state_dir import StateDir


class StackBusy(RetryableError):
    """Another ``wbd up`` or ``wbd down`` is at work, or the group runs already."""


@contextlib.contextmanager
def exclusive(places: StateDir, wait_s: float, clock: Clock | None = None) -> Iterator[None]:
    """
    Hold the state folder for one ``up`` or ``down``; the kernel releases it when the process ends.

    Raises:
        StackBusy: another process held it for *wait_s* seconds; names that process.
    """
    clock = clock or SystemClock()
    path = places.run / "up.lock"
    path.touch(mode=0o600)
    with path.open("a+") as file:
        deadline_mono_s = clock.mono_s() + wait_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if clock.mono_s() >= deadline_mono_s:
                    file.seek(0)
                    raise StackBusy(
                        f"{file.read().strip() or 'another process'} is starting or stopping the group "
                        f"in {places.root}; try again when it is done"
                    ) from None
                clock.sleep(0.05)
        file.truncate(0)
        file.write(f"pid {os.getpid()}\n")
        file.flush()
        yield


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into KeyboardInterrupt, as SIGINT is, while the block runs."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    with _handlers({signal.SIGTERM: interrupt, signal.SIGHUP: interrupt, signal.SIGINT: interrupt}):
        yield


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore a second Ctrl-C during an orderly stop, which has deadlines of its own."""
    ignored: dict[signal.Signals, signal.Handlers] = dict.fromkeys(
        (signal.SIGTERM, signal.SIGHUP, signal.SIGINT), signal.SIG_IGN
    )
    with _handlers(ignored):
        yield


@contextlib.contextmanager
def _handlers(handlers: Mapping[signal.Signals, Callable[[int, object], None] | signal.Handlers]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
