"""Talk to a running supervisord over its Unix socket, and read the logs of its programs."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import xmlrpc.client
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

from wbd.errors import ConfigError, DependencyUnavailable
from wbd.group.logs import tail
from wbd.runtime.clock import Clock, SystemClock
from wbd.settings.state_dir import StateDir

# No call used here waits for a process, so each answers at once.
_CALL_TIMEOUT_S = 10.0
# supervisord starts a program that has ended by itself again on its next pass, which comes at least once a second.
_RESTARTED_WITHIN_S = 3.0
# Longer than the stop time of any program, after which supervisord kills it.
_STOPPED_WITHIN_S = 90.0
# supervisor.xmlrpc.Faults
_BAD_NAME, _NOT_RUNNING, _ALREADY_STARTED, _SHUTDOWN_STATE = 10, 70, 60, 6


class GroupNotRunning(DependencyUnavailable):
    """No supervisord answers in this state folder."""

    dependency = "supervisord"


class State(StrEnum):
    """States of a program, as supervisord names them."""

    STOPPED = "STOPPED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    BACKOFF = "BACKOFF"
    STOPPING = "STOPPING"
    EXITED = "EXITED"
    FATAL = "FATAL"
    UNKNOWN = "UNKNOWN"

    @property
    def is_down(self) -> bool:
        """Whether no process lives and none will without a command."""
        return self in (State.STOPPED, State.EXITED, State.FATAL, State.UNKNOWN)


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """
    One program as supervisord sees it.

    pid: None when no process lives.
    uptime_s: since its last start, 0 when no process lives.
    restarts: restarts that nobody asked for since supervisord began; None when its log does not tell.
    message: why it does not run, or "".
    """

    name: str
    group: str
    state: State
    pid: int | None
    uptime_s: int
    restarts: int | None
    message: str
    log_path: Path


class Supervisor:
    """The supervisord of one state folder. Every method raises GroupNotRunning when none answers."""

    def __init__(self, places: StateDir, clock: Clock | None = None) -> None:
        self._places = places
        self._clock = clock or SystemClock()
        transport = _UnixTransport(places.supervisor_socket)
        self._proxy = xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=transport)

    def pid(self) -> int:
        """Return supervisord's own pid."""
        return int(self._call("getPID"))

    def is_running(self) -> bool:
        """Return whether a supervisord answers."""
        try:
            self.pid()
        except GroupNotRunning:
            return False
        return True

    def processes(self) -> list[ProcessRow]:
        """Return every program, by group and name."""
        restarts = _restarts(self._places.log_of("supervisord"))
        return [_row(info, restarts) for info in cast(list[dict[str, Any]], self._call("getAllProcessInfo"))]

    def process(self, name: str) -> ProcessRow:
        """
        Return one program, named with or without its group.

        Raises:
            ConfigError: no such program; lists all of them.
        """
        rows = self.processes()
        for row in rows:
            if name in (row.name, f"{row.group}:{row.name}"):
                return row
        raise ConfigError(f"program {name!r} unknown; there are: {', '.join(row.name for row in rows)}")

    def start(self, name: str, timeout_s: float = _STOPPED_WITHIN_S) -> None:
        """
        Start one program; harmless when it runs. Returns before it is ready.

        A program that is being stopped is waited for first, because supervisord would accept the command and do
        nothing.

        Raises:
            ConfigError: no such program.
            DependencyUnavailable: it was not down after *timeout_s* seconds.
        """
        row = self.process(name)
        self.wait_for(lambda: self.process(name).state is not State.STOPPING, timeout_s, f"{name} to stop")
        self._call("startProcess", f"{row.group}:{row.name}", False, harmless=_ALREADY_STARTED)

    def stop(self, name: str) -> None:
        """
        Begin to stop one program; harmless when it is down.

        Returns at once unless the program has just ended by itself: supervisord refuses to stop such a program and
        starts it again a moment later, so this waits for that restart, up to 3 s.
        """
        row = self.process(name)
        deadline_mono_s = self._clock.mono_s() + _RESTARTED_WITHIN_S
        while not self._call("stopProcess", f"{row.group}:{row.name}", False, harmless=_NOT_RUNNING):
            state = self.process(name).state
            if state in (State.STOPPED, State.STOPPING, State.FATAL) or self._clock.mono_s() >= deadline_mono_s:
                return
            self._clock.sleep(0.02)

    def restart(self, name: str, timeout_s: float) -> None:
        """
        Stop one program in order, wait until it is down, and start it. Returns before it is ready.

        Raises:
            ConfigError: no such program.
            DependencyUnavailable: it was not down after *timeout_s* seconds.
        """
        self.stop(name)
        self.wait_for(lambda: self.process(name).state.is_down, timeout_s, f"{name} to stop")
        self.start(name)

    def start_group(self, group: str) -> None:
        """Start every program of a group; harmless for those that run. Returns at once."""
        self._call("startProcessGroup", group, False, harmless=_BAD_NAME)

    def stop_group(self, group: str) -> None:
        """Begin to stop every program of a group as stop() does; harmless when there is no such group."""
        self._call("stopProcessGroup", group, False, harmless=_BAD_NAME)
        for row in self.processes():
            if row.group == group and row.state is State.EXITED:
                self.stop(row.name)

    def shutdown(self) -> None:
        """Ask supervisord to stop every group in order and to end. Returns at once."""
        self._call("shutdown", harmless=_SHUTDOWN_STATE)

    def wait_for(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Wait until *condition* holds. Raises DependencyUnavailable after *timeout_s* seconds."""
        deadline_mono_s = self._clock.mono_s() + timeout_s
        while not condition():
            if self._clock.mono_s() >= deadline_mono_s:
                raise DependencyUnavailable(f"supervisord: waited {timeout_s:.0f} s for {what}")
            self._clock.sleep(0.05)

    def tail(self, name: str, lines: int = 20) -> list[str]:
        """Return the last *lines* lines of a program's log."""
        return tail(self.process(name).log_path, lines)

    def _call(self, method: str, *arguments: object, harmless: int = 0) -> Any:
        try:
            return getattr(self._proxy.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == harmless:
                return None
            raise DependencyUnavailable(f"supervisord: {method}{arguments}: {fault.faultString}") from fault
        except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
            raise GroupNotRunning(
                f"no supervisord answers at {self._places.supervisor_socket} ({error}); start the group with: wbd up"
            ) from error


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_CALL_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return _UnixConnection(self._path)


def _row(info: dict[str, Any], restarts: dict[str, int]) -> ProcessRow:
    state = State(info["statename"])
    pid = int(info["pid"]) or None
    message = info["spawnerr"] or ""
    if state in (State.EXITED, State.FATAL, State.BACKOFF) and not message:
        message = f"exit code {info['exitstatus']}"
    name = str(info["name"])
    return ProcessRow(
        name=name,
        group=str(info["group"]),
        state=state,
        pid=pid,
        uptime_s=max(0, int(info["now"]) - int(info["start"])) if pid else 0,
        restarts=restarts.get(name),
        message=message,
        log_path=Path(info["stdout_logfile"]),
    )


def _restarts(log: Path) -> dict[str, int]:
    """Count the restarts of each program that nobody asked for since supervisord began; XML-RPC does not tell."""
    counts: dict[str, int] = {}
    # Programs that were stopped on command or given up: their next start is asked for.
    asked: set[str] = set()
    with contextlib.suppress(OSError), log.open(errors="replace") as lines:
        for line in lines:
            if "supervisord started with pid" in line:
                counts.clear()
                asked.clear()
            elif match := re.search(r" INFO (spawned|stopped|gave up): '?([^\s']+)", line):
                what, name = match.groups()
                if what != "spawned":
                    asked.add(name)
                elif name not in counts:
                    counts[name] = 0
                elif name in asked:
                    asked.remove(name)
                else:
                    counts[name] += 1
    return counts
