"""How far the ids of each type are spoken for: what hosts have reserved, and what imports have brought.

Reads:   id_ranges, id_high_water
Writes:  id_high_water
Repeats: harmless; a number is only ever raised here

What is promised of an imported id: once ``raise_imported`` has returned, no host reserves it or an id below it. Those
that a host had reserved before are dropped at that host's next look at the table, about a second later. One that was
handed out in between, or earlier, stays with whoever took it: creating an entity under it meets the imported one.
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

        To be called before the entities become visible. One small transaction if a number is above what this
        process has recorded, else nothing, so a dump in ascending order costs one for each batch.

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


def add_missing_rows(tx: Transaction) -> None:
    """
    Make the row of each type of id_ranges that has none: everything below its next_id counts as reserved.

    A row that is there stays as it is. The locks on id_ranges keep a reservation from coming between.
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
