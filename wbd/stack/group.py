"""Start and stop a whole stack: embedded engines, then workers, under one supervisord.

    wbd up:    lock -> engines prepared -> supervisord -> engines answer -> stack.json -> caller's prepare()
               -> workers started -> each ready -> unlock; in the foreground stays until a signal, then goes down
    wbd down:  lock -> workers stopped -> engines stopped -> supervisord ended -> stack.json removed

Whatever was killed in between, the next ``up`` finds what is left through /proc, ends it and starts afresh; data
directories are whole or absent at any time.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wbd.errors import BrokerUnavailable, ConfigError, DependencyUnavailable
from wbd.stack.control import GroupNotRunning, ProcessRow, State, Supervisor
from wbd.stack.engine import Engine
from wbd.stack.exclusive import StackBusy, exclusive, interruptible, uninterrupted
from wbd.stack.kafka import KafkaBroker, fetch_libraries
from wbd.stack.mariadb import MariaDB
from wbd.stack.mock_kafka import LIMITS, MockKafka
from wbd.stack.places import StateDir, last_lines, read_json_object, write_private
from wbd.stack.processes import end_processes, wait_for_exit
from wbd.stack.supervisor import (
    ENGINE_GROUP,
    WORKER_GROUP,
    Program,
    engine_program,
    group_stop_s,
    render,
    stop_waits_s,
    worker_programs,
)

Echo = Callable[[str], None]

_SUPERVISORD_START_S = 20.0
_SUPERVISORD_STOP_S = 15.0
_POLL_S = 0.05
# Starts after the first that `up` sees fail before it gives up.
_FAILED_STARTS = 2


@dataclass(frozen=True, slots=True)
class StackOptions:
    """
    The settings that decide what is embedded.

    topics: those that the mock cluster should hold; a real broker gets them from the caller's prepare().
    """

    state_dir: Path
    cache_dir: Path | None = None
    vitess_host: str | None = None
    vitess_unix_socket: str | None = None
    database_url: str | None = None
    kafka_brokers: str | None = None
    objects_url: str | None = None
    topics: tuple[str, ...] = ()


def up(
    options: StackOptions,
    *,
    detach: bool,
    prepare: Callable[[], None],
    ready: Callable[[str], bool],
    echo: Echo,
    on_ready: Callable[[], None] | None = None,
    workers: Sequence[Program] | None = None,
    ready_s: float = 60.0,
) -> None:
    """
    Start the stack; return once all of it is ready (detached), or once it has ended (in the foreground).

    Args:
        prepare: creates tables, buckets and topics; called when the engines answer and stack.json is written.
        ready: tells whether one worker, by name, is ready.
        on_ready: called once when everything is ready.
        workers: programs of the group; those of the table of workers if None.
        ready_s: how long the workers may take to become ready.

    Raises:
        ConfigError: the state folder or a needed program is not as it must be.
        StackBusy: see there.
        DependencyUnavailable: something did not come up, or supervisord died; what had started is stopped.
    """
    places = StateDir.at(options.state_dir)
    places.create()
    programs = worker_programs() if workers is None else tuple(workers)
    with interruptible():
        with exclusive(places, wait_s=0.0):
            _clear_the_way(places, echo)
            _starting(places).touch(mode=0o600)
            try:
                supervisord = _start(places, options, programs, prepare, ready, echo, ready_s)
            except BaseException as error:
                if not isinstance(error, KeyboardInterrupt):
                    echo("did not come up; stopping what has started")
                _stop(places, echo)
                raise
            _starting(places).unlink(missing_ok=True)
        try:
            if on_ready is not None:
                on_ready()
            if detach:
                return
            code = supervisord.wait()
        except KeyboardInterrupt:
            with exclusive(places, wait_s=_down_s(places)):
                _stop(places, echo)
            supervisord.wait()
            return
        with exclusive(places, wait_s=_down_s(places)):
            left = _end_orphans(places)
            places.stack_json.unlink(missing_ok=True)
        if code != 0 or left:
            raise DependencyUnavailable(
                f"supervisord ended with exit code {code}; {len(left)} processes that it left behind were ended; "
                f"{last_lines(places.log_of('supervisord'))}"
            )
        echo("stopped")


def down(options: StackOptions, *, echo: Echo) -> bool:
    """
    Stop workers, then engines, then supervisord, and what outlived an earlier one. Harmless when nothing runs.

    Returns:
        Whether anything ran.

    Raises:
        StackBusy: another ``wbd up`` or ``wbd down`` is at work.
    """
    places = StateDir.at(options.state_dir)
    if not places.run.is_dir():
        return False
    with exclusive(places, wait_s=10.0):
        return _stop(places, echo)


def status(options: StackOptions) -> list[ProcessRow]:
    """
    Return a row for each program of the running stack.

    Raises:
        GroupNotRunning: no supervisord answers.
    """
    return Supervisor(StateDir.at(options.state_dir)).processes()


def choose_engines(options: StackOptions, echo: Echo) -> list[Engine]:
    """
    Return the engines that no setting points elsewhere for.

    A setting that repeats what an earlier ``wbd up`` wrote to stack.json counts as not given.
    """
    places = StateDir.at(options.state_dir)
    own = read_json_object(places.stack_json)

    def given(name: str) -> bool:
        value = getattr(options, name)
        return bool(value) and value != own.get(name)

    engines: list[Engine] = []
    if not any(given(name) for name in ("vitess_host", "vitess_unix_socket", "database_url")):
        engines.append(MariaDB(options.state_dir))
    if not given("kafka_brokers"):
        engines.append(_kafka(options, echo))
    return engines


def _kafka(options: StackOptions, echo: Echo) -> Engine:
    """Return Apache Kafka where it can run, the mock cluster elsewhere."""
    broker = KafkaBroker(options.state_dir, options.cache_dir)
    reason = KafkaBroker.why_missing(options.cache_dir)
    if reason is None:
        try:
            if not broker.has_libraries:
                echo(f"kafka: fetching its Maven artifacts into {broker.libraries}")
                fetch_libraries(options.cache_dir)
            return broker
        except BrokerUnavailable as error:
            reason = str(error)
    if broker.has_data:
        raise ConfigError(
            f"embedded Kafka: {broker.places.kafka} holds messages that only Apache Kafka can serve, but: {reason}"
        )
    echo(f"kafka: {reason}")
    echo(f"kafka: {LIMITS}")
    return MockKafka(options.state_dir, options.topics)


def _start(
    places: StateDir,
    options: StackOptions,
    programs: Sequence[Program],
    prepare: Callable[[], None],
    ready: Callable[[str], bool],
    echo: Echo,
    ready_s: float,
) -> subprocess.Popen[bytes]:
    begun_mono_s = time.monotonic()
    engines = choose_engines(options, echo)
    objects_url = _prepare_objects(places, options.objects_url)
    places.stack_json.unlink(missing_ok=True)
    for engine in engines:
        echo(f"{engine.name}: preparing")
        engine.prepare()
    write_private(places.supervisor_conf, render(places, programs, [engine_program(engine) for engine in engines]))
    supervisord = _spawn(places)
    supervisor = Supervisor(places)
    own: dict[str, str] = {}
    for engine in engines:
        answer = _wait_for_engine(supervisor, engine)
        own |= engine.settings()
        echo(f"{engine.name}: {answer} answers ({', '.join(engine.settings().values())})")
    if objects_url is not None:
        own["objects_url"] = objects_url
    write_private(places.stack_json, json.dumps(own, indent=2) + "\n")
    prepare()
    if programs:
        supervisor.start_group(WORKER_GROUP)
        _wait_for_workers(supervisor, places, programs, ready, echo, ready_s)
    # An engine that answers before its startsecs are over still counts as starting.
    supervisor.wait_for(
        lambda: all(row.state == State.RUNNING for row in supervisor.processes()),
        _SUPERVISORD_START_S,
        "every program to be RUNNING",
    )
    echo(f"all ready after {time.monotonic() - begun_mono_s:.1f} s")
    return supervisord


def _prepare_objects(places: StateDir, objects_url: str | None) -> str | None:
    """Create the folder of a file:// address; return the address when it is the stack's own."""
    own = f"file://{places.objects}"
    if objects_url and objects_url != own:
        if objects_url.startswith("file:///"):
            Path(objects_url.removeprefix("file://")).mkdir(mode=0o700, parents=True, exist_ok=True)
        return None
    places.objects.mkdir(mode=0o700, exist_ok=True)
    return own


