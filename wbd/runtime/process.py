"""The process around a worker: start, steps, retries, signals, drain, exit code, heartbeat, health.

    starting -> running <-> degraded (a step failed and is retried) -> draining -> stopped

Exit codes: 0 stopped as asked; 70 a bug (too many unexpected errors in a row); 75 the drain took too long; 78 settings.
"""

from __future__ import annotations

import argparse
import os
import queue
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from wbd.errors import ConfigError, DependencyUnavailable, LeaseLost, PermanentError, RetryableError, WbdError
from wbd.runtime import health, logs
from wbd.runtime.report import LastStep, Report, Status, Trouble
from wbd.runtime.retry import Backoff
from wbd.runtime.table import WorkerSpec, worker_spec
from wbd.runtime.worker import Run, Worker
from wbd.settings.load import load
from wbd.settings.settings import Settings

Build = Callable[[Settings], Worker]

EXIT_OK, EXIT_BUG, EXIT_DRAIN, EXIT_CONFIG = 0, 70, 75, ConfigError.exit_code
# Longest time between two heartbeats while the main thread waits.
_BEAT_S = 2.0
# Exit after this many consecutive unexpected errors: supervisord then starts a clean process.
_BUGS_IN_A_ROW = 10


class WorkerProcess:
    """
    One worker, run until it is asked to stop.

    Args:
        disabled_by: the setting that switches the worker off, None while it is on.
        end_at_once: ends the process without clean-up when the drain takes too long.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        worker: Worker,
        run: Run,
        *,
        disabled_by: str | None = None,
        end_at_once: Callable[[int], Any] = os._exit,
    ) -> None:
        self._spec = spec
        self._worker = worker
        self._run = run
        self._clock = run.clock
        self._disabled_by = disabled_by
        self._end_at_once = end_at_once
        self._backoff = Backoff()
        self._status = Status.STARTING
        self._stopped = threading.Event()
        self._trouble: Trouble | None = None
        self._trouble_mono_s = 0.0
        self._bugs = 0
        self._started_at = self._clock.now()
        self._started_mono_s = self._clock.mono_s()
        self._last_step: LastStep | None = None
        self._steps = run.metrics.counter("worker_steps_total", "Steps that succeeded.")
        self._failed = run.metrics.counter("worker_steps_failed_total", "Steps that failed.", ("kind",))
        self._duration = run.metrics.histogram("worker_step_duration_seconds", "Duration of a successful step.")
        self._up = run.metrics.gauge("worker_up", "1 while the worker does its work.")

    def main(self) -> int:
        """Run to the end and return the exit code."""
        code = EXIT_OK
        try:
            if self._until_done(lambda: self._worker.start(self._run)):
                self._status = Status.RUNNING
                self._steps_until_stopped()
            code = EXIT_BUG if self._bugs >= _BUGS_IN_A_ROW else EXIT_OK
        finally:
            self._status = Status.DRAINING
            self._run.log.info("draining", drain_s=self._spec.drain_s)
            try:
                self._worker.stop()
            except WbdError as error:
                # Leases and ranges that could not be given back now expire by themselves.
                self._run.log.warning(str(error), kind=type(error).__name__, during="stop")
            self._status = Status.STOPPED
            self._stopped.set()
            self._run.log.info("stopped", exit_code=code)
        return code

    def ask_to_stop(self) -> None:
        """Let the current step end, then stop; the process ends without clean-up after drain_s."""
        if self._run.stopping:
            return
        self._run.ask_to_stop()
        threading.Thread(target=self._limit_drain, name="drain", daemon=True).start()

    def report(self) -> Report:
        """Return the report that the health socket serves; called from any thread."""
        mono_s = self._clock.mono_s()
        trouble, status = self._trouble, self._status
        if trouble and status in (Status.STARTING, Status.RUNNING):
            status = Status.DEGRADED
        return Report(
            worker=self._spec.name,
            status=status,
            ready=self._run.is_ready,
            pid=os.getpid(),
            worker_id=self._run.worker_id,
            last_heartbeat=self._run.heartbeat_at,
            heartbeat_age_s=round(mono_s - self._run.heartbeat_mono_s, 3),
            started_at=self._started_at,
            uptime_seconds=round(mono_s - self._started_mono_s, 3),
            last_step=self._last_step,
            trouble=trouble,
            disabled_by=self._disabled_by,
            own=self._worker.health(),
        )

    def metrics(self) -> bytes:
        """Return the metrics of this process in the Prometheus text format."""
        self._up.set(1 if self._run.is_ready and self._trouble is None else 0)
        return self._run.metrics.text()

    def _steps_until_stopped(self) -> None:
        while not self._run.stopping:
            wait_s = 0.0

            def step() -> None:
                nonlocal wait_s
                wait_s = self._worker.step(self._run)

            if not self._until_done(step):
                return
            self._wait(wait_s)

    def _until_done(self, call: Callable[[], None]) -> bool:
        """Repeat *call* until it succeeds; return False when the process should end instead."""
        failures = 0
        while not self._run.stopping:
            self._run.beat()
            begun_at, begun_s = self._clock.now(), self._clock.mono_s()
            error = self._attempt(call)
            took_s = self._clock.mono_s() - begun_s
            self._run.beat()
            outcome = "ok" if error is None else type(error).__name__
            self._last_step = LastStep(begun_at, round(took_s, 6), outcome)
            if error is None:
                self._duration.observe(took_s)
                self._steps.inc()
                self._recovered()
                return True
            failures += 1
            self._failed.labels(outcome).inc()
            if self._bugs >= _BUGS_IN_A_ROW:
                return False
            self._wait(self._explain(error, failures))
        return False

    def _attempt(self, call: Callable[[], None]) -> Exception | None:
        """Make one call and return its error; the only place of a worker process that catches everything."""
        try:
            call()
        except (RetryableError, PermanentError, LeaseLost) as error:
            return error
        except ConfigError:
            raise
        except Exception as error:
            self._bugs += 1
            self._run.log.exception("unexpected error", in_a_row=self._bugs, ends_at=_BUGS_IN_A_ROW)
            return error
        self._bugs = 0
        return None

    def _explain(self, error: Exception, failures: int) -> float:
        """Record and log *error*; return the seconds until the next attempt."""
        delay_s = self._backoff.delay_s(failures)
        dependency = error.dependency if isinstance(error, DependencyUnavailable) else "none"
        if self._trouble is None:
            self._trouble_mono_s = self._clock.mono_s()
        since = self._trouble.since if self._trouble else self._clock.now()
        self._trouble = Trouble(str(error), dependency, since, failures, round(delay_s, 1))
        self._run.log.warning(
            str(error),
            kind=type(error).__name__,
            dependency=dependency,
            failures=failures,
            retry_in_s=round(delay_s, 2),
        )
        return delay_s

    def _recovered(self) -> None:
        if self._trouble is not None:
            away_s = self._clock.mono_s() - self._trouble_mono_s
            self._run.log.info("recovered", dependency=self._trouble.dependency, after_s=round(away_s, 1))
            self._trouble = None

    def _wait(self, wait_s: float) -> None:
        """Wait for *wait_s*, with a heartbeat every _BEAT_S; wake() and a request to stop end the wait."""
        end_s = self._clock.mono_s() + wait_s
        while not self._run.stopping:
            self._run.beat()
            left_s = end_s - self._clock.mono_s()
            if left_s <= 0:
                return
            if self._run.pause(min(left_s, _BEAT_S)):
                return

    def _limit_drain(self) -> None:
        if self._clock.wait(self._stopped, self._spec.drain_s):
            return
        self._run.log.error("drain took too long; ending at once", drain_s=self._spec.drain_s)
        sys.stdout.flush()
        # Threads of native libraries may block a normal exit for ever.
        self._end_at_once(EXIT_DRAIN)


class DisabledWorker:
    """Stands in for a worker that a setting switches off: supervisord would take a quick exit for a failed start."""

    def __init__(self, setting: str) -> None:
        self._setting = setting

    def start(self, run: Run) -> None:
        run.log.info("disabled", setting=self._setting)
        run.ready()

    def step(self, run: Run) -> float:
        return 3600.0

    def stop(self) -> None:
        return

    def health(self) -> dict[str, Any]:
        return {}


def run_worker(name: str, build: Build, arguments: Sequence[str] | None = None) -> int:
    """
    Run one worker in this process until SIGTERM or SIGINT; the body of ``python -m wbd.workers.NAME``.

    Args:
        arguments: the command line without the program; None for that of this process. Only --help is allowed.

    Returns:
        The exit code; the module lists them.

    Raises:
        SystemExit: 0 after --help, 2 for any other argument.
    """
    argparse.ArgumentParser(
        prog=f"python -m wbd.workers.{name}",
        description=sys.modules[build.__module__].__doc__,
        epilog="A worker takes no arguments. It is configured by settings: environment variables, or lines of a\n"
        "settings file (all: wbd config). It runs until SIGTERM or Ctrl-C and finishes its current step first.\n\n"
        f"example: LOG_FORMAT=simple python -m wbd.workers.{name}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args(arguments)
    os.umask(0o077)
    try:
        settings = load().settings
        logs.configure(settings.log_level, settings.log_format)
        spec = worker_spec(name)
        disabled_by = spec.disabled_by(settings)
        worker = DisabledWorker(disabled_by) if disabled_by else build(settings)
        worker_id = settings.worker_id or f"{name}-{uuid.uuid4().hex[:12]}"
        log = logs.get_log("wbd", worker=settings.worker_name or name, worker_id=worker_id)
        run = Run(name, worker_id, log)
        process = WorkerProcess(spec, worker, run, disabled_by=disabled_by)
        server = health.HealthServer(
            health.socket_path(settings.run_dir, name, os.getpid()),
            {"health": lambda: process.report().to_bytes(), "metrics": process.metrics},
        )
        server.start()
    except ConfigError as error:
        print(f"wbd: {error}", file=sys.stderr)  # noqa: T201
        return EXIT_CONFIG

    # A signal handler interrupts the main thread, which may hold the lock that an event or a thread's start needs. A
    # SimpleQueue needs no lock, so the handler only puts the signal there and a thread acts on it.
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()

    def wait_for_signal() -> None:
        signals.get()
        process.ask_to_stop()

    def on_signal(number: int, _frame: object) -> None:
        signals.put(number)

    threading.Thread(target=wait_for_signal, name="stop", daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    log.info("starting", pid=os.getpid(), version=settings.worker_version, environment=settings.environment)
    try:
        return process.main()
    except ConfigError as error:
        log.error(str(error), kind="ConfigError")
        return EXIT_CONFIG
    finally:
        server.stop()
