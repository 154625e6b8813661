"""Bring the tables that describe heads to what new heads hold, writing only what differs.

Reads and writes: the tables of rows.TABLES, inside the caller's transaction, which holds the lock on each head
Repeats:          harmless
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from wbd.engines.mysql import Transaction
from wbd.revisions.rows import TABLES, EntityRows, RowKey, RowValues, Table, TableRows

# A DELETE of this many keys stays small; few edits remove more.
_KEYS_A_DELETE = 200


def write_rows(tx: Transaction, fresh: dict[str, EntityRows], moved: dict[str, EntityRows]) -> None:
    """
    Write the rows of several entities.

    Args:
        fresh: entities that had no head before, so that there is nothing to compare with.
        moved: entities whose present rows are read and compared.
    """
    for table in TABLES:
        # Sorted, so that two writers never wait for each other in a circle.
        added = [
            (entity_id, *key, *values)
            for entity_id in sorted(fresh)
            for key, values in sorted(fresh[entity_id].tables[table].items())
        ]
        if moved:
            added += _change(tx, table, moved)
        if added:
            columns = ", ".join(("entity_id", *table.key, *table.values))
            # The update side is for a key that is there with other values.
            update = ", ".join(f"{name} = VALUES({name})" for name in table.values or table.key[:1])
            tx.insert(f"{table.name} ({columns})", added, on_duplicate=update)


def _change(tx: Transaction, table: Table, moved: dict[str, EntityRows]) -> list[tuple[Any, ...]]:
    """Delete the rows that are gone; return those to insert or update."""
    present = _present(tx, table, sorted(moved))
    added: list[tuple[Any, ...]] = []
    for entity_id in sorted(moved):
        wanted, there = moved[entity_id].tables[table], present[entity_id]
        _delete(tx, table, entity_id, sorted(there.keys() - wanted.keys()))
        added += [(entity_id, *key, *values) for key, values in sorted(wanted.items()) if there.get(key) != values]
    return added


def _present(tx: Transaction, table: Table, entity_ids: Sequence[str]) -> defaultdict[str, TableRows]:
    columns = ", ".join(("entity_id", *table.key, *table.values))
    marks = ",".join(["%s"] * len(entity_ids))
    found: defaultdict[str, TableRows] = defaultdict(dict)
    width = len(table.key)
    for entity_id, *row in tx.query(
        f"SELECT {columns} FROM {table.name} WHERE entity_id IN ({marks})",
        entity_ids,
    ):
        key: RowKey = tuple(row[:width])
        values: RowValues = tuple(row[width:])
        found[entity_id][key] = values
    return found


def _delete(tx: Transaction, table: Table, entity_id: str, keys: Sequence[RowKey]) -> None:
    one = " AND ".join(f"{name} = %s" for name in table.key)
    for start in range(0, len(keys), _KEYS_A_DELETE):
        chunk = keys[start : start + _KEYS_A_DELETE]
        which = f" AND ({' OR '.join([f'({one})'] * len(chunk))})" if table.key else ""
        tx.execute(
            f"DELETE FROM {table.name} WHERE entity_id = %s{which}",
            [entity_id, *(part for key in chunk for part in key)],
        )
