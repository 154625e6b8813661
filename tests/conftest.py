"""Real engines for tests, one of each a session.

A missing engine skips with its reason, and fails where CI=true: there every engine is promised.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from wbd.errors import WbdError
from wbd.stack.engine import Engine
from wbd.stack.kafka import KafkaBroker
from wbd.stack.mariadb import MariaDB


def without(reason: str) -> None:
    """Skip for want of an engine, or fail in CI."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"engine missing in CI: {reason}", pytrace=False)
    pytest.skip(reason)


def wbd_cache_dir() -> Path:
    """Folder of fetched artifacts, as the settings have it by default."""
    base = os.environ.get("WBD_CACHE_DIR")
    return Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wbd"


def running(engine: Engine) -> Iterator[None]:
    """Start *engine*, and stop it when the generator goes on."""
    try:
        engine.start()
    except WbdError as error:
        without(f"{engine.name} does not start: {error}")
    yield
    engine.stop()


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """
    A real MariaDB: .unix_socket, .user, .database (empty at first; tests make their own by CREATE DATABASE).

    .kill() ends it as a crash does, .stop() in order; a test that ends it calls .start() again before it is over.
    """
    if reason := MariaDB.why_missing():
        without(reason)
    engine = MariaDB(tmp_path_factory.mktemp("mariadb"))
    for _ in running(engine):
        yield engine


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """
    A real Apache Kafka: .brokers; topics are not made by themselves.

    .kill() ends it as a crash does, .stop() in order; a test that ends it calls .start() again before it is over.
    """
    if reason := KafkaBroker.why_missing(wbd_cache_dir()):
        without(reason)
    engine = KafkaBroker(tmp_path_factory.mktemp("kafka"), wbd_cache_dir())
    for _ in running(engine):
        yield engine


@dataclass
class S3Server:
    """An S3 server over HTTP on a loopback port, as a process of its own."""

    command: list[str]
    port: int
    log: Path
    access_key: str = "wbd-test"
    secret_key: str = "wbd-test-secret"
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait until it takes connections."""
        with self.log.open("ab") as log:
            keys = {"ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_key}
            self.process = subprocess.Popen(
                self.command, env={**os.environ, **keys}, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
                return
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            assert time.monotonic() < deadline, "the S3 server takes no connections"
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as a crash does; what a file-backed server stored stays."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def free_port() -> int:
    """Return a TCP port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def s3_binary() -> Path | None:
    """Return the production-grade S3 server that scripts/install-s3-server.sh built, None where it could not."""
    programs = sorted(wbd_cache_dir().glob("versitygw-*/versitygw"))
    return programs[-1] if programs else None


def s3_server(folder: Path, binary: Path | None) -> Iterator[S3Server]:
    """Run an S3 server until the generator goes on: *binary* with its objects in files, or moto's."""
    port = free_port()
    (folder / "data").mkdir()
    moto = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    gateway = [str(binary), "--port", f"127.0.0.1:{port}", "--keep-alive", "--quiet", "posix", str(folder / "data")]
    server = S3Server(gateway if binary else moto, port, folder / "log")
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """moto's S3 server, which is always there."""
    yield from s3_server(tmp_path_factory.mktemp("moto"), None)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """The best S3 server there is, for tests of what is stored in it."""
    yield from s3_server(tmp_path_factory.mktemp("s3"), s3_binary())
