"""The server that answers for a worker's health and metrics on a Unix socket."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wbd.runtime import health

Start = Callable[..., Path]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a server with answers by name; stopped at the end."""
    servers: list[health.HealthServer] = []

    def start_one(timeout_s: float = health.TIMEOUT_S, **answers: health.Answer) -> Path:
        path = health.socket_path(tmp_path, "api", os.getpid())
        servers.append(health.HealthServer(path, answers, timeout_s))
        servers[-1].start()
        return path

    yield start_one
    for server in servers:
        server.stop()


def ask(path: Path, question: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(question.encode() + b"\n")
        return b"".join(iter(lambda: client.recv(65536), b""))


def test_a_worker_answers_on_a_socket_that_only_its_owner_may_open(start: Start) -> None:
    path = start(health=lambda: b"{}", metrics=lambda: b"up 1")
    assert path.stat().st_mode & 0o777 == 0o600
    assert ask(path, "health") == b"{}"
    assert ask(path, "metrics") == b"up 1"
    assert b"unknown question; there are: health, metrics" in ask(path, "nonsense")


def test_a_mistake_in_one_answer_is_an_answer_and_the_next_question_is_served(start: Start) -> None:
    path = start(health=lambda: b"%d" % (1 // 0), metrics=lambda: b"up 1")
    assert b"division" in ask(path, "health")
    assert ask(path, "metrics") == b"up 1"


def test_clients_that_say_nothing_are_let_go_and_others_are_served(start: Start) -> None:
    path = start(timeout_s=0.2, health=lambda: b"{}")
    silent = [socket.socket(socket.AF_UNIX) for _ in range(12)]
    for client in silent:
        client.connect(str(path))
    assert ask(path, "health") == b"{}"
    for client in silent:
        client.close()


def test_a_worker_that_had_no_file_left_to_open_answers_again_once_it_has(start: Start) -> None:
    path = start(health=lambda: b"{}")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket(socket.AF_UNIX) as client:
        resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno(), limits[1]))
        try:
            client.connect(str(path))
            client.settimeout(0.3)
            with pytest.raises(TimeoutError):
                client.recv(1)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        client.settimeout(5.0)
        client.sendall(b"health\n")
        assert client.recv(65536) == b"{}"
    assert ask(path, "health") == b"{}"
