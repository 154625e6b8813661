"""The process around a worker: start, steps, retries, signals, drain, exit code, heartbeat, health.

    starting -> running <-> degraded (a step failed and is tried again) -> draining -> stopped

Exit codes: 0 stopped as asked, 70 a bug (too many unforeseen errors in a row), 75 the drain took too long, 78 settings.
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
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from wbd.errors import ConfigError, DependencyUnavailable, LeaseLost, PermanentError, RetryableError, WbdError
from wbd.runtime import health, logs
from wbd.runtime.clock import Clock, SystemClock, iso
from wbd.runtime.retry import Backoff
from wbd.runtime.table import WorkerSpec, worker_spec
from wbd.runtime.worker import Run, Worker
from wbd.settings.load import load
from wbd.settings.settings import Settings

Build = Callable[[Settings], Worker]

EXIT_OK, EXIT_BUG, EXIT_DRAIN, EXIT_CONFIG = 0, 70, 75, ConfigError.exit_code
# The main thread shows itself alive this often while it waits.
_BEAT_S = 2.0
# A clean process is better than one that has failed this often without a success in between.
_BUGS_IN_A_ROW = 10


@dataclass(frozen=True, slots=True)
class Trouble:
    """What stands in the way of the work right now."""

    dependency: str
    message: str
    since: datetime
    failures: int
    retry_in_s: float


class WorkerProcess:
    """One worker, run until it is asked to stop."""

    def __init__(self, spec: WorkerSpec, worker: Worker, run: Run, clock: Clock | None = None) -> None:
        self._spec = spec
        self._worker = worker
        self._run = run
        self._clock = clock or SystemClock()
        self._backoff = Backoff()
        self._state = "starting"
        self._trouble: Trouble | None = None
        self._bugs = 0
        self._started_at = self._clock.now()
        self._started_mono_s = self._clock.mono_s()
        self._last_step: dict[str, Any] | None = None
        self._steps = run.metrics.counter("worker_jobs_total", "Steps that ended well.")
        self._failed = run.metrics.counter("worker_jobs_failed_total", "Steps that failed.", ("kind",))
        self._duration = run.metrics.histogram("worker_job_duration_seconds", "Duration of a step.")
        self._up = run.metrics.gauge("worker_up", "1 while the worker does its work.")

    def main(self) -> int:
        """Run to the end and return the exit code."""
        code = EXIT_OK
        try:
            if self._until_done(lambda: self._worker.start(self._run)):
                self._state = "running"
                self._steps_until_stopped()
            code = EXIT_BUG if self._bugs >= _BUGS_IN_A_ROW else EXIT_OK
        finally:
            self._state = "draining"
            self._run.log.info("draining", drain_s=self._spec.drain_s)
            try:
                self._worker.stop()
            except WbdError as error:
                # What could not be given back now runs out by itself: leases, ranges.
                self._run.log.warning(str(error), kind=type(error).__name__, during="stop")
            self._state = "stopped"
            self._run.log.info("stopped", exit_code=code)
        return code

    def ask_to_stop(self) -> None:
        """Let the step under way end, then stop; after drain_s the process ends as it is."""
        if self._run.stopping:
            return
        self._run.ask_to_stop()
        watchdog = threading.Timer(self._spec.drain_s, self._drain_expired)
        watchdog.daemon = True
        watchdog.start()

    def health(self) -> dict[str, Any]:
        """Return the health as the API serves it; the worker's own fields beside the runtime's."""
        now = self._clock.mono_s()
        trouble = self._trouble
        state = "degraded" if trouble and self._state in {"starting", "running"} else self._state
        return {
            **self._worker.health(),
            "worker": self._spec.name,
            "worker_id": self._run.worker_id,
            "pid": os.getpid(),
            "status": state,
            "ready": self._run.is_ready,
            "last_heartbeat": iso(self._run.heartbeat_at),
            "heartbeat_age_s": round(now - self._run.heartbeat_mono_s, 3),
            "started_at": iso(self._started_at),
            "uptime_seconds": round(now - self._started_mono_s, 3),
            "last_step": self._last_step,
            "trouble": trouble
            and {
                "dependency": trouble.dependency,
                "message": trouble.message,
                "since": iso(trouble.since),
                "failures": trouble.failures,
                "retry_in_s": round(trouble.retry_in_s, 1),
            },
        }

    def metrics(self) -> bytes:
        """Return this process' metrics in the Prometheus text format."""
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
        """Make one call until it succeeds; False when the process should end instead."""
        failures = 0
        while not self._run.stopping:
            self._run.beat()
            begun_at, begun_s = self._clock.now(), self._clock.mono_s()
            error = self._attempt(call)
            took_s = self._clock.mono_s() - begun_s
            self._run.beat()
            outcome = "ok" if error is None else type(error).__name__
            self._last_step = {"at": iso(begun_at), "duration_s": round(took_s, 6), "outcome": outcome}
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
        """The job boundary: the one place of a worker process that catches everything."""
        try:
            call()
        except (RetryableError, PermanentError, LeaseLost) as error:
            return error
        except ConfigError:
            raise
        except Exception as error:
            self._bugs += 1
            self._run.log.exception("unforeseen error", in_a_row=self._bugs, ends_at=_BUGS_IN_A_ROW)
            return error
        self._bugs = 0
        return None

    def _explain(self, error: Exception, failures: int) -> float:
        delay_s = self._backoff.delay_s(failures)
        dependency = error.dependency if isinstance(error, DependencyUnavailable) else "none"
        since = self._trouble.since if self._trouble else self._clock.now()
        self._trouble = Trouble(dependency, str(error), since, failures, delay_s)
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
            away_s = (self._clock.now() - self._trouble.since).total_seconds()
            self._run.log.info("recovered", dependency=self._trouble.dependency, after_s=round(away_s, 1))
            self._trouble = None

    def _wait(self, wait_s: float) -> None:
        """Wait in slices, beating, until the time is over, wake() or stop."""
        end_s = self._clock.mono_s() + wait_s
        while not self._run.stopping:
            self._run.beat()
            left_s = end_s - self._clock.mono_s()
            if left_s <= 0:
                return
            if self._run.pause(min(left_s, _BEAT_S)):
                return

    def _drain_expired(self) -> None:
        self._run.log.error("drain took too long; ending at once", drain_s=self._spec.drain_s)
        sys.stdout.flush()
        # Threads of native libraries may hold a normal exit up for good.
        os._exit(EXIT_DRAIN)


