"""The release before works on the tables before, while and after the steps of this release are applied.

The folder previous_release holds its tables and its writes, frozen; make test-upgrade runs that release itself.
"""

from __future__ import annotations

import itertools
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from wbd.engines.mysql import Database
from wbd.errors import WbdError
from wbd.provision import migrations
from wbd.provision.migrations import Step, missing, read_version
from wbd.provision.steps import STEPS, require_schema
from wbd.settings.kinds import DatabaseAddress

Connect = Callable[[], Database]
Contents = dict[str, list[tuple[object, ...]]]

FOLDER = Path(__file__).parent / "previous_release"
# Any time will do; a fixed one makes the defaults of two databases equal.
NOW = 1_767_322_800


def statements(name: str) -> list[str]:
    bare = re.sub(r"^--.*$", "", (FOLDER / name).read_text(), flags=re.MULTILINE)
    return [part.strip() for part in bare.split(";\n") if part.strip()]


OLD_TABLES = statements("tables.sql")
OLD_WRITES = statements("statements.sql")


@contextmanager
def old_release(address: DatabaseAddress) -> Iterator[Database]:
    """A connection of the release before, on which time stands still."""
    with closing(Database(address, max_connections=1)) as db:
        db.execute(f"SET SESSION timestamp = {NOW}")
        yield db


def write(db: Database, entity_id: str, some: slice = slice(None)) -> None:
    for statement in OLD_WRITES[some]:
        db.execute(statement.replace("Q1", entity_id))


@pytest.fixture
def other_address(address: DatabaseAddress, connect: Connect) -> Iterator[DatabaseAddress]:
    """A second database, on which nothing is migrated."""
    db, name = connect(), f"o_{uuid.uuid4().hex[:12]}"
    db.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    yield replace(address, database=name)
    db.execute(f"DROP DATABASE {name}")


@pytest.fixture
def both(address: DatabaseAddress, other_address: DatabaseAddress) -> tuple[DatabaseAddress, DatabaseAddress]:
    """Two databases with the tables of the release before: one to migrate, one to compare with."""
    for each in (address, other_address):
        with old_release(each) as db:
            for statement in OLD_TABLES:
                db.execute(statement)
    return address, other_address


def old_columns(address: DatabaseAddress) -> dict[str, list[str]]:
    """The tables of the release before and their columns; metadata says that the schema moved on."""
    with old_release(address) as db:
        return {table: sorted(columns) for table, columns in migrations.read_catalog(db).items() if table != "metadata"}


def contents(address: DatabaseAddress, columns: dict[str, list[str]]) -> Contents:
    with old_release(address) as db:
        return {
            table: sorted(db.query(f"SELECT {', '.join(names)} FROM `{table}`"), key=repr)
            for table, names in columns.items()
        }


def migrate(address: DatabaseAddress, steps: tuple[Step, ...] = STEPS) -> None:
    with closing(Database(address, max_connections=1)) as db:
        for step in steps:
            migrations.apply(db, step)


def test_the_first_step_is_frozen() -> None:
    """Tables made by an earlier release do not change with an edit of schema.sql; a new step changes them."""
    assert [change.statement for change in STEPS[0].changes] == OLD_TABLES


def test_each_write_of_the_release_before_changes_a_row(both: tuple[DatabaseAddress, DatabaseAddress]) -> None:
    """Or the comparisons below would compare writes that do nothing."""
    with old_release(both[0]) as db:
        assert [statement for statement in OLD_WRITES if db.execute(statement) == 0] == []


@pytest.mark.parametrize("at", [0, 9, 20, 30, len(OLD_WRITES)])
def test_nothing_is_lost_whenever_the_steps_come_between_the_writes_of_the_release_before(
    both: tuple[DatabaseAddress, DatabaseAddress], at: int
) -> None:
    migrated, untouched = both
    columns = old_columns(untouched)
    with old_release(untouched) as db:
        write(db, "Q1")
    with old_release(migrated) as db:
        write(db, "Q1", slice(0, at))
        migrate(migrated)
        write(db, "Q1", slice(at, None))
    assert contents(migrated, columns) == contents(untouched, columns)
    with closing(Database(migrated, max_connections=1, admit=require_schema)) as new:
        assert missing(new, STEPS) == []


def test_nothing_is_lost_while_two_hosts_migrate_and_a_worker_of_the_release_before_writes(
    both: tuple[DatabaseAddress, DatabaseAddress],
) -> None:
    migrated, untouched = both
    columns = old_columns(untouched)
    stop, writing = threading.Event(), threading.Event()
    failures: list[WbdError] = []
    rounds: list[str] = []

    def worker() -> None:
        try:
            with old_release(migrated) as db:
                for number in itertools.count(1):
                    write(db, f"Q{number}")
                    rounds.append(f"Q{number}")
                    writing.set()
                    if stop.is_set():
                        return
        except WbdError as error:
            failures.append(error)
            writing.set()

    threads = [threading.Thread(target=worker)]
    threads[0].start()
    assert writing.wait(60)
    hosts = [threading.Thread(target=migrate, args=(migrated,)) for _ in range(2)]
    for host in hosts:
        host.start()
    for host in hosts:
        host.join(60)
    stop.set()
    threads[0].join(60)
    assert failures == []
    with old_release(untouched) as db:
        for entity_id in rounds:
            write(db, entity_id)
    assert contents(migrated, columns) == contents(untouched, columns)
    with old_release(migrated) as db:
        assert missing(db, STEPS) == []
        assert db.transaction(read_version) == len(STEPS)


def test_a_step_that_loses_a_column_of_the_release_before_is_noticed(
    both: tuple[DatabaseAddress, DatabaseAddress],
) -> None:
    """The planted fault: what the tests above compare does tell a lossy step from a harmless one."""
    migrated, untouched = both
    columns = old_columns(untouched)
    for each in both:
        with old_release(each) as db:
            write(db, "Q1")
    with old_release(migrated) as db:
        db.execute("UPDATE entity_revisions SET edit_summary = ''")
    assert contents(migrated, columns) != contents(untouched, columns)
