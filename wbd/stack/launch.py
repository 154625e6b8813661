"""Start and stop a whole stack: embedded engines, then workers, under one supervisord.

    wbd up:    lock -> engines prepared -> supervisord -> engines answer -> stack.json -> caller's prepare()
               -> workers started -> each ready -> unlock; in the foreground stays until a signal, then goes down
    wbd down:  lock -> workers stopped -> engines stopped -> supervisord ended -> stack.json removed

Any process may be killed at any time: the next ``up`` finds the processes that are left through /proc, ends them and
starts anew. Data directories are complete or absent at any time.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

from wbd.errors import BrokerUnavailable, ConfigError, DependencyUnavailable
from wbd.group.control import GroupNotRunning, ProcessRow, State, Supervisor
from wbd.group.logs import last_lines, log_sizes
from wbd.group.supervisord import WORKER_GROUP, render
from wbd.runtime.clock import Clock, SystemClock
from wbd.settings.state_dir import StateDir
from wbd.stack.engine import Engine, engine_program
from wbd.stack.exclusive import exclusive, interruptible
from wbd.stack.files import read_json_object, write_private
from wbd.stack.kafka import KafkaBroker, fetch_libraries
from wbd.stack.mariadb import MariaDB
from wbd.stack.mock_kafka import LIMITS, MockKafka
from wbd.stack.options import Caller, Echo, StackOptions
from wbd.stack.orphans import end_orphans
from wbd.stack.stop import clear_the_way, down_s, starting_mark, stop_stack

_SUPERVISORD_START_S = 20.0
_WORKERS_READY_S = 60.0
_POLL_S = 0.05
# Failed restarts of one program after which `up` gives up.
_FAILED_RESTARTS = 2


def up(options: StackOptions, caller: Caller, *, detach: bool, clock: Clock | None = None) -> None:
    """
    Start the stack; return once all of it is ready (detached), or once it has ended (in the foreground).

    Raises:
        ConfigError: the state folder or a needed program cannot be used.
        StackBusy: another ``wbd up`` or ``wbd down`` is at work, or the group runs already.
        DependencyUnavailable: a program did not come up, or supervisord died; everything that had started is stopped.
    """
    places, echo = StateDir.at(options.state_dir), caller.echo
    places.create()
    with interruptible():
        with exclusive(places, wait_s=0.0):
            clear_the_way(places, echo)
            starting_mark(places).touch(mode=0o600)
            start = _Start(places, options, caller, clock or SystemClock())
            try:
                supervisord = start.run()
            except BaseException as error:
                if not isinstance(error, KeyboardInterrupt):
                    echo("did not come up; stopping what has started")
                stop_stack(places, echo)
                raise
            starting_mark(places).unlink(missing_ok=True)
        try:
            caller.on_ready()
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


class _Start:
    """One start under way."""

    def __init__(self, places: StateDir, options: StackOptions, caller: Caller, clock: Clock) -> None:
        self._places = places
        self._options = options
        self._caller = caller
        self._clock = clock
        self._supervisor = Supervisor(places, clock)
        # Where each log ended before this start: an error shows no line of an earlier run.
        self._log_bytes = log_sizes(places)
        self._told: set[str] = set()

    def run(self) -> subprocess.Popen[bytes]:
        """Start engines, prepare, start workers; return supervisord once all of them are ready."""
        begun_mono_s = self._clock.mono_s()
        places, caller = self._places, self._caller
        engines = choose_engines(self._options, caller.echo)
        objects_url = _prepare_objects(places, self._options.objects_url)
        places.stack_json.unlink(missing_ok=True)
        for engine in engines:
            caller.echo(f"{engine.name}: preparing")
            engine.prepare()
        programs = [engine_program(engine) for engine in engines]
        write_private(places.supervisor_conf, render(places, caller.programs, programs))
        supervisord = self._spawn()
        own = {"objects_url": objects_url} if objects_url is not None else {}
        for engine in engines:
            answer = self._wait_for_engine(engine)
            own |= engine.settings()
            caller.echo(f"{engine.name}: {answer} answers ({', '.join(engine.settings().values())})")
        write_private(places.stack_json, json.dumps(own, indent=2) + "\n")
        caller.prepare()
        if caller.programs:
            self._supervisor.start_group(WORKER_GROUP)
            self._wait_for_workers()
        # An engine that answers before its startsecs are over still counts as starting.
        self._supervisor.wait_for(
            lambda: all(row.state == State.RUNNING for row in self._supervisor.processes()),
            _SUPERVISORD_START_S,
            "every program to be RUNNING",
        )
        caller.echo(f"all ready after {self._clock.mono_s() - begun_mono_s:.1f} s")
        return supervisord

    def last_lines(self, path: Path, count: int = 15) -> str:
        """Return the last lines that this start wrote to a log."""
        return last_lines(path, self._log_bytes.get(path, 0), count)

    def _tell_once(self, trouble: str, more: str = "") -> None:
        """Show a trouble that may pass, the first time it is seen."""
        if trouble not in self._told:
            self._told.add(trouble)
            self._caller.echo(f"{trouble}{more}")

    def _tell_of_restart(self, row: ProcessRow) -> None:
        if row.state == State.BACKOFF:
            self._tell_once(f"{row.name}: ended at once and is started again", f"; {self.last_lines(row.log_path, 5)}")

    def _spawn(self) -> subprocess.Popen[bytes]:
        """Start supervisord and wait until it answers."""
        places = self._places
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
        deadline_mono_s = self._clock.mono_s() + _SUPERVISORD_START_S
        while True:
            with contextlib.suppress(GroupNotRunning):
                if self._supervisor.pid() == process.pid:
                    return process
            if process.poll() is not None or self._clock.mono_s() >= deadline_mono_s:
                raise DependencyUnavailable(
                    f"supervisord: exit code {process.poll()}, no answer on {places.supervisor_socket}; "
                    f"{last_lines(messages)}"
                )
            self._clock.sleep(_POLL_S)

    def _wait_for_engine(self, engine: Engine) -> str:
        def why_ended() -> str | None:
            row = self._supervisor.process(engine.name)
            if _keeps_ending(row):
                return f"does not stay up ({row.state}, {row.message})"
            self._tell_of_restart(row)
            return None

        return engine.wait_ready(why_ended, log_bytes=self._log_bytes.get(engine.log_path, 0), clock=self._clock)

    def _wait_for_workers(self) -> None:
        deadline_mono_s = self._clock.mono_s() + _WORKERS_READY_S
        waiting = [program.name for program in self._caller.programs]
        while True:
            for row in self._supervisor.processes():
                if row.name in waiting and self._is_ready(row):
                    waiting.remove(row.name)
                    self._caller.echo(f"{row.name}: ready, pid {row.pid}")
            if not waiting:
                return
            if self._clock.mono_s() >= deadline_mono_s:
                raise DependencyUnavailable(
                    f"worker {', '.join(waiting)}: not ready after {_WORKERS_READY_S:.0f} s; "
                    f"{self.last_lines(self._places.log_of(waiting[0]))}"
                )
            self._clock.sleep(_POLL_S)

    def _is_ready(self, row: ProcessRow) -> bool:
        """Return whether a worker is ready. Raises DependencyUnavailable when it keeps ending."""
        if _keeps_ending(row):
            raise DependencyUnavailable(
                f"worker {row.name}: does not stay up ({row.state}, {row.message}); {self.last_lines(row.log_path)}"
            )
        self._tell_of_restart(row)
        report = self._caller.report(row.name)
        if not report.ready and report.trouble:
            self._tell_once(f"{row.name}: not ready yet: {report.trouble.message}")
        return report.ready and row.state == State.RUNNING


def _prepare_objects(places: StateDir, objects_url: str | None) -> str | None:
    """Create the folder of a file:// address; return the address when it is the stack's own."""
    own = f"file://{places.objects}"
    if objects_url and objects_url != own:
        if objects_url.startswith("file:///"):
            Path(objects_url.removeprefix("file://")).mkdir(mode=0o700, parents=True, exist_ok=True)
        return None
    places.objects.mkdir(mode=0o700, exist_ok=True)
    return own


def _keeps_ending(row: ProcessRow) -> bool:
    """Return whether a program ends again and again; supervisord itself gives up only after a minute."""
    gave_up = row.state in (State.FATAL, State.EXITED)
    return gave_up or (row.state == State.BACKOFF and (row.restarts or 0) >= _FAILED_RESTARTS)
