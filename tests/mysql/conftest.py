"""A fresh database for each test."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.build.tables import make_tables
from tests.mysql.ids_host import Host
from wbd.engines.mysql import Database
from wbd.settings.kinds import DatabaseAddress
from wbd.stack.mariadb import MariaDB

Connect = Callable[[], Database]


@pytest.fixture
def address(mariadb: MariaDB) -> Iterator[DatabaseAddress]:
    """The address of an empty database of this test's own."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    server = DatabaseAddress(database=mariadb.database, user=mariadb.user, unix_socket=mariadb.unix_socket)
    admin = Database(server, max_connections=1)
    admin.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    yield replace(server, database=name)
    admin.execute(f"DROP DATABASE {name}")
    admin.close()


@pytest.fixture
def connect(address: DatabaseAddress) -> Iterator[Connect]:
    """Opens pools on the test's database and closes them after it."""
    opened: list[Database] = []

    def open_one() -> Database:
        opened.append(Database(address, max_connections=8))
        return opened[-1]

    yield open_one
    for db in opened:
        db.close()


@pytest.fixture
def db(connect: Connect) -> Database:
    """A pool on a database with every table of this release."""
    made = connect()
    make_tables(made)
    return made


@pytest.fixture
def host(tmp_path: Path, address: DatabaseAddress, db: Database) -> Iterator[Host]:
    """A host without a worker yet."""
    made = Host(tmp_path, address)
    made.run_dir.mkdir(mode=0o700)
    yield made
    made.close()
