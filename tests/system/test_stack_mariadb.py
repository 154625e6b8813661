"""The embedded MariaDB, as a real server."""

from __future__ import annotations

import socket
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import mysql.connector
import pytest

from wbd.errors import ConfigError, DatabaseUnavailable
from wbd.stack.mariadb import MariaDB


def connect(engine: MariaDB, user: str | None = None) -> Any:
    return mysql.connector.connect(
        unix_socket=engine.unix_socket,
        user=user or engine.user,
        database=engine.database,
        collation="utf8mb4_general_ci",
        autocommit=False,
    )


def query(engine: MariaDB, sql: str) -> list[Any]:
    with closing(connect(engine)) as connection, closing(connection.cursor()) as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


@pytest.fixture
def own_mariadb(mariadb: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> MariaDB:
    """An engine of its own that is not started; skipped where there is no MariaDB."""
    return MariaDB(tmp_path_factory.mktemp("m"))


def test_a_committed_row_survives_kill_9(mariadb: MariaDB) -> None:
    with closing(connect(mariadb)) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("CREATE TABLE survivors (id INT PRIMARY KEY) ENGINE=InnoDB")
        cursor.execute("INSERT INTO survivors VALUES (1)")
        connection.commit()
        cursor.execute("INSERT INTO survivors VALUES (2)")
        mariadb.kill()
    with pytest.raises(DatabaseUnavailable):
        mariadb.ping(timeout_s=1.0)
    mariadb.start()
    assert query(mariadb, "SELECT id FROM survivors") == [(1,)]
    query(mariadb, "SELECT 1")
    with closing(connect(mariadb)) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("DROP TABLE survivors")


def test_a_restart_keeps_address_user_and_database(mariadb: MariaDB) -> None:
    before = mariadb.settings()
    assert mariadb.restart() == before
    assert query(mariadb, "SELECT DATABASE()") == [(mariadb.database,)]


def test_commits_are_on_disk_and_text_is_utf8mb4(mariadb: MariaDB) -> None:
    values = query(
        mariadb,
        "SELECT @@innodb_flush_log_at_trx_commit, @@character_set_database, @@skip_networking, @@port",
    )
    assert values == [(1, "utf8mb4", 1, 0)]


def test_no_other_user_name_gets_in(mariadb: MariaDB) -> None:
    for user in ("", "mysql", "nobody", "wikibase"):
        with pytest.raises(mysql.connector.Error, match=r"Access denied|ERROR 1698|1045"):
            connect(mariadb, user=user or "anonymous").close()


def test_data_and_sockets_are_closed_to_other_users(mariadb: MariaDB) -> None:
    for folder in (mariadb.places.mysql, mariadb.places.run, mariadb.places.log):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_an_interrupted_installation_is_done_again(own_mariadb: MariaDB) -> None:
    """A crash leaves mysql.new-*, never a half-filled mysql; the next start removes it and begins afresh."""
    own_mariadb.places.create()
    half = own_mariadb.places.root / "mysql.new-half"
    (half / "mysql").mkdir(parents=True)
    (half / "ibdata1").write_bytes(b"\0" * 100)
    own_mariadb.prepare()
    assert not half.exists()
    assert (own_mariadb.places.mysql / own_mariadb.database).is_dir()


def test_a_failed_installation_leaves_no_data_directory(
    own_mariadb: MariaDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "mariadb-install-db"
    broken.write_text("#!/bin/sh\necho planted fault\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    own_mariadb.places.create()
    with pytest.raises(DatabaseUnavailable, match=r"exit code 3:\n    planted fault"):
        own_mariadb.prepare()
    assert [path.name for path in own_mariadb.places.root.iterdir() if "mysql" in path.name] == []


def test_a_foreign_data_directory_is_refused_and_untouched(own_mariadb: MariaDB) -> None:
    own_mariadb.places.create()
    own_mariadb.places.mysql.mkdir()
    letter = own_mariadb.places.mysql / "letter.txt"
    letter.write_text("not yours")
    with pytest.raises(ConfigError, match="is not empty and holds no database"):
        own_mariadb.prepare()
    assert letter.read_text() == "not yours"


def test_missing_programs_are_named_with_their_packages(
    own_mariadb: MariaDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        ConfigError, match=r"mariadb-install-db, my_print_defaults not found.*apt-get install mariadb-server-core"
    ):
        own_mariadb.prepare()


def test_an_engine_that_ends_at_once_is_reported_with_its_log(own_mariadb: MariaDB) -> None:
    own_mariadb.places.create()
    own_mariadb.prepare()
    (own_mariadb.places.mysql / "ibdata1").write_bytes(b"planted fault")
    with pytest.raises(DatabaseUnavailable, match=r"ended with exit code 1.*last lines of(.|\n)*ibdata1"):
        own_mariadb.start()
    assert own_mariadb.pid is None


def test_a_server_that_outlived_its_parent_is_ended_before_a_new_one_starts(own_mariadb: MariaDB) -> None:
    own_mariadb.start()
    orphan = own_mariadb.pid
    try:
        second = MariaDB(own_mariadb.places.root)
        second.start()
        assert second.pid != orphan
        assert own_mariadb._process is not None
        assert own_mariadb._process.wait(timeout=10) == 0
        assert query(second, "SELECT 1") == [(1,)]
        second.stop()
    finally:
        own_mariadb.kill()


def test_a_socket_that_does_not_speak_is_not_a_database(own_mariadb: MariaDB) -> None:
    own_mariadb.places.create()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(own_mariadb.unix_socket)
        server.listen()
        with pytest.raises(DatabaseUnavailable, match="timed out"):
            own_mariadb.ping(timeout_s=0.1)
