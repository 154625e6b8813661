"""Health and metrics over a worker's socket, and how the API joins them."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from wbd.api.app import create_app
from wbd.group import reports
from wbd.runtime import health
from wbd.runtime.metrics import Metrics
from wbd.runtime.table import WORKERS

GOOD = {"status": "running", "ready": True, "trouble": None, "heartbeat_age_s": 0.1, "last_heartbeat": "x"}


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[object]:
    servers = []

    def start(name: str, answer: dict[str, object], metrics: bytes = b"") -> health.HealthServer:
        server = health.HealthServer(
            health.socket_path(tmp_path, name, os.getpid()),
            {"health": lambda: orjson.dumps(answer), "metrics": lambda: metrics},
        )
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


def test_a_worker_answers_for_its_health_on_a_socket_that_only_its_owner_may_open(tmp_path: Path, serve) -> None:  # type: ignore[no-untyped-def]
    serve("entity_diff", GOOD)
    (process,) = reports.processes(tmp_path)
    assert process.socket_path.stat().st_mode & 0o777 == 0o600
    assert process.health() == GOOD
    assert b"unknown question; there are: health, metrics" in (process.ask("nonsense") or b"")


def test_a_mistake_in_one_answer_is_an_answer_and_the_next_question_is_served(tmp_path: Path) -> None:
    server = health.HealthServer(
        health.socket_path(tmp_path, "api", os.getpid()), {"health": lambda: orjson.dumps(1 // 0), "metrics": bytes}
    )
    server.start()
    (process,) = reports.processes(tmp_path)
    assert b"division" in (process.ask("health") or b"")
    assert process.ask("metrics") == b""
    server.stop()


def test_clients_that_say_nothing_are_let_go_and_others_are_served(tmp_path: Path) -> None:
    path = health.socket_path(tmp_path, "api", os.getpid())
    server = health.HealthServer(path, {"health": lambda: orjson.dumps(GOOD)}, timeout_s=0.2)
    server.start()
    silent = [socket.socket(socket.AF_UNIX) for _ in range(12)]
    for client in silent:
        client.connect(str(path))
    (process,) = reports.processes(tmp_path)
    assert process.health() == GOOD
    for client in silent:
        client.close()
    server.stop()


def test_a_process_that_lives_and_does_not_answer_is_told_apart_from_none(tmp_path: Path) -> None:
    client = TestClient(create_app(tmp_path))
    path = health.socket_path(tmp_path, "entity_diff", os.getpid())
    path.parent.mkdir()
    path.touch()
    answer = client.get("/workers/entity_diff/health")
    assert (answer.status_code, answer.json()["status"], answer.json()["pid"]) == (503, "unresponsive", os.getpid())
    message = client.get("/health").json()["checks"]["entity_diff"]["message"]
    assert message == f"process {os.getpid()} lives and does not answer"


def test_sockets_of_dead_processes_are_removed(tmp_path: Path) -> None:
    (tmp_path / "health").mkdir()
    dead = tmp_path / "health" / "api-4194301.sock"
    dead.touch()
    assert reports.processes(tmp_path) == []
    assert not dead.exists()


def test_the_api_answers_for_every_worker_of_the_table_and_404_for_others(tmp_path: Path, serve) -> None:  # type: ignore[no-untyped-def]
    serve("entity_diff", GOOD)
    client = TestClient(create_app(tmp_path))
    assert client.get("/workers/entity_diff/health").json()["status"] == "running"
    for worker in WORKERS:
        answer = client.get(f"/workers/{worker.name}/health")
        assert {"status", "last_heartbeat", "uptime_seconds"} <= set(answer.json()) | {"uptime_seconds"}
        assert answer.status_code == (200 if worker.name == "entity_diff" else 503)
    unknown = client.get("/workers/nonsense/health")
    assert unknown.status_code == 404
    assert "entity_diff" in unknown.json()["error"]
    assert [worker["name"] for worker in client.get("/workers").json()] == [worker.name for worker in WORKERS]


def test_the_root_of_the_api_names_every_path_and_each_of_them_answers(tmp_path: Path) -> None:
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


def test_group_health_is_unhealthy_without_an_essential_worker_degraded_without_another(tmp_path: Path, serve) -> None:  # type: ignore[no-untyped-def]
    client = TestClient(create_app(tmp_path))
    assert client.get("/health").status_code == 503
    for worker in WORKERS:
        serve(worker.name, GOOD)
    assert client.get("/health").json()["status"] == "healthy"
    serve("entity_diff", {**GOOD, "trouble": {"message": "kafka away"}})
    answer = client.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["checks"]["entity_diff"]["message"] == "kafka away"
    serve("id_generation", {**GOOD, "heartbeat_age_s": 61.0})
    assert client.get("/health").json()["status"] == "unhealthy"


def test_metrics_of_all_processes_are_joined_with_their_worker_and_parse(tmp_path: Path, serve) -> None:  # type: ignore[no-untyped-def]
    for name, count in (("entity_diff", 3), ("id_generation", 4)):
        metrics = Metrics()
        metrics.counter("worker_jobs_total", "Steps.").inc(count)
        metrics.gauge("worker_up", "Up.").set(1)
        serve(name, GOOD, metrics.text())
    text = TestClient(create_app(tmp_path)).get("/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    jobs = {s.labels["worker"]: s.value for s in families["worker_jobs"].samples if s.name == "worker_jobs_total"}
    assert jobs == {"entity_diff": 3, "id_generation": 4}
    up = {sample.labels["worker"]: sample.value for sample in families["worker_up"].samples}
    assert up == {worker.name: float(worker.name in jobs) for worker in WORKERS}


def test_an_answer_that_is_no_metrics_does_not_hide_those_of_the_others(tmp_path: Path, serve) -> None:  # type: ignore[no-untyped-def]
    metrics = Metrics()
    metrics.gauge("worker_up", "Up.").set(1)
    serve("entity_diff", GOOD, metrics.text())
    serve("entity_change", GOOD, b'{"error": "division by zero"}')
    serve("api", GOOD, b'worker_up{a="')
    text = TestClient(create_app(tmp_path)).get("/metrics").text
    (up,) = (family for family in text_string_to_metric_families(text) if family.name == "worker_up")
    assert {sample.labels["worker"]: sample.value for sample in up.samples} == {
        worker.name: float(worker.name == "entity_diff") for worker in WORKERS
    }


def test_a_worker_that_had_no_file_left_to_open_answers_again_once_it_has(tmp_path: Path) -> None:
    server = health.HealthServer(
        health.socket_path(tmp_path, "api", os.getpid()), {"health": lambda: orjson.dumps(GOOD)}
    )
    server.start()
    (process,) = reports.processes(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket(socket.AF_UNIX) as client:
        resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno(), limits[1]))
        try:
            client.connect(str(process.socket_path))
            client.settimeout(0.3)
            with pytest.raises(TimeoutError):
                client.recv(1)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        client.settimeout(5.0)
        client.sendall(b"health\n")
        assert orjson.loads(client.recv(65536)) == GOOD
    assert process.health() == GOOD
    server.stop()
