"""The interface of an embedded engine: prepare it, run it in the foreground, ask whether it answers.

``wbd up`` runs engines under supervisord; ``start``, ``stop``, ``kill`` and ``restart`` run one as a plain child
process, for tests and benches.
"""

from __future__ import annotations

import math
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from wbd.errors import DependencyUnavailable
from wbd.group.logs import last_lines
from wbd.group.processes import end_processes
from wbd.group.supervisord import Program
from wbd.runtime.clock import Clock, SystemClock
from wbd.settings.state_dir import StateDir

# An engine is asked this often whether it answers.
_POLL_S = 0.02


class Engine(ABC):
    """
    A server that lives in one state folder and serves only that stack.

    start_s: how long it may take to answer, recovery after a crash included.
    stop_s: how long it may take to end after SIGTERM.
    restartable: after a restart, clients find it at the same address.
    """

    name: ClassVar[str]
    unavailable: ClassVar[type[DependencyUnavailable]]
    start_s: ClassVar[float] = 60.0
    stop_s: ClassVar[float] = 60.0
    restartable: ClassVar[bool] = True

    def __init__(self, state_dir: Path) -> None:
        self.places = StateDir.at(state_dir)
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def prepare(self) -> None:
        """
        Create everything that ``command`` needs. A repeat is harmless; after a crash it is complete or absent.

        Raises:
            ConfigError: a program is missing, or the folder holds foreign files.
        """

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command line that runs the engine in the foreground."""

    @abstractmethod
    def ping(self, timeout_s: float) -> str:
        """
        Ask the running engine for a sign of life.

        Returns:
            The server's name and version, for people.

        Raises:
            DependencyUnavailable: no answer within *timeout_s*; it may still be starting.
        """

    @abstractmethod
    def settings(self) -> dict[str, str]:
        """Return the settings with which a process finds this engine, while it runs."""

    @abstractmethod
    def is_mine(self, arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
        """Return whether a process is this engine in this state folder, by its own command line."""

    @property
    def log_path(self) -> Path:
        return self.places.log_of(self.name)

    @property
    def folder(self) -> Path:
        """Working directory of the engine."""
        return self.places.run

    @property
    def pid(self) -> int | None:
        """Pid of the child process that start() made, None when there is none."""
        return self._process.pid if self._process else None

    def end_orphans(self) -> list[int]:
        """End processes of this engine that hold the state folder; return their pids."""
        return end_processes(self.is_mine, self.stop_s)

    def wait_ready(self, why_ended: Callable[[], str | None], *, log_bytes: int = 0, clock: Clock | None = None) -> str:
        """
        Wait until the engine answers; return its answer.

        Args:
            why_ended: returns why the engine's process will not answer any more, None while it may still.
            log_bytes: where the log of an earlier run ended; an error shows none of its lines.

        Raises:
            DependencyUnavailable: the process ended, or start_s passed; carries the end of the log.
        """
        clock = clock or SystemClock()
        deadline_mono_s = clock.mono_s() + self.start_s
        while True:
            try:
                return self.ping(timeout_s=1.0)
            except DependencyUnavailable as error:
                reason = why_ended()
                if reason is None and clock.mono_s() >= deadline_mono_s:
                    reason = f"no answer after {self.start_s:.0f} s ({error})"
                if reason is not None:
                    end_of_log = last_lines(self.log_path, log_bytes)
                    raise self.unavailable(f"embedded {self.name}: {reason}; {end_of_log}") from error
                clock.sleep(_POLL_S)

    def start(self) -> dict[str, str]:
        """
        Prepare and run the engine as a child process, wait until it answers, return its settings.

        Raises:
            ConfigError: see ``prepare``.
            DependencyUnavailable: see ``wait_ready``; the child process is ended then.
        """
        if self._process:
            raise RuntimeError(f"{self.name} is already running")
        self.places.create()
        self.end_orphans()
        self.prepare()
        with self.log_path.open("ab") as log:
            log_bytes = log.tell()
            # A session of its own, so that Ctrl-C in a terminal reaches the engine only through stop().
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                start_new_session=True,
            )
        try:
            self.wait_ready(self._why_ended, log_bytes=log_bytes)
        except BaseException:
            self.kill()
            raise
        return self.settings()

    def stop(self) -> None:
        """End the child process in order; after stop_s seconds by SIGKILL. Harmless when none runs."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the child process by SIGKILL, as a crash does. Harmless when none runs."""
        self._end(signal.SIGKILL)

    def restart(self) -> dict[str, str]:
        """Stop the child process in order and start it again."""
        self.stop()
        return self.start()

    def _why_ended(self) -> str | None:
        code = self._process.poll() if self._process else None
        return None if code is None else f"ended with exit code {code} before it answered"

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(timeout=self.stop_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def engine_program(engine: Engine) -> Program:
    """Return the program that runs one embedded engine."""
    command = tuple(engine.command())
    stop_wait_s = math.ceil(engine.stop_s)
    return Program(engine.name, command, 1, stop_wait_s, restarts=engine.restartable, folder=engine.folder)
