"""The steps of the schema, from the tables of the first release to those that this release needs.

To change the schema, append a step; never edit one that a release has carried.

1. Write it here with the next number. A new table is a CreateTable, a new column an AddColumn; a change of another
   kind needs a class beside these in migrations.py that can tell from the tables whether it was made. Only SQL that
   MySQL 8, MariaDB and Vitess have in common: no foreign keys, no procedures, no locks by name.
2. Workers of the release before keep running while the step is made and afterwards. So only add; a new column has a
   default or may be NULL, and no column is renamed or narrowed. A column that nobody reads any more goes in the
   release after.
3. Workers of this release start only once the step is made, so they may rely on it. They must also cope with rows that
   the release before writes meanwhile, in which new columns have their defaults.
4. Run tests/mysql/test_migrations.py. Its laws hold for every step of this list without being told.
"""

from __future__ import annotations

from importlib import resources

from wbd.engines.mysql import Transaction
from wbd.provision import migrations
from wbd.provision.migrations import AddColumn, Step, tables_of

STEPS: tuple[Step, ...] = (
    Step(
        1,
        "the tables of schema.sql",
        tables_of(resources.files("wbd.provision").joinpath("schema.sql").read_text()),
    ),
    Step(
        2,
        "entity_diff_failures.missing, for tables made before failures told missing snapshots apart",
        (AddColumn("entity_diff_failures", "missing", "BOOLEAN NOT NULL DEFAULT FALSE AFTER reason"),),
    ),
    Step(
        3,
        "worker_leases.token and position_text: a fencing token, and positions that are not only times",
        (
            AddColumn("worker_leases", "token", "BIGINT UNSIGNED NOT NULL DEFAULT 0"),
            AddColumn("worker_leases", "position_text", "VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NULL"),
        ),
    ),
)


def require_schema(tx: Transaction) -> None:
    """Refuse a database that lacks a step of this release. Raises DatabaseUnavailable with the remedy."""
    migrations.require(tx, STEPS[-1].number)
