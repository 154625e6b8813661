"""The database adapter on a real MariaDB: transactions, retries, lost connections."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from wbd.engines.mysql import DUPLICATE_KEY, Database, Transaction, client_library
from wbd.errors import DatabaseError, DatabaseUnavailable
from wbd.settings.kinds import DatabaseAddress
from wbd.stack.mariadb import MariaDB


@pytest.fixture
def table(connect) -> Database:  # type: ignore[no-untyped-def]
    db: Database = connect()
    db.execute("CREATE TABLE t (id INT PRIMARY KEY, n INT NOT NULL)")
    db.transaction(lambda tx: tx.insert("t (id, n)", [(1, 0), (2, 0)]))
    return db


def test_the_pinned_client_uses_its_c_extension() -> None:
    assert client_library() == "C extension"


def test_an_error_in_a_transaction_leaves_nothing_behind(table: Database) -> None:
    def half(tx: Transaction) -> None:
        tx.execute("UPDATE t SET n = 7 WHERE id = 1")
        raise ValueError("stop here")

    with pytest.raises(ValueError, match="stop here"):
        table.transaction(half)
    assert table.query("SELECT n FROM t WHERE id = 1") == [(0,)]


def test_a_deadlock_is_run_again_counted_and_both_transactions_take_effect(table: Database) -> None:
    barrier = threading.Barrier(2, timeout=10)
    first_time = {1: True, 2: True}

    def cross(mine: int, other: int) -> None:
        def work(tx: Transaction) -> None:
            tx.execute("UPDATE t SET n = n + 1 WHERE id = %s", (mine,))
            if first_time[mine]:
                first_time[mine] = False
                barrier.wait()
            tx.execute("UPDATE t SET n = n + 1 WHERE id = %s", (other,))

        table.transaction(work)

    threads = [threading.Thread(target=cross, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert table.query("SELECT n FROM t ORDER BY id") == [(2,), (2,)]
    assert table.stats.deadlocks == 1


def test_a_refused_statement_carries_its_number_and_is_not_retried(table: Database) -> None:
    with pytest.raises(DatabaseError) as refused:
        table.transaction(lambda tx: tx.insert("t (id, n)", [(1, 5)]))
    assert refused.value.errno == DUPLICATE_KEY


def test_a_missing_table_says_how_to_create_it(table: Database) -> None:
    with pytest.raises(DatabaseUnavailable, match="table missing; run: wbd dev create_tables"):
        table.query("SELECT 1 FROM not_there")


def test_insert_spreads_rows_over_statements_and_updates_duplicates(table: Database) -> None:
    table.transaction(lambda tx: tx.insert("t (id, n)", [(i, i) for i in range(1, 1202)], on_duplicate="n = VALUES(n)"))
    assert table.query("SELECT COUNT(*), SUM(n) FROM t") == [(1201, sum(range(1, 1202)))]


def test_values_that_look_like_sql_are_stored_as_they_are(table: Database) -> None:
    table.execute("CREATE TABLE s (v VARCHAR(100) CHARACTER SET utf8mb4)")
    nasty = "'; DROP TABLE t; -- %s \\ 😀"
    table.execute("INSERT INTO s VALUES (%s)", (nasty,))
    assert table.query("SELECT v FROM s") == [(nasty,)]


def test_a_pool_outlives_a_restart_of_the_server(table: Database, mariadb: MariaDB) -> None:
    assert table.query("SELECT COUNT(*) FROM t") == [(2,)]
    mariadb.kill()
    with pytest.raises(DatabaseUnavailable, match="not reachable"):
        table.query("SELECT 1")
    mariadb.start()
    assert table.query("SELECT COUNT(*) FROM t") == [(2,)]


def test_a_connection_that_died_while_idle_is_replaced_without_an_error(table: Database, mariadb: MariaDB) -> None:
    table.query("SELECT 1")
    mariadb.restart()
    assert table.query("SELECT COUNT(*) FROM t") == [(2,)]
    assert table.stats.lost_connections == 1


def test_a_server_that_is_not_there_is_named_in_the_error(address: DatabaseAddress) -> None:
    nowhere = Database(replace(address, unix_socket="/nonexistent/mysql.sock", password="hunter2"), max_connections=1)
    with pytest.raises(DatabaseUnavailable, match=r"/nonexistent/mysql\.sock") as refused:
        nowhere.ping()
    assert "hunter2" not in str(refused.value)


def test_a_full_pool_is_an_error_within_a_deadline(address: DatabaseAddress) -> None:
    db = Database(address, max_connections=1, pool_wait_s=0.1)

    def nested(tx: Transaction) -> None:
        tx.query("SELECT 1")
        db.query("SELECT 1")

    with pytest.raises(DatabaseUnavailable, match="no free connection within"):
        db.transaction(nested)
    assert db.query("SELECT 1") == [(1,)], "the connection came back to the pool"
    db.close()


def test_a_user_with_too_many_connections_is_a_server_to_try_again_later(
    table: Database, address: DatabaseAddress
) -> None:
    """A refusal for good would make an import reject entities that are well."""
    table.execute(f"CREATE USER '{address.database}'@'localhost' IDENTIFIED BY 'pw' WITH MAX_USER_CONNECTIONS 1")
    table.execute(f"GRANT ALL ON {address.database}.* TO '{address.database}'@'localhost'")
    limited = replace(address, user=address.database, password="pw")
    first, second = Database(limited, max_connections=1), Database(limited, max_connections=1)
    first.query("SELECT 1")
    with pytest.raises(DatabaseUnavailable, match="1226"):
        second.query("SELECT 1")
    first.close()
    table.execute(f"DROP USER '{address.database}'@'localhost'")