def _spawn(places: StateDir) -> subprocess.Popen[bytes]:
    """Start supervisord and wait until it answers."""
    messages = places.log_of("supervisord-start")
    with messages.open("wb") as output:
        # A session of its own: Ctrl-C in a terminal reaches `wbd up` alone, which then stops things in order.
        process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(places.supervisor_conf)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    supervisor = Supervisor(places)
    deadline_mono_s = time.monotonic() + _SUPERVISORD_START_S
    while True:
        with contextlib.suppress(GroupNotRunning):
            if supervisor.pid() == process.pid:
                return process
        if process.poll() is not None or time.monotonic() >= deadline_mono_s:
            raise DependencyUnavailable(
                f"supervisord: exit code {process.poll()}, no answer on {places.supervisor_socket}; "
                f"{last_lines(messages)}"
            )
        time.sleep(_POLL_S)


def _wait_for_engine(supervisor: Supervisor, engine: Engine) -> str:
    deadline_mono_s = time.monotonic() + engine.start_s
    while True:
        try:
            return engine.ping(timeout_s=1.0)
        except DependencyUnavailable as error:
            row = supervisor.process(engine.name)
            if _does_not_live(row):
                reason = f"does not stay up ({row.state}, {row.message})"
            elif time.monotonic() >= deadline_mono_s:
                reason = f"no answer after {engine.start_s:.0f} s ({error})"
            else:
                time.sleep(_POLL_S)
                continue
            raise engine.unavailable(f"embedded {engine.name}: {reason}; {last_lines(engine.log_path)}") from error


