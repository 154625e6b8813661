"""MySQL, MariaDB or Vitess: pooled connections, and transactions that are retried when the server asks for it.

The only module that opens SQL connections. Every statement stays in the common subset of MySQL 8, Vitess and
MariaDB: no RETURNING, ``VALUES()`` in upserts, and no transaction stays open while its thread waits for something else.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import mysql.connector
from mysql.connector import errorcode

from wbd.errors import DatabaseError, DatabaseUnavailable
from wbd.settings.kinds import DatabaseAddress

T = TypeVar("T")
Row = tuple[Any, ...]
Params = Sequence[Any]

# The server has rolled back the transaction (1213) or the statement (1205) and asks for another attempt.
_RETRY = {errorcode.ER_LOCK_DEADLOCK: "deadlock", errorcode.ER_LOCK_WAIT_TIMEOUT: "lock_wait"}

# The connection is gone, or the server accepts none now. 2xxx are errors of the client library; 1927 is MariaDB's
# "connection was killed"; 1203 and 1226 mean that the user has too many connections; 1290 and 1836, that the server is
# read-only during a failover; 1105 and 1317 come from a Vitess gateway while a tablet changes its role.
_GONE = frozenset(
    {1040, 1041, 1042, 1043, 1053, 1077, 1105, 1129, 1152, 1158, 1159, 1160, 1161, 1184}
    | {1203, 1226, 1290, 1317, 1836, 1927}
    | {2000, 2001, 2002, 2003, 2005, 2006, 2012, 2013, 2026, 2027, 2055, 4031}
)

# Errors that an operator puts right, each with the remedy.
_NOT_SET_UP = {
    1044: "access to the database denied; check vitess_user and its grants",
    1045: "access denied; check vitess_user and vitess_password",
    1049: "database does not exist; create it or check vitess_database",
    1146: "table missing; run: wbd dev create_tables",
    1698: "access denied; check vitess_user and how it authenticates",
}
DUPLICATE_KEY = errorcode.ER_DUP_ENTRY
TABLE_EXISTS = errorcode.ER_TABLE_EXISTS_ERROR
COLUMN_EXISTS = errorcode.ER_DUP_FIELDNAME

# A statement with this many rows stays far below max_allowed_packet (16 MiB) for every table of the schema.
ROWS_A_STATEMENT = 500
_TRANSACTION_ATTEMPTS = 10


@dataclass(slots=True)
class DatabaseStats:
    """Counts since the pool was opened."""

    connects: int = 0
    transactions: int = 0
    deadlocks: int = 0
    lock_waits: int = 0
    lost_connections: int = 0


class Transaction:
    """Statements of one transaction; valid only inside the function that was given it."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def query(self, sql: str, params: Params = ()) -> list[Row]:
        """Run a SELECT and return all its rows."""
        cursor = self._connection.cursor()
        try:
            cursor.execute(sql, tuple(params))
            return list(cursor.fetchall())
        finally:
            _close(cursor)

    def execute(self, sql: str, params: Params = ()) -> int:
        """Run one statement and return the number of rows it changed; rows that were equal already do not count."""
        cursor = self._connection.cursor()
        try:
            cursor.execute(sql, tuple(params))
            return int(cursor.rowcount)
        finally:
            _close(cursor)

    def insert(self, into: str, rows: Iterable[Params], *, on_duplicate: str = "") -> int:
        """
        Insert rows, at most ROWS_A_STATEMENT with one statement.

        Args:
            into: table and columns as SQL, such as ``"queue (id, payload)"``; never data from outside.
            rows: the values of each row, in the order of the columns.
            on_duplicate: assignments for ON DUPLICATE KEY UPDATE; without them a duplicate key is an error.

        Returns:
            Number of rows as the server counts them: an updated row counts 2.
        """
        changed = 0
        for chunk in _chunks(rows, ROWS_A_STATEMENT):
            one = "(" + ",".join(["%s"] * len(chunk[0])) + ")"
            sql = f"INSERT INTO {into} VALUES " + ",".join([one] * len(chunk))
            if on_duplicate:
                sql += " ON DUPLICATE KEY UPDATE " + on_duplicate
            changed += self.execute(sql, [value for row in chunk for value in row])
        return changed


