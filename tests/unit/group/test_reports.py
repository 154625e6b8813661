"""Reports and metrics of all worker processes of a host, asked for over their sockets and joined."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.build.health import HealthServers
from tests.build.reports import report
from wbd.group import reports
from wbd.runtime.metrics import Metrics
from wbd.runtime.report import Report, Status, Trouble
from wbd.runtime.table import WORKERS


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[HealthServers]:
    made = HealthServers(tmp_path)
    yield made
    made.close()


def test_a_report_arrives_over_the_socket_as_the_worker_gave_it(tmp_path: Path, servers: HealthServers) -> None:
    sent = report("entity_diff", own={"diffs_computed": 3}, trouble=Trouble("kafka away", "kafka"))
    servers.serve("entity_diff", sent)
    (process,) = reports.processes(tmp_path)
    assert process.report() == sent
    assert reports.worker_report(tmp_path, "entity_diff") == sent


def test_a_worker_without_a_process_is_stopped(tmp_path: Path) -> None:
    assert reports.worker_report(tmp_path, "entity_diff") == Report("entity_diff", Status.STOPPED)


def test_a_process_that_lives_and_does_not_answer_is_unresponsive(tmp_path: Path) -> None:
    (tmp_path / "health").mkdir()
    (tmp_path / "health" / f"entity_diff-{os.getpid()}.sock").touch()
    received = reports.worker_report(tmp_path, "entity_diff")
    assert received == Report("entity_diff", Status.UNRESPONSIVE, pid=os.getpid())


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b'{"error": "division by zero"}', '(worker: missing): {"error": "division by zero"}'),
        (b'{"worker": "api", "status": run', "(line 1, column 29: not JSON"),
        (b'{"worker": "api", "status": "running", "pid": "x"}', "(pid: 'x' is not int)"),
    ],
)
def test_a_malformed_report_is_shown_with_the_place_of_the_mistake(
    tmp_path: Path, servers: HealthServers, answer: bytes, reason: str
) -> None:
    servers.serve("api", answer)
    received = reports.worker_report(tmp_path, "api")
    assert received.status == Status.UNRESPONSIVE
    assert received.check().message.startswith(f"process {os.getpid()} gives a malformed report ")
    assert reason in received.check().message


def test_sockets_of_dead_processes_are_removed(tmp_path: Path) -> None:
    (tmp_path / "health").mkdir()
    dead = tmp_path / "health" / "api-4194301.sock"
    dead.touch()
    assert reports.processes(tmp_path) == []
    assert not dead.exists()


def test_the_group_is_unhealthy_without_an_essential_worker_and_degraded_without_another(
    tmp_path: Path, servers: HealthServers
) -> None:
    assert reports.group_report(tmp_path).status == "unhealthy"
    for worker in WORKERS:
        servers.serve(worker.name, report(worker.name))
    assert reports.group_report(tmp_path).status == "healthy"
    servers.serve("entity_diff", report("entity_diff", trouble=Trouble("kafka away")))
    group = reports.group_report(tmp_path)
    assert (group.status, group.checks["entity_diff"].message) == ("degraded", "kafka away")
    servers.serve("id_generation", report("id_generation", heartbeat_age_s=61.0))
    assert reports.group_report(tmp_path).status == "unhealthy"


def test_metrics_of_all_processes_are_joined_with_their_worker_and_parse(
    tmp_path: Path, servers: HealthServers
) -> None:
    for name, count in (("entity_diff", 3), ("id_generation", 4)):
        metrics = Metrics()
        metrics.counter("worker_steps_total", "Steps.").inc(count)
        metrics.gauge("worker_up", "Up.").set(1)
        servers.serve(name, report(name), metrics.text())
    text = reports.group_metrics(tmp_path).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    steps = {s.labels["worker"]: s.value for s in families["worker_steps"].samples if s.name == "worker_steps_total"}
    assert steps == {"entity_diff": 3, "id_generation": 4}
    up = {sample.labels["worker"]: sample.value for sample in families["worker_up"].samples}
    assert up == {worker.name: float(worker.name in steps) for worker in WORKERS}


def test_an_answer_that_is_no_metrics_does_not_hide_those_of_the_others(tmp_path: Path, servers: HealthServers) -> None:
    metrics = Metrics()
    metrics.gauge("worker_up", "Up.").set(1)
    servers.serve("entity_diff", report("entity_diff"), metrics.text())
    servers.serve("entity_change", report("entity_change"), b'{"error": "division by zero"}')
    servers.serve("api", report("api"), b'worker_up{a="')
    text = reports.group_metrics(tmp_path).decode()
    (up,) = (family for family in text_string_to_metric_families(text) if family.name == "worker_up")
    assert {sample.labels["worker"]: sample.value for sample in up.samples} == {
        worker.name: float(worker.name == "entity_diff") for worker in WORKERS
    }
