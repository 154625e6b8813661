"""The highest id of each type that hosts have reserved, and the highest that imports have brought.

Reads:   id_ranges, id_high_water
Writes:  id_high_water
Repeats: harmless; a number is only ever raised here

The promise about imported ids: once ``raise_imported`` has returned, no host reserves such an id or one below it. Ids
that a host had reserved before are dropped when that host reads the table next, about a second later. An id that was
given out in between, or earlier, stays with its taker: whoever creates an entity under it meets the imported one.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from wbd.engines.mysql import Database, Transaction
from wbd.entity.ids import EntityType


class HighWater:
    """
    Records the highest imported number of each type for this process.

    Safe to share between threads.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._recorded: dict[EntityType, int] = {}

    def raise_imported(self, highest: Mapping[EntityType, int]) -> None:
        """
        Keep every id up to the given numbers from being reserved from now on.

        Call it before the entities become visible. It is one small transaction if a number is above the recorded ones
        of this process, and free otherwise; a dump in ascending order costs one transaction for each batch.

        Raises:
            DatabaseUnavailable: not done, or the outcome is unknown; retryable.
        """
        with self._lock:
            first_time = not self._recorded
            above = {t: number for t, number in highest.items() if number > self._recorded.get(t, 0)}
        if not above:
            return

        def work(tx: Transaction) -> None:
            if first_time:
                add_missing_rows(tx)
            tx.insert(
                "id_high_water (entity_type, reserved_to, imported_to)",
                [(t.value, 0, above[t]) for t in in_lock_order(above)],
                on_duplicate="imported_to = GREATEST(imported_to, VALUES(imported_to))",
            )

        self._db.transaction(work)
        with self._lock:
            for entity_type, number in above.items():
                self._recorded[entity_type] = max(number, self._recorded.get(entity_type, 0))

    def keep_unreserved(self, entity_type: EntityType, number: int) -> None:
        """
        Keep the id of a new entity from being reserved from now on, unless a host has reserved it already.

        An id out of a range is left alone: raising imported_to to it would make every host drop the ids below it.
        To be called before the entity becomes visible. One read, and for an id that did not come from a range one
        small transaction.

        Raises:
            DatabaseUnavailable: not done, or the outcome is unknown; retryable.
        """
        rows = self._db.query(
            "SELECT GREATEST(reserved_to, imported_to) FROM id_high_water WHERE entity_type = %s", (entity_type.value,)
        )
        if rows and number <= int(rows[0][0]):
            return

        def work(tx: Transaction) -> None:
            add_missing_rows(tx)
            tx.insert(
                "id_high_water (entity_type, reserved_to, imported_to)",
                [(entity_type.value, 0, number)],
                on_duplicate="imported_to = IF(reserved_to < VALUES(imported_to),"
                " GREATEST(imported_to, VALUES(imported_to)), imported_to)",
            )

        self._db.transaction(work)


def add_missing_rows(tx: Transaction) -> None:
    """
    Insert the missing rows of id_high_water: for each type of id_ranges, all ids below its next_id count as reserved.

    Existing rows stay as they are. The locks on id_ranges keep a reservation from coming between.
    """
    known = {t.value for t in EntityType}
    rows = tx.query("SELECT entity_type, next_id FROM id_ranges ORDER BY entity_type FOR UPDATE")
    tx.insert(
        "id_high_water (entity_type, reserved_to, imported_to)",
        [(name.lower(), max(int(next_id) - 1, 0), 0) for name, next_id in rows if name.lower() in known],
        # Another process may insert them at this moment.
        on_duplicate="entity_type = VALUES(entity_type)",
    )


def in_lock_order(types: Mapping[EntityType, object] | list[EntityType]) -> list[EntityType]:
    """
    Sort types as every writer locks them, so that no two wait for each other in a circle.

    Where both tables are locked, id_ranges comes first.
    """
    return sorted(types, key=lambda one: one.value)