class Database:
    """
    A pool of connections to one database; safe to share between threads.

    Nothing connects before the first use. At most *max_connections* are open; a caller that finds all of them
    in use waits up to *pool_wait_s*. Times of the server are UTC.

    *admit* is called with each new connection before anybody uses it; an error that it raises refuses the connection
    and reaches the caller. It may read, such as to compare the version of the schema.
    """

    def __init__(
        self,
        address: DatabaseAddress,
        *,
        max_connections: int = 4,
        connect_timeout_s: int = 5,
        read_timeout_s: int = 60,
        pool_wait_s: float = 30.0,
        admit: Callable[[Transaction], None] | None = None,
    ) -> None:
        self.address = address
        self.stats = DatabaseStats()
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._pool_wait_s = pool_wait_s
        self._admit = admit
        self._free: queue.LifoQueue[Any] = queue.LifoQueue()
        self._slots = threading.BoundedSemaphore(max_connections)
        self._closed = False

    def transaction(self, work: Callable[[Transaction], T]) -> T:
        """
        Run *work* in one transaction and commit it; a deadlock or lock wait runs it again from the start.

        *work* may run several times, so its only effects are on the database. A connection that proves dead before
        the commit was sent is replaced once.

        Raises:
            DatabaseUnavailable: no connection, ten deadlocks in a row, or the connection broke during the commit, so
                that nobody knows whether it took effect.
            DatabaseError: the server refused a statement; nothing was written.
            Exception: any error of *work*, after a rollback.
        """
        lost_before = False
        attempt = 0
        while True:
            attempt += 1
            connection = self._take()
            committing = False
            try:
                connection.start_transaction()
                result = work(Transaction(connection))
                committing = True
                # As a query, because commit() and rollback() of the C extension raise an error class of their own.
                connection.cmd_query("COMMIT")
            except mysql.connector.Error as error:
                kind = _RETRY.get(error.errno or 0)
                if kind is None and not committing and _is_gone(error) and not lost_before:
                    # The pool notices only on use that the server has closed a connection.
                    lost_before = True
                    self.stats.lost_connections += 1
                    self._drop_all(connection)
                    continue
                if kind is None or attempt >= _TRANSACTION_ATTEMPTS:
                    self._give_back(connection, broken=_is_gone(error))
                    raise self._translate(error, committing=committing) from error
                if kind == "deadlock":
                    self.stats.deadlocks += 1
                else:
                    self.stats.lock_waits += 1
                self._give_back(connection)
                # Without a random delay the same transactions would meet at the same rows again.
                time.sleep(random.uniform(0, 0.005 * 2**attempt))
                continue
            except BaseException:
                self._give_back(connection)
                raise
            self.stats.transactions += 1
            self._give_back(connection)
            return result

    def query(self, sql: str, params: Params = ()) -> list[Row]:
        """Run one SELECT in its own transaction and return all its rows."""
        return self.transaction(lambda tx: tx.query(sql, params))

    def execute(self, sql: str, params: Params = ()) -> int:
        """Run one statement in its own transaction and return the number of rows it changed."""
        return self.transaction(lambda tx: tx.execute(sql, params))

    def ping(self) -> str:
        """Return the server's version. Raises DatabaseUnavailable."""
        return str(self.query("SELECT VERSION()")[0][0])

    def close(self) -> None:
        """Close every idle connection; those in use close when they are given back."""
        self._closed = True
        while True:
            try:
                connection = self._free.get_nowait()
            except queue.Empty:
                return
            with suppress(mysql.connector.Error):
                connection.close()

    def _take(self) -> Any:
        if not self._slots.acquire(timeout=self._pool_wait_s):
            raise DatabaseUnavailable(
                f"database {self.address}: no free connection within {self._pool_wait_s:.0f} s; "
                "raise database_max_connections"
            )
        try:
            with suppress(queue.Empty):
                return self._free.get_nowait()
            return self._connect()
        except BaseException:
            self._slots.release()
            raise

    def _connect(self) -> Any:
        try:
            connection = self._open()
            try:
                if self._admit is not None:
                    self._admit(Transaction(connection))
                    # Ends the transaction that the reads of admit began.
                    connection.cmd_query("ROLLBACK")
            except BaseException:
                _close(connection)
                raise
        except mysql.connector.Error as error:
            raise self._translate(error) from error
        self.stats.connects += 1
        return connection

    def _open(self) -> Any:
        address = self.address
        place: dict[str, Any] = (
            {"unix_socket": address.unix_socket}
            if address.unix_socket
            else {"host": address.host, "port": address.port}
        )
        connection = mysql.connector.connect(
            **place,
            user=address.user,
            password=address.password,
            database=address.database,
            # MariaDB does not know the collation that the connector asks for by default.
            collation="utf8mb4_general_ci",
            charset="utf8mb4",
            connection_timeout=self._connect_timeout_s,
            read_timeout=self._read_timeout_s,
            write_timeout=self._read_timeout_s,
            time_zone="+00:00",
            sql_mode="STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO",
            autocommit=False,
        )
        cursor = connection.cursor()
        # Every write of wbd is a compare-and-set on a key, so gap locks would only add deadlocks.
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        _close(cursor)
        return connection

    def _give_back(self, connection: Any, *, broken: bool = False) -> None:
        try:
            if not broken:
                with suppress(mysql.connector.Error):
                    connection.cmd_query("ROLLBACK")
                    if not self._closed:
                        self._free.put(connection)
                        return
            with suppress(mysql.connector.Error):
                connection.close()
        finally:
            self._slots.release()

    def _drop_all(self, connection: Any) -> None:
        """Close *connection* and every idle one, since the same cause ended them all."""
        self._give_back(connection, broken=True)
        while True:
            try:
                idle = self._free.get_nowait()
            except queue.Empty:
                return
            with suppress(mysql.connector.Error):
                idle.close()

    def _translate(self, error: Any, *, committing: bool = False) -> Exception:
        errno = int(error.errno or 0)
        text = str(error.msg or error)
        if errno in _NOT_SET_UP:
            return DatabaseUnavailable(f"database {self.address}: {_NOT_SET_UP[errno]} ({errno}: {text})")
        if committing and _is_gone(error):
            return DatabaseUnavailable(
                f"database {self.address}: connection lost during the commit, outcome unknown ({errno}: {text})"
            )
        if _is_gone(error):
            return DatabaseUnavailable(f"database {self.address}: not reachable ({errno}: {text})")
        if errno in _RETRY:
            return DatabaseUnavailable(
                f"database {self.address}: {_TRANSACTION_ATTEMPTS} deadlocks or lock waits in a row ({errno}: {text})"
            )
        return DatabaseError(f"database {self.address}: {text} ({errno})", errno)


def client_library() -> str:
    """Return the name of the client in use: the C extension, or pure Python, which is several times slower."""
    return "C extension" if mysql.connector.HAVE_CEXT else "pure Python (slow)"


def _is_gone(error: Any) -> bool:
    errno = int(error.errno or -1)
    # The connector gives no number for a socket that closed under it.
    return errno in _GONE or (
        errno == -1 and isinstance(error, mysql.connector.OperationalError | mysql.connector.InterfaceError)
    )


def _close(cursor_or_connection: Any) -> None:
    with suppress(mysql.connector.Error):
        cursor_or_connection.close()


def _chunks(rows: Iterable[Params], size: int) -> Iterable[list[Params]]:
    chunk: list[Params] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
