"""Bring the tables of a database to the schema of this release, one numbered step after the other.

Reads:    information_schema.columns, metadata
Writes:   the tables and columns that are missing, metadata.schema_version
Repeats:  harmless, also on several hosts at once and after an interruption at any point

Whether a change is needed is read from the tables themselves, so two hosts need no lock between them: both see what is
missing, and the server refuses the second of two equal changes, which counts as done. schema_version says that every
step up to that number is in force. It only ever rises, so a host of the release before, which knows fewer steps, does
not take it back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from wbd.engines.mysql import COLUMN_EXISTS, TABLE_EXISTS, Database, Transaction
from wbd.errors import DatabaseError, DatabaseUnavailable

# Table name -> the names of its columns.
Catalog = dict[str, set[str]]

# A change of a big table takes this long at most. A shorter timeout would drop the connection and send it again.
CHANGE_TIMEOUT_S = 6 * 3600

# While a change waits for a transaction that uses the table, every later statement on that table waits behind it. So
# it waits no longer than this, lets the others go on, and is tried again.
_LOCK_WAIT_S = 3

# Another host made the same change a moment earlier.
_MADE_ALREADY = frozenset({TABLE_EXISTS, COLUMN_EXISTS})


class Change(Protocol):
    """One statement of a step, and how to see in the tables that it was made."""

    @property
    def statement(self) -> str:
        """The SQL of the change."""

    def is_made(self, catalog: Catalog) -> bool:
        """Tell whether the tables show the change already."""

    def columns(self) -> tuple[str, list[str]]:
        """Return the table and the columns of it that the change provides."""


@dataclass(frozen=True, slots=True)
class CreateTable:
    """A table that a step adds; *statement* is CREATE TABLE IF NOT EXISTS with one column or key a line."""

    statement: str
    name: str = field(init=False)

    def __post_init__(self) -> None:
        match = re.match(r"CREATE TABLE IF NOT EXISTS `?(\w+)`?", self.statement)
        if match is None:
            raise ValueError(f"not a CREATE TABLE IF NOT EXISTS statement: {self.statement[:60]}")
        object.__setattr__(self, "name", match[1])

    def is_made(self, catalog: Catalog) -> bool:
        return self.name in catalog

    def columns(self) -> tuple[str, list[str]]:
        names = [line.split()[0] for line in self.statement.splitlines()[1:-1]]
        return self.name, [name for name in names if name not in {"PRIMARY", "UNIQUE", "INDEX"}]


@dataclass(frozen=True, slots=True)
class AddColumn:
    """A column that a step adds; *definition* is its type with NULL or a default, for writers that do not know it."""

    table: str
    column: str
    definition: str

    @property
    def statement(self) -> str:
        return f"ALTER TABLE {self.table} ADD COLUMN {self.column} {self.definition}"

    def is_made(self, catalog: Catalog) -> bool:
        return self.column in catalog.get(self.table, ())

    def columns(self) -> tuple[str, list[str]]:
        return self.table, [self.column]


@dataclass(frozen=True, slots=True)
class Step:
    """A numbered set of changes that a release brings; steps.py lists them and says how to add one."""

    number: int
    summary: str
    changes: tuple[Change, ...]


def tables_of(sql: str) -> tuple[CreateTable, ...]:
    """Return the tables of a file of CREATE TABLE statements with ``--`` comments, in its order."""
    bare = re.sub(r"^--.*$", "", sql, flags=re.MULTILINE)
    return tuple(CreateTable(part.strip()) for part in bare.split(";") if part.strip())


def apply(db: Database, step: Step) -> list[Change]:
    """
    Make the changes of *step* that the tables do not show, record the step, and return those changes.

    Args:
        db: a pool of its own, with CHANGE_TIMEOUT_S to read; its sessions wait only _LOCK_WAIT_S for a table.

    Raises:
        DatabaseUnavailable: the database does not answer, or other transactions held a table all the time; what was
            made until then stays, and a repeat goes on from there.
        DatabaseError: the server refused a change, such as for want of a grant.
    """
    catalog = read_catalog(db)
    made = [change for change in step.changes if not change.is_made(catalog) and _make(db, change)]
    db.transaction(lambda tx: _record(tx, step.number))
    return made


def missing(db: Database, steps: Sequence[Step]) -> list[Step]:
    """Return those of *steps* that the tables do not show or that are not recorded; change nothing."""
    catalog = read_catalog(db)
    version = db.transaction(read_version) if "metadata" in catalog else 0
    return [
        step for step in steps if step.number > version or not all(change.is_made(catalog) for change in step.changes)
    ]


def columns_of(steps: Sequence[Step]) -> dict[str, list[str]]:
    """Return table -> columns after the last of *steps*."""
    columns: dict[str, list[str]] = {}
    for step in steps:
        for change in step.changes:
            table, names = change.columns()
            known = columns.setdefault(table, [])
            known.extend(name for name in names if name not in known)
    return columns


def read_catalog(db: Database) -> Catalog:
    """Return the tables of the database with their columns."""
    catalog: Catalog = {}
    rows = db.query("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = DATABASE()")
    for table, column in rows:
        catalog.setdefault(str(table), set()).add(str(column))
    return catalog


def read_version(tx: Transaction) -> int:
    """Return the number of the last step that is recorded, 0 if there is none."""
    rows = tx.query("SELECT value FROM metadata WHERE name = 'schema_version'")
    return int(rows[0][0]) if rows and str(rows[0][0]).isdecimal() else 0


def require(tx: Transaction, number: int) -> None:
    """
    Refuse a database whose schema is older than step *number*; a newer one is welcome.

    Raises:
        DatabaseUnavailable: retryable, since the worker goes on as soon as an operator has run the remedy.
    """
    if (version := read_version(tx)) < number:
        raise DatabaseUnavailable(
            f"schema_version is {version}, this release needs {number} or later; run: wbd dev create_tables "
            "(safe while workers of either release run)"
        )


def _record(tx: Transaction, number: int) -> None:
    """Raise schema_version to *number*, unless it is there already; the row's lock puts hosts in an order."""
    tx.execute("INSERT INTO metadata (name, value) VALUES ('schema_version', '0') ON DUPLICATE KEY UPDATE name = name")
    tx.query("SELECT value FROM metadata WHERE name = 'schema_version' FOR UPDATE")
    if read_version(tx) < number:
        tx.execute("UPDATE metadata SET value = %s WHERE name = 'schema_version'", (str(number),))


def _make(db: Database, change: Change) -> bool:
    """Make one change; False if another host was faster."""

    def work(tx: Transaction) -> None:
        tx.execute("SET SESSION lock_wait_timeout = %s", (_LOCK_WAIT_S,))
        tx.execute(change.statement)

    try:
        db.transaction(work)
    except DatabaseError as error:
        if error.errno in _MADE_ALREADY:
            return False
        raise
    return True
