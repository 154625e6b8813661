"""One embedded engine: how it is prepared, run in the foreground, and asked whether it answers.

``wbd up`` runs engines under supervisord; ``start``, ``stop``, ``kill`` and ``restart`` run one as a plain child
process, for tests and benches.
"""

from __future__ import annotations

import math
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from wbd.errors import DependencyUnavailable
from wbd.group.logs import last_lines
from wbd.group.processes import end_processes
from wbd.group.supervisord import Program
from wbd.settings.state_dir import StateDir


class Engine(ABC):
    """
    A server that lives in a state folder and belongs to it alone.

    start_s: how long it may take to answer, recovery after a crash included.
    stop_s: how long it may take to end after SIGTERM.
    restartable: clients find it again at the same address after a restart.
    """

    name: ClassVar[str]
    unavailable: ClassVar[type[DependencyUnavailable]]
    start_s: ClassVar[float] = 60.0
    stop_s: ClassVar[float] = 60.0
    restartable: ClassVar[bool] = True

    def __init__(self, state_dir: Path) -> None:
        self.places = StateDir.at(state_dir)
        self._process: subprocess.Popen[bytes] | None = None
        self._log_bytes = 0

    @abstractmethod
    def prepare(self) -> None:
        """
        Make everything that ``command`` needs; harmless when repeated, whole or absent after a crash.

        Raises:
            ConfigError: a program is missing, or the folder holds something foreign.
        """

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command line that runs the engine in the foreground."""

    @abstractmethod
    def ping(self, timeout_s: float) -> str:
        """
        Ask the running engine for a sign of life.

        Returns:
            What answered, with its version, for people.

        Raises:
            DependencyUnavailable: no answer within *timeout_s*; its start may still be under way.
        """

    @abstractmethod
    def settings(self) -> dict[str, str]:
        """Return the settings that point a process at this engine, while it runs."""

    @abstractmethod
    def is_mine(self, arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
        """Tell whether a process is this engine in this state folder, by its own command line."""

    @property
    def log_path(self) -> Path:
        return self.places.log_of(self.name)

    @property
    def folder(self) -> Path:
        """Working directory of the engine."""
        return self.places.run

    @property
    def pid(self) -> int | None:
        """Pid of the child process that ``start`` made, None when there is none."""
        return self._process.pid if self._process else None

    def end_orphans(self) -> list[int]:
        """End processes of this engine that hold the state folder; return their pids."""
        return end_processes(self.is_mine, self.stop_s)

    def wait_ready(self, timeout_s: float | None = None) -> str:
        """
        Wait until the engine answers.

        Raises:
            DependencyUnavailable: the child process ended or the deadline passed; carries the end of the log.
        """
        limit_s = self.start_s if timeout_s is None else timeout_s
        deadline_mono_s = time.monotonic() + limit_s
        while True:
            try:
                return self.ping(timeout_s=1.0)
            except DependencyUnavailable as error:
                if self._process and (code := self._process.poll()) is not None:
                    self._process = None
                    raise self.unavailable(
                        f"embedded {self.name}: ended with exit code {code} before it answered; "
                        f"{last_lines(self.log_path, self._log_bytes)}"
                    ) from error
                if time.monotonic() >= deadline_mono_s:
                    raise self.unavailable(
                        f"embedded {self.name}: no answer after {limit_s:.0f} s ({error}); "
                        f"{last_lines(self.log_path, self._log_bytes)}"
                    ) from error
                time.sleep(0.02)

    def start(self) -> dict[str, str]:
        """
        Prepare and run the engine as a child process, wait until it answers, return its settings.

        Raises:
            ConfigError: see ``prepare``.
            DependencyUnavailable: see ``wait_ready``; the child process is ended then.
        """
        if self._process:
            raise RuntimeError(f"{self.name} runs already")
        self.places.create()
        self.end_orphans()
        self.prepare()
        with self.log_path.open("ab") as log:
            self._log_bytes = log.tell()
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
            self.wait_ready()
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