class DisabledWorker:
    """Stands in for a worker whose enabled flag is off: supervisord would take a quick exit for a failed start."""

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
        return {"disabled_by": self._setting}


def run_worker(name: str, build: Build, arguments: Sequence[str] | None = None) -> int:
    """
    Run one worker in this process until SIGTERM or SIGINT; the body of ``python -m wbd.workers.NAME``.

    Args:
        arguments: of the command line, this process' own if None; a worker takes none but --help.

    Returns:
        The exit code, see the module.

    Raises:
        SystemExit: 0 after --help, 2 for an argument.
    """
    argparse.ArgumentParser(
        prog=f"python -m wbd.workers.{name}",
        description=sys.modules[build.__module__].__doc__,
        epilog="A worker takes no arguments. It is configured by settings: environment variables, or lines of a\n"
        "settings file (all: wbd config). It runs until SIGTERM or Ctrl-C, which let it finish what it is doing.\n\n"
        f"example: LOG_FORMAT=simple python -m wbd.workers.{name}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args(arguments)
    os.umask(0o077)
    try:
        settings = load().settings
        logs.configure(settings.log_level, settings.log_format)
        spec = worker_spec(name)
        off = spec.enabled_setting is not None and not getattr(settings, spec.enabled_setting)
        worker = DisabledWorker(spec.enabled_setting or "") if off else build(settings)
        worker_id = settings.worker_id or f"{name}-{uuid.uuid4().hex[:12]}"
        log = logs.get_log("wbd", worker=settings.worker_name or name, worker_id=worker_id)
        run = Run(name, worker_id, log)
        process = WorkerProcess(spec, worker, run)
        server = health.HealthServer(
            health.socket_path(settings.run_dir, name, os.getpid()),
            {"health": lambda: orjson.dumps(process.health(), default=str), "metrics": process.metrics},
        )
        server.start()
    except ConfigError as error:
        print(f"wbd: {error}", file=sys.stderr)  # noqa: T201
        return EXIT_CONFIG

    # Not in the handler itself: it interrupts the main thread, which may hold the very lock that an event or the start
    # of a thread takes. This queue takes none.
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
