"""Clients made for Redis work with the id server unchanged."""

from __future__ import annotations

import shutil
import subprocess

import pytest
import redis

from tests.conftest import without
from tests.unit.id_server.conftest import DEADLINE_S, ITEM, Serve


def test_redis_py_works_as_it_is(serve: Serve) -> None:
    server = serve()
    for protocol in (2, 3):
        path = str(server.address.path)
        with redis.Redis(unix_socket_path=path, protocol=protocol, client_name="test") as client:
            assert client.ping() is True
            first = client.incr("item")
            assert client.execute_command("NEXT", "item", 2) == [f"Q{first + 1}".encode(), f"Q{first + 2}".encode()]
            with client.pipeline(transaction=False) as pipeline:
                for _ in range(5):
                    pipeline.incr("item")
                assert pipeline.execute() == list(range(first + 3, first + 8))
            assert client.info()["item"]["left"] == 1000 - first - 7
            assert client.client_getname() in ("test", b"test") and client.client_id() > 0
            assert client.echo("x") == b"x" and client.config_get("save") in ({"save": ""}, {b"save": b""})
            with pytest.raises(redis.ResponseError, match="unknown entity type"):
                client.incr("thing")


def need(program: str) -> None:
    if shutil.which(program) is None:
        without(f"{program} not found; install it with: apt-get install redis-tools")


def test_redis_cli_works_as_it_is(serve: Serve) -> None:
    need("redis-cli")
    server = serve()

    def cli(*words: str, typed: str | None = None) -> list[str]:
        done = subprocess.run(
            ["redis-cli", "-s", str(server.address.path), *words],
            input=typed,
            stdin=subprocess.DEVNULL if typed is None else None,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
        assert not done.stderr
        return done.stdout.splitlines()

    assert cli("NEXT", "item", "5") == ["Q1", "Q2", "Q3", "Q4", "Q5"]
    assert cli("INCR", "item") == ["6"] and cli("-3", "PING") == ["PONG"]
    assert cli(typed="NEXT lexeme\nRANGE item 3\nNEXT thing\n") == [
        *("L1", "7", "9"),
        "ERR unknown entity type 'thing'; there are: item, property, lexeme, entityschema",
        "",
    ]


def test_redis_benchmark_runs_without_an_error_reply(serve: Serve) -> None:
    need("redis-benchmark")
    server = serve(ids=1_000_000)
    for pipeline in ("1", "32"):
        done = subprocess.run(
            ["redis-benchmark", "-s", str(server.address.path), *f"-n 2000 -c 20 -P {pipeline} -q INCR item".split()],
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.returncode == 0 and not done.stderr and "requests per second" in done.stdout
        assert "rror" not in done.stdout
    # It sends complete pipelines, so it may take a few more than it was told to.
    assert 4000 <= server.pool[ITEM].state().taken < 4000 + 20 * 32