def _wait_for_workers(
    supervisor: Supervisor,
    places: StateDir,
    programs: Sequence[Program],
    ready: Callable[[str], bool],
    echo: Echo,
    ready_s: float,
) -> None:
    deadline_mono_s = time.monotonic() + ready_s
    waiting = [program.name for program in programs]
    while waiting:
        for row in supervisor.processes():
            if row.name not in waiting:
                continue
            if row.state == State.RUNNING and ready(row.name):
                waiting.remove(row.name)
                echo(f"{row.name}: ready, pid {row.pid}")
            elif _does_not_live(row):
                raise DependencyUnavailable(
                    f"worker {row.name}: does not stay up ({row.state}, {row.message}); {last_lines(row.log_path)}"
                )
        if waiting and time.monotonic() >= deadline_mono_s:
            raise DependencyUnavailable(
                f"worker {', '.join(waiting)}: not ready after {ready_s:.0f} s; {last_lines(places.log_of(waiting[0]))}"
            )
        if waiting:
            time.sleep(_POLL_S)


def _does_not_live(row: ProcessRow) -> bool:
    """Tell whether a program keeps ending; supervisord itself goes on for a minute before it says so."""
    gave_up = row.state in (State.FATAL, State.EXITED)
    return gave_up or (row.state == State.BACKOFF and (row.restarts or 0) >= _FAILED_STARTS)


def _clear_the_way(places: StateDir, echo: Echo) -> None:
    """Refuse while a stack runs; end what is left of one that was killed."""
    if Supervisor(places).is_running():
        if not _starting(places).exists():
            raise StackBusy(f"already running in {places.root}; look with: wbd status, stop it with: wbd down")
        echo("an earlier `wbd up` ended half way; stopping what it left")
        _stop(places, echo)
    elif ended := _end_orphans(places):
        echo(f"ended {len(ended)} processes that had outlived their supervisord")
    places.stack_json.unlink(missing_ok=True)


def _stop(places: StateDir, echo: Echo) -> bool:
    """Stop everything in order, by force where the order fails; return whether anything ran."""
    with uninterrupted():
        ran = False
        try:
            supervisor = Supervisor(places)
            pid = supervisor.pid()
            ran = True
            waits_s = stop_waits_s(places) or {program.name: program.stop_wait_s for program in worker_programs()}
            for group in (WORKER_GROUP, ENGINE_GROUP):
                if members := [row.name for row in supervisor.processes() if row.group == group]:
                    echo(f"stopping {', '.join(members)}")
                    _stop_group(supervisor, group, group_stop_s(waits_s.get(name, 0) for name in members))
            supervisor.shutdown()
            wait_for_exit(pid, _SUPERVISORD_STOP_S)
        except GroupNotRunning:
            pass  # nothing to ask, or it died meanwhile: /proc tells what is left
        except DependencyUnavailable as error:
            echo(f"{error}; ending by signal")
        ran = bool(_end_orphans(places)) or ran
        places.stack_json.unlink(missing_ok=True)
        _starting(places).unlink(missing_ok=True)
        if ran:
            echo("stopped")
        return ran


def _stop_group(supervisor: Supervisor, group: str, timeout_s: float) -> None:
    def all_down() -> bool:
        return all(row.state.is_down for row in supervisor.processes() if row.group == group)

    supervisor.stop_group(group)
    supervisor.wait_for(all_down, timeout_s, f"group {group} to stop")


def _down_s(places: StateDir) -> float:
    """How long a ``wbd down`` that is under way may take."""
    return 2 * group_stop_s(stop_waits_s(places).values()) + _SUPERVISORD_STOP_S


def _end_orphans(places: StateDir) -> list[int]:
    """End supervisord, then its children, then engines started without it; return their pids."""
    url = f"unix://{places.supervisor_socket}"
    engines: list[Engine] = [MariaDB(places.root), KafkaBroker(places.root), MockKafka(places.root)]

    def is_supervisord(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
        return list(arguments[-2:]) == ["-c", str(places.supervisor_conf)]

    def is_engine(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
        return any(engine.is_mine(arguments, environment) for engine in engines)

    def is_worker(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
        # supervisord tells each of its children where it listens.
        return environment.get("SUPERVISOR_SERVER_URL") == url and not is_engine(arguments, environment)

    waits_s = stop_waits_s(places)
    # One that still answers has been asked in order before; its children are ended here, so it need not wait for them.
    ended = end_processes(is_supervisord, 1.0)
    ended += end_processes(is_worker, max(waits_s.values(), default=0))
    ended += end_processes(is_engine, max(engine.stop_s for engine in engines))
    return ended


def _starting(places: StateDir) -> Path:
    """The mark of an ``up`` under way; left behind only when it was killed."""
    return places.run / "starting"
