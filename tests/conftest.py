"""Real engines for tests, one of each a session.

A missing engine skips with its reason, and fails where CI=true: there every engine is promised.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
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
