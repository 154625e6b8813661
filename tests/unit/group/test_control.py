"""Waits of the supervisord client on a clock that the test sets; a stand-in serves supervisord's calls."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault
from xmlrpc.server import SimpleXMLRPCDispatcher, SimpleXMLRPCRequestHandler

import pytest

from tests.build.clock import SetClock
from wbd.errors import DependencyUnavailable
from wbd.group.control import GroupNotRunning, State, Supervisor
from wbd.settings.state_dir import StateDir

NOT_RUNNING, ALREADY_STARTED = 70, 60


class _Handler(SimpleXMLRPCRequestHandler):
    # A Unix socket has neither Nagle's algorithm to switch off nor a peer address to log.
    disable_nagle_algorithm = False

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None: ...


class Supervisord(socketserver.ThreadingUnixStreamServer, SimpleXMLRPCDispatcher):
    """One program, whose state is a function of the elapsed time; it obeys stop where supervisord would."""

    def __init__(self, path: Path, clock: SetClock, state: Callable[[float], State]) -> None:
        socketserver.ThreadingUnixStreamServer.__init__(self, str(path), _Handler)
        SimpleXMLRPCDispatcher.__init__(self, allow_none=True)
        self.clock, self.state = clock, state
        self.commands: list[tuple[str, float]] = []
        calls: list[Callable[..., Any]] = [self.getPID, self.getAllProcessInfo, self.stopProcess, self.startProcess]
        for call in calls:
            self.register_function(call, f"supervisor.{call.__name__}")

    def getPID(self) -> int:
        return 1

    def getAllProcessInfo(self) -> list[dict[str, Any]]:
        state = self.state(self.clock.elapsed_s)
        return [
            {
                **{"name": "one", "group": "wbd", "statename": str(state), "spawnerr": "", "exitstatus": 3},
                **{"pid": 7 if state is State.RUNNING else 0, "now": 50, "start": 10, "stdout_logfile": "/one.log"},
            }
        ]

    def stopProcess(self, name: str, wait: bool) -> bool:
        if self.state(self.clock.elapsed_s) is not State.RUNNING:
            raise Fault(NOT_RUNNING, f"NOT_RUNNING: {name}")
        self.commands.append(("stop", self.clock.elapsed_s))
        return True

    def startProcess(self, name: str, wait: bool) -> bool:
        if self.state(self.clock.elapsed_s) is State.RUNNING:
            raise Fault(ALREADY_STARTED, f"ALREADY_STARTED: {name}")
        self.commands.append(("start", self.clock.elapsed_s))
        return True


Start = Callable[[Callable[[float], State]], tuple[Supervisord, Supervisor]]


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    servers: list[Supervisord] = []

    def start_one(state: Callable[[float], State]) -> tuple[Supervisord, Supervisor]:
        clock = SetClock()
        places = StateDir(tmp_path_factory.mktemp("s"))
        places.run.mkdir()
        server = Supervisord(places.supervisor_socket, clock, state)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server, Supervisor(places, clock)

    yield start_one
    for server in servers:
        server.shutdown()
        server.server_close()


def until(seconds: float, before: State, after: State) -> Callable[[float], State]:
    return lambda elapsed_s: before if elapsed_s < seconds else after


def test_a_program_that_has_just_ended_is_stopped_once_it_is_back(start: Start) -> None:
    server, supervisor = start(until(0.9, State.EXITED, State.RUNNING))
    supervisor.stop("one")
    ((command, at_s),) = server.commands
    assert command == "stop"
    assert at_s == pytest.approx(0.9, abs=0.021)


def test_a_program_that_ended_for_good_is_waited_for_three_seconds(start: Start) -> None:
    server, supervisor = start(lambda _: State.EXITED)
    supervisor.stop("one")
    assert server.commands == []
    assert server.clock.elapsed_s == pytest.approx(3.0, abs=0.021)


@pytest.mark.parametrize("state", [State.STOPPED, State.STOPPING, State.FATAL])
def test_a_program_that_is_down_is_not_waited_for(start: Start, state: State) -> None:
    server, supervisor = start(lambda _: state)
    supervisor.stop("one")
    assert (server.commands, server.clock.elapsed_s) == ([], 0.0)


def test_a_program_that_is_stopping_is_started_once_it_is_down(start: Start) -> None:
    server, supervisor = start(until(8.0, State.STOPPING, State.STOPPED))
    supervisor.start("wbd:one")
    ((command, at_s),) = server.commands
    assert command == "start"
    assert at_s == pytest.approx(8.0, abs=0.051)


def test_a_program_that_does_not_stop_is_an_error_after_the_time_given(start: Start) -> None:
    server, supervisor = start(lambda _: State.STOPPING)
    with pytest.raises(DependencyUnavailable, match="supervisord: waited 20 s for one to stop"):
        supervisor.start("one", timeout_s=20.0)
    assert server.clock.elapsed_s == pytest.approx(20.0, abs=0.051)


def test_a_start_of_a_running_program_is_harmless(start: Start) -> None:
    server, supervisor = start(lambda _: State.RUNNING)
    supervisor.start("one")
    assert server.commands == []
    (row,) = supervisor.processes()
    assert (row.pid, row.uptime_s, row.message) == (7, 40, "")


def test_a_program_that_ended_shows_its_exit_code(start: Start) -> None:
    _, supervisor = start(lambda _: State.EXITED)
    assert supervisor.process("one").message == "exit code 3"
    assert supervisor.process("one").pid is None


def test_without_a_supervisord_every_call_says_how_to_start_one(tmp_path: Path) -> None:
    supervisor = Supervisor(StateDir(tmp_path))
    assert not supervisor.is_running()
    with pytest.raises(GroupNotRunning, match="start the group with: wbd up"):
        supervisor.processes()
