"""The process around a worker: retries, recovery, drain, exit codes, health."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.build.clock import SetClock
from wbd.errors import ConfigError, DatabaseError, DatabaseUnavailable, LeaseLost, PermanentError
from wbd.runtime import logs
from wbd.runtime.process import EXIT_BUG, EXIT_DRAIN, EXIT_OK, DisabledWorker, WorkerProcess
from wbd.runtime.report import Report, Status
from wbd.runtime.retry import Backoff
from wbd.runtime.table import WorkerSpec
from wbd.runtime.worker import Run
from wbd.settings.settings import Settings

# structlog's own default renders exceptions with every local, which takes seconds each.
logs.configure("INFO", "structured")
SPEC = WorkerSpec("entity_diff", "", drain_s=5, rss_limit_mb=100)


class Scripted:
    """A worker whose steps are the given calls, one after the other; it asks to stop after the last."""

    def __init__(self, *steps: Callable[[Run], float], start: Callable[[Run], None] | None = None) -> None:
        self.steps = list(steps)
        self.start_call = start
        self.starts = 0
        self.stopped = False

    def start(self, run: Run) -> None:
        self.starts += 1
        if self.start_call:
            self.start_call(run)
        run.ready()

    def step(self, run: Run) -> float:
        wait_s = self.steps.pop(0)(run)
        if not self.steps:
            run.ask_to_stop()
        return wait_s

    def stop(self) -> None:
        self.stopped = True

    def health(self) -> dict[str, Any]:
        return {"own": 1}


def process(worker: Any) -> tuple[WorkerProcess, Run, SetClock]:
    clock = SetClock()
    run = Run("entity_diff", "w1", logs.get_log("test"), clock)
    return WorkerProcess(SPEC, worker, run), run, clock


def fail(error: Exception) -> Callable[[Run], float]:
    def step(_run: Run) -> float:
        raise error

    return step


def test_steps_run_until_the_worker_is_asked_to_stop_and_stop_is_called() -> None:
    worker = Scripted(lambda _: 0.0, lambda _: 5.0, lambda _: 0.0)
    main, _, clock = process(worker)
    assert main.main() == EXIT_OK
    assert worker.stopped
    assert clock.elapsed_s == pytest.approx(5.0), "a step's answer is how long to wait for the next"


def test_a_server_that_is_away_is_retried_with_backoff_shown_in_health_and_forgotten_on_recovery() -> None:
    seen: list[Report] = []

    def examine(_run: Run) -> float:
        seen.append(main.report())
        return 0.0

    worker = Scripted(
        *[fail(DatabaseUnavailable("database u@h/d: not reachable"))] * 4,
        examine,
        examine,
    )
    main, _, clock = process(worker)
    assert main.main() == EXIT_OK
    during, after = seen
    assert during.status == Status.DEGRADED
    assert during.trouble is not None
    assert (during.trouble.dependency, during.trouble.failures) == ("database", 4)
    assert "not reachable" in during.trouble.message
    assert (after.status, after.trouble) == (Status.RUNNING, None)
    assert 0.1 + 0.2 + 0.4 + 0.8 <= clock.elapsed_s <= 0.2 + 0.4 + 0.8 + 1.6


def test_a_start_that_fails_is_tried_again_until_it_succeeds() -> None:
    attempts = iter([DatabaseUnavailable("away"), DatabaseUnavailable("away"), None])

    def start(_run: Run) -> None:
        error = next(attempts)
        if error:
            raise error

    worker = Scripted(lambda _: 0.0, start=start)
    main, _, _ = process(worker)
    assert main.main() == EXIT_OK
    assert worker.starts == 3


def test_a_step_that_fails_for_good_does_not_end_the_process() -> None:
    worker = Scripted(fail(PermanentError("poison")), lambda _: 0.0)
    main, _, _ = process(worker)
    assert main.main() == EXIT_OK
    assert worker.steps == []


def test_ten_unexpected_errors_in_a_row_end_the_process_as_a_bug_and_nine_do_not() -> None:
    worker = Scripted(*[fail(ZeroDivisionError("bug"))] * 20)
    main, _, _ = process(worker)
    assert main.main() == EXIT_BUG
    assert len(worker.steps) == 10
    assert worker.stopped
    recovering = Scripted(*[*[fail(ZeroDivisionError("bug"))] * 9, lambda _: 0.0] * 3)
    main, _, _ = process(recovering)
    assert main.main() == EXIT_OK


def test_a_start_that_fails_as_a_bug_ten_times_ends_the_process_as_one() -> None:
    def start(_run: Run) -> None:
        raise ZeroDivisionError("bug")

    worker = Scripted(lambda _: 0.0, start=start)
    main, _, _ = process(worker)
    assert main.main() == EXIT_BUG
    assert worker.stopped


def test_a_wrong_setting_found_late_ends_the_process_after_stop() -> None:
    worker = Scripted(fail(ConfigError("no")))
    main, _, _ = process(worker)
    with pytest.raises(ConfigError):
        main.main()
    assert worker.stopped


@pytest.mark.parametrize("error", [DatabaseUnavailable("away"), DatabaseError("refused"), LeaseLost("lost")])
def test_a_stop_that_cannot_give_back_what_it_holds_still_ends_well(error: Exception) -> None:
    class Stubborn(Scripted):
        def stop(self) -> None:
            raise error

    main, _, _ = process(Stubborn(lambda _: 0.0))
    assert main.main() == EXIT_OK
    assert main.report().status == Status.STOPPED


def test_two_processes_of_one_worker_id_own_leases_apart() -> None:
    first, second = (Run("entity_diff", "w1", logs.get_log("test")) for _ in range(2))
    assert first.lease_owner != second.lease_owner


def test_a_report_has_the_documented_fields_and_the_workers_own() -> None:
    worker = Scripted(lambda _: 0.0)
    main, run, _ = process(worker)
    main.main()
    own_report = main.report().to_json()
    assert {"status", "last_heartbeat", "uptime_seconds", "ready", "worker_id", "last_step", "own"} <= set(own_report)
    assert own_report["last_heartbeat"].startswith("2026-01-01T00:00:0")
    assert b"worker_steps_total 2.0" in run.metrics.text(), "the start and the step"
    assert b"worker_job" not in run.metrics.text(), "the requirement documents give these names to real jobs"


def test_a_worker_beats_while_it_waits() -> None:
    beats: list[float] = []
    worker = Scripted(lambda _: 7.0, lambda _: 0.0)
    main, run, clock = process(worker)
    before = run.beat
    run.beat = lambda: (beats.append(clock.elapsed_s), before())[1]  # type: ignore[method-assign,func-returns-value]
    main.main()
    assert [b for b in beats if 0 < b < 7] == [2.0, 4.0, 6.0]


def test_wake_runs_the_next_step_at_once() -> None:
    def wake(run: Run) -> float:
        run.wake()
        return 3600.0

    main, _, clock = process(Scripted(wake, lambda _: 0.0))
    main.main()
    assert clock.elapsed_s == 0.0


def test_a_disabled_worker_is_ready_and_says_what_disabled_it() -> None:
    run = Run("entity_diff", "w1", logs.get_log("test"), SetClock())
    worker = DisabledWorker("entity_diff_enabled")
    worker.start(run)
    assert run.is_ready
    main = WorkerProcess(SPEC, worker, run, disabled_by="entity_diff_enabled")
    assert main.report().to_json()["disabled_by"] == "entity_diff_enabled"


def test_the_setting_of_a_worker_disables_it_when_it_is_off() -> None:
    spec = WorkerSpec("entity_diff", "", drain_s=5, rss_limit_mb=100, enabled_setting="entity_diff_enabled")
    assert spec.disabled_by(Settings.model_validate({"entity_diff_enabled": False})) == "entity_diff_enabled"
    assert spec.disabled_by(Settings.model_validate({})) is None
    assert SPEC.disabled_by(Settings.model_validate({"entity_diff_enabled": False})) is None


def test_a_drain_over_its_time_ends_the_process_at_once() -> None:
    ended: queue.SimpleQueue[int] = queue.SimpleQueue()
    done = threading.Event()

    def hang(_run: Run) -> float:
        main.ask_to_stop()
        assert ended.get(timeout=10) == EXIT_DRAIN
        done.set()
        return 0.0

    clock = SetClock()
    run = Run("entity_diff", "w1", logs.get_log("test"), clock)
    main = WorkerProcess(SPEC, Scripted(hang), run, end_at_once=ended.put)
    main.main()
    assert done.is_set()
    assert clock.elapsed_s == SPEC.drain_s


def test_a_drain_within_its_time_ends_as_asked() -> None:
    """The clock's wait for the end of the drain is a real one here, and the end comes first."""
    waited: queue.SimpleQueue[tuple[float, bool]] = queue.SimpleQueue()

    class PatientClock(SetClock):
        def wait(self, event: threading.Event, timeout_s: float) -> bool:
            if threading.current_thread().name == "drain":
                waited.put((timeout_s, event.wait(10)))
                return True
            return super().wait(event, timeout_s)

    def ask_to_stop(_run: Run) -> float:
        main.ask_to_stop()
        return 0.0

    ended: list[int] = []
    run = Run("entity_diff", "w1", logs.get_log("test"), PatientClock())
    main = WorkerProcess(SPEC, Scripted(ask_to_stop, lambda _: 0.0), run, end_at_once=ended.append)
    assert main.main() == EXIT_OK
    assert waited.get(timeout=10) == (SPEC.drain_s, True)
    assert ended == []


def test_backoff_doubles_up_to_its_bound_and_never_exceeds_it() -> None:
    backoff = Backoff(first_s=1.0, max_s=10.0)
    for failures, bound in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 10.0), (500, 10.0)):
        for _ in range(50):
            assert bound / 2 <= backoff.delay_s(failures) <= bound
