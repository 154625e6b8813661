"""An import into S3 over HTTP: the same rows as into a folder, and a server that dies is waited for."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.build.tables import make_tables
from tests.mysql.import_cases import check_laws, dump, generated, write_lines
from wbd.engines.mysql import Database
from wbd.engines.objects import Buckets, ObjectStore, open_store
from wbd.entity.check import check_entity
from wbd.errors import ObjectStoreUnavailable
from wbd.importing.importer import ImportProgress, import_files
from wbd.revisions.store import RevisionStore
from wbd.settings.kinds import DatabaseAddress, ObjectsAddress
from wbd.stack.mariadb import MariaDB


@pytest.fixture
def db(mariadb: MariaDB) -> Iterator[Database]:
    name = f"t_{uuid.uuid4().hex[:12]}"
    admin = Database(
        DatabaseAddress(database=mariadb.database, user=mariadb.user, unix_socket=mariadb.unix_socket),
        max_connections=1,
    )
    admin.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    database = Database(DatabaseAddress(database=name, user=mariadb.user, unix_socket=mariadb.unix_socket))
    make_tables(database)
    yield database
    database.close()
    admin.execute(f"DROP DATABASE {name}")
    admin.close()


@pytest.fixture
def bucket(s3: Any) -> Iterator[ObjectStore]:
    address = ObjectsAddress("s3://", s3.endpoint, s3.access_key, s3.secret_key)
    name = f"b-{uuid.uuid4().hex[:12]}"
    Buckets(address).create(name)
    store = open_store(address, name)
    yield store


def test_an_import_into_s3_keeps_every_law(db: Database, bucket: ObjectStore, tmp_path: Path) -> None:
    history = generated(150, 150)
    path = write_lines(tmp_path / "history.jsonl", history)
    report = import_files([path], RevisionStore(db, bucket))
    assert report.trouble == ()
    assert report.created == check_laws(db, bucket) == len({revision["id"] for revision in history})
    before = dump(db)
    assert import_files([path], RevisionStore(db, bucket)).unchanged == len(history)
    assert dump(db) == before


def test_an_object_store_that_dies_in_the_middle_is_waited_for_and_nothing_is_lost(
    db: Database, bucket: ObjectStore, s3: Any, tmp_path: Path
) -> None:
    history = generated(300, 100)
    path = write_lines(tmp_path / "history.jsonl", history)
    died, waited = threading.Event(), threading.Event()

    def watch(now: ImportProgress) -> None:
        if now.done and not died.is_set():
            s3.kill()
            died.set()
        elif now.waiting and not waited.is_set():
            assert "object b-" in now.waiting and "retry in" in now.waiting
            waited.set()
            s3.start()

    report = import_files([path], RevisionStore(db, bucket), on_progress=watch)
    assert waited.is_set()
    assert (report.trouble, report.rejected, report.read) == ((), 0, len(history))
    check_laws(db, bucket)


def test_no_row_speaks_of_an_object_that_was_not_stored(db: Database, bucket: ObjectStore, s3: Any) -> None:
    store = RevisionStore(db, bucket)
    s3.kill()
    try:
        with pytest.raises(ObjectStoreUnavailable):
            store.write_many([check_entity(entity) for entity in generated(20, 0)])
    finally:
        s3.start()
    assert all(not rows for rows in dump(db).values())
