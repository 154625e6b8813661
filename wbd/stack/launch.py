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
from dataclasses import dataclass, field
from pathlib import Path

from wbd.errors import BrokerUnavailable, ConfigError, DependencyUnavailable
from wbd.group.control import GroupNotRunning, ProcessRow, State, Supervisor
from wbd.group.logs import last_lines, log_sizes
from wbd.group.supervisord import (
    WORKER_GROUP,
    Program,
    render,
    worker_programs,
)
from wbd.settings.state_dir import StateDir
from wbd.stack.engine import Engine, engine_program
from wbd.stack.exclusive import exclusive, interruptible
from wbd.stack.files import read_json_object, write_private
from wbd.stack.kafka import KafkaBroker, fetch_libraries
from wbd.stack.mariadb import MariaDB
from wbd.stack.mock_kafka import LIMITS, MockKafka
from wbd.stack.options import Echo, StackOptions
from wbd.stack.orphans import end_orphans
from wbd.stack.stop import clear_the_way, down_s, starting_mark, stop_stack

_SUPERVISORD_START_S = 20.0
_POLL_S = 0.05
# Starts after the first that `up` sees fail before it gives up.
_FAILED_STARTS = 2


@dataclass(frozen=True, slots=True)
class _Start:
    """
    One start under way.

    log_bytes: where each log ended before it.
    told: troubles that have been reported.
    """

    places: StateDir
    options: StackOptions
    programs: Sequence[Program]
    prepare: Callable[[], None]
    ready: Callable[[str], bool]
    trouble: Callable[[str], str | None]
    echo: Echo
    ready_s: float
    log_bytes: Mapping[Path, int]
    told: set[str] = field(default_factory=set)

    def last_lines(self, path: Path, count: int = 15) -> str:
        """Return the end of what this start wrote to a log."""
        return last_lines(path, self.log_bytes.get(path, 0), count)

    def tell_once(self, trouble: str, more: str = "") -> None:
        """Report a trouble that may pass, at once and not again."""
        if trouble not in self.told:
            self.told.add(trouble)
            self.echo(f"{trouble}{more}")


def up(
    options: StackOptions,
    *,
    detach: bool,
    prepare: Callable[[], None],
    ready: Callable[[str], bool],
    echo: Echo,
    on_ready: Callable[[], None] | None = None,
    trouble: Callable[[str], str | None] = lambda name: None,
    workers: Sequence[Program] | None = None,
    ready_s: float = 60.0,
) -> None:
    """
    Start the stack; return once all of it is ready (detached), or once it has ended (in the foreground).

    Args:
        prepare: creates tables, buckets and topics; called when the engines answer and stack.json is written.
        ready: tells whether one worker, by name, is ready.
        on_ready: called once when everything is ready.
        trouble: tells what stands in the way of a worker that is not ready, None if nothing is known.
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
            clear_the_way(places, echo)
            starting_mark(places).touch(mode=0o600)
            start = _Start(places, options, programs, prepare, ready, trouble, echo, ready_s, log_sizes(places))
            try:
                supervisord = _start(start)
            except BaseException as error:
                if not isinstance(error, KeyboardInterrupt):
                    echo("did not come up; stopping what has started")
                stop_stack(places, echo)
                raise
            starting_mark(places).unlink(missing_ok=True)
        try:
            if on_ready is not None:
                on_ready()
            if detach:
                return
            code = supervisord.wait()
        except KeyboardInterrupt:
            with exclusive(places, wait_s=down_s(places)):
                stop_stack(places, echo)
            supervisord.wait()
            return
        with exclusive(places, wait_s=down_s(places)):
            left = end_orphans(places)
            places.stack_json.unlink(missing_ok=True)
        if code != 0 or left:
            raise DependencyUnavailable(
                f"supervisord ended with exit code {code}; {len(left)} processes that it left behind were ended; "
                f"{start.last_lines(places.log_of('supervisord'))}"
            )
        echo("stopped")


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


def _start(start: _Start) -> subprocess.Popen[bytes]:
    begun_mono_s = time.monotonic()
    places, programs, echo = start.places, start.programs, start.echo
    engines = choose_engines(start.options, echo)
    objects_url = _prepare_objects(places, start.options.objects_url)
    places.stack_json.unlink(missing_ok=True)
    for engine in engines:
        echo(f"{engine.name}: preparing")
        engine.prepare()
    write_private(places.supervisor_conf, render(places, programs, [engine_program(engine) for engine in engines]))
    supervisord = _spawn(places)
    supervisor = Supervisor(places)
    own: dict[str, str] = {}
    for engine in engines:
        answer = _wait_for_engine(supervisor, engine, start)
        own |= engine.settings()
        echo(f"{engine.name}: {answer} answers ({', '.join(engine.settings().values())})")
    if objects_url is not None:
        own["objects_url"] = objects_url
    write_private(places.stack_json, json.dumps(own, indent=2) + "\n")
    start.prepare()
    if programs:
        supervisor.start_group(WORKER_GROUP)
        _wait_for_workers(supervisor, start)
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
    messages.touch(mode=0o600)
    with messages.open("wb") as output:
        # A session of its own: Ctrl-C in a terminal reaches `wbd up` alone, which then stops things in order.
        process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(places.supervisor_conf)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # supervisord applies the umask of its configuration only where it turns itself into a daemon.
            umask=0o077,
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


def _wait_for_engine(supervisor: Supervisor, engine: Engine, start: _Start) -> str:
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
                if row.state == State.BACKOFF:
                    trouble = f"{engine.name}: ended at once and is started again"
                    start.tell_once(trouble, f"; {start.last_lines(engine.log_path, 5)}")
                time.sleep(_POLL_S)
                continue
            raise engine.unavailable(
                f"embedded {engine.name}: {reason}; {start.last_lines(engine.log_path)}"
            ) from error


def _wait_for_workers(supervisor: Supervisor, start: _Start) -> None:
    deadline_mono_s = time.monotonic() + start.ready_s
    waiting = [program.name for program in start.programs]
    while waiting:
        for row in supervisor.processes():
            if row.name not in waiting:
                continue
            if row.state == State.RUNNING and start.ready(row.name):
                waiting.remove(row.name)
                start.echo(f"{row.name}: ready, pid {row.pid}")
            elif _does_not_live(row):
                raise DependencyUnavailable(
                    f"worker {row.name}: does not stay up ({row.state}, {row.message}); "
                    f"{start.last_lines(row.log_path)}"
                )
            elif row.state == State.BACKOFF:
                trouble = f"{row.name}: ended at once and is started again"
                start.tell_once(trouble, f"; {start.last_lines(row.log_path, 5)}")
            elif trouble_now := start.trouble(row.name):
                start.tell_once(f"{row.name}: not ready yet: {trouble_now}")
        if waiting and time.monotonic() >= deadline_mono_s:
            raise DependencyUnavailable(
                f"worker {', '.join(waiting)}: not ready after {start.ready_s:.0f} s; "
                f"{start.last_lines(start.places.log_of(waiting[0]))}"
            )
        if waiting:
            time.sleep(_POLL_S)


def _does_not_live(row: ProcessRow) -> bool:
    """Tell whether a program keeps ending; supervisord itself goes on for a minute before it says so."""
    gave_up = row.state in (State.FATAL, State.EXITED)
    return gave_up or (row.state == State.BACKOFF and (row.restarts or 0) >= _FAILED_STARTS)
