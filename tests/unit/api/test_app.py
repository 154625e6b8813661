"""The HTTP API over reports of workers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.build.clock import SetClock
from tests.build.health import HealthServers
from tests.build.reports import report
from wbd.api.app import create_app
from wbd.runtime.metrics import Metrics
from wbd.runtime.report import Trouble
from wbd.runtime.table import WORKERS


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[HealthServers]:
    made = HealthServers(tmp_path)
    yield made
    made.close()


def test_every_worker_of_the_table_has_its_health_and_another_name_is_404(
    tmp_path: Path, servers: HealthServers
) -> None:
    servers.serve("entity_diff", report("entity_diff", own={"diffs_computed": 3}))
    client = TestClient(create_app(tmp_path))
    health = client.get("/workers/entity_diff/health").json()
    assert (health["status"], health["diffs_computed"]) == ("running", 3)
    for worker in WORKERS:
        answer = client.get(f"/workers/{worker.name}/health")
        assert {"status", "last_heartbeat", "uptime_seconds"} <= set(answer.json())
        assert answer.status_code == (200 if worker.name == "entity_diff" else 503)
    unknown = client.get("/workers/nonsense/health")
    assert unknown.status_code == 404
    assert "entity_diff" in unknown.json()["error"]
    assert [worker["name"] for worker in client.get("/workers").json()] == [worker.name for worker in WORKERS]


def test_a_worker_that_does_not_answer_is_503_and_told_apart_from_one_that_does_not_run(tmp_path: Path) -> None:
    client = TestClient(create_app(tmp_path))
    stopped = client.get("/workers/entity_diff/health")
    assert (stopped.status_code, stopped.json()["status"], stopped.json()["pid"]) == (503, "stopped", None)
    (tmp_path / "health").mkdir()
    (tmp_path / "health" / f"entity_diff-{os.getpid()}.sock").touch()
    silent = client.get("/workers/entity_diff/health")
    assert (silent.status_code, silent.json()["status"], silent.json()["pid"]) == (503, "unresponsive", os.getpid())
    message = client.get("/health").json()["checks"]["entity_diff"]["message"]
    assert message == f"process {os.getpid()} lives and does not answer"


def test_the_root_names_every_path_and_each_of_them_answers(tmp_path: Path) -> None:
    client = TestClient(create_app(tmp_path))
    answer = client.get("/")
    assert answer.status_code == 200
    paths = answer.json()["paths"]
    assert set(paths) == {"/health", "/workers", "/workers/{name}/health", "/metrics"}
    assert all(paths.values())
    for path in paths:
        assert client.get(path.format(name="api")).status_code in (200, 503)
    nonsense = client.get("/nonsense")
    assert (nonsense.status_code, nonsense.json()) == (404, {"error": "Not Found"})


def test_the_group_has_the_documented_fields_and_is_503_only_when_unhealthy(
    tmp_path: Path, servers: HealthServers
) -> None:
    clock = SetClock()
    client = TestClient(create_app(tmp_path, "api-1", clock))
    assert client.get("/health").status_code == 503
    for worker in WORKERS:
        servers.serve(worker.name, report(worker.name))
    servers.serve("entity_diff", report("entity_diff", trouble=Trouble("kafka away")))
    clock.advance(90.5)
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "degraded",
        "timestamp": "2026-01-01T00:01:30.500Z",
        "uptime_seconds": 90.5,
        "worker_name": "api-1",
        "checks": {
            worker.name: {"status": "degraded", "message": "kafka away"}
            if worker.name == "entity_diff"
            else {"status": "healthy", "message": "working"}
            for worker in WORKERS
        },
    }


def test_metrics_are_in_the_prometheus_text_format(tmp_path: Path, servers: HealthServers) -> None:
    metrics = Metrics()
    metrics.gauge("worker_up", "Up.").set(1)
    servers.serve("entity_diff", report("entity_diff"), metrics.text())
    answer = TestClient(create_app(tmp_path)).get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert f'worker_up{{pid="{os.getpid()}",worker="entity_diff"}} 1.0' in answer.text
