"""Share the slots of a worker between its processes on any host, one owner a slot at a time.

Reads and writes: worker_leases. Time is the database's, so that the hosts' clocks do not matter. A process that stops
renewing loses its slots when the lease runs out; it knows so itself by its monotonic clock, a margin earlier.
"""

from __future__ import annotations

from datetime import datetime

from wbd.engines.mysql import Database, Transaction
from wbd.errors import LeaseLost
from wbd.runtime.clock import Clock

# The owner gives up this share of the lease before the database does, to allow for clocks that run unevenly.
_MARGIN = 0.2


class SlotLeases:
    """
    The slots that this process owns, out of *slots* numbered from 0.

    One thread only. Call renew() between pieces of work: it may give slots away, so nothing may be under way.
    """

    def __init__(self, db: Database, worker: str, owner: str, *, slots: int, lease_s: float, clock: Clock) -> None:
        self._db = db
        self._worker = worker
        self._owner = owner
        self._slots = slots
        self._lease_s = lease_s
        self._clock = clock
        self._held: dict[int, datetime | None] = {}
        self._valid_until_mono_s = 0.0
        self._renew_at_mono_s = 0.0
        self._rows_made = False

    @property
    def held(self) -> frozenset[int]:
        """The slots owned now; empty once the lease has run out."""
        return frozenset(self._held) if self._clock.mono_s() < self._valid_until_mono_s else frozenset()

    @property
    def due_in_s(self) -> float:
        """Seconds until renew() has something to do."""
        return max(0.0, self._renew_at_mono_s - self._clock.mono_s())

    def check(self) -> None:
        """Raise LeaseLost when the lease has run out, so that what follows must not be written."""
        if not self.held:
            raise LeaseLost(f"{self._worker}: lease of {self._owner} ran out; its slots are another's now")

    def position(self, slot: int) -> datetime | None:
        """Return how far the slot had come when it was taken, None at its very beginning."""
        return self._held[slot]

    def renew(self, positions: dict[int, datetime] | None = None) -> frozenset[int]:
        """
        Renew what is due and take or give slots until each live process has its share.

        Args:
            positions: how far each owned slot has come; stored with the renewal.

        Returns:
            The slots owned now.
        """
        if self.held and self.due_in_s > 0:
            return self.held
        begun_mono_s = self._clock.mono_s()
        if not self._rows_made:
            self._make_rows()
        self._held = self._db.transaction(lambda tx: self._renew(tx, positions or {}))
        self._valid_until_mono_s = begun_mono_s + self._lease_s * (1 - _MARGIN)
        self._renew_at_mono_s = begun_mono_s + self._lease_s / 4
        return self.held

    def release(self, positions: dict[int, datetime] | None = None) -> None:
        """Give everything back at once, so that others need not wait for the lease to run out."""

        def give_back(tx: Transaction) -> None:
            self._store(tx, positions or {})
            tx.execute(
                "UPDATE worker_leases SET lease_until = CURRENT_TIMESTAMP(6), owner = ''"
                " WHERE worker = %s AND owner = %s",
                (self._worker, self._owner),
            )
            tx.execute("DELETE FROM worker_leases WHERE worker = %s AND slot = %s", (self._worker, f"m:{self._owner}"))

        self._db.transaction(give_back)
        self._held = {}
        self._valid_until_mono_s = 0.0

    def _make_rows(self) -> None:
        rows = [(self._worker, f"s:{slot:04d}") for slot in range(self._slots)]
        self._db.transaction(lambda tx: tx.insert("worker_leases (worker, slot)", rows, on_duplicate="slot = slot"))
        self._rows_made = True

    def _renew(self, tx: Transaction, positions: dict[int, datetime]) -> dict[int, datetime | None]:
        until = "CURRENT_TIMESTAMP(6) + INTERVAL %s MICROSECOND"
        lease_us = int(self._lease_s * 1_000_000)
        members = tx.query(
            "SELECT slot FROM worker_leases WHERE worker = %s AND slot LIKE 'm:%%'"
            " AND lease_until >= CURRENT_TIMESTAMP(6) AND owner <> %s",
            (self._worker, self._owner),
        )
        tx.execute(
            "INSERT INTO worker_leases (worker, slot, owner, lease_until) VALUES (%s, %s, %s, " + until + ")"
            " ON DUPLICATE KEY UPDATE owner = VALUES(owner), lease_until = VALUES(lease_until)",
            (self._worker, f"m:{self._owner}", self._owner, lease_us),
        )
        tx.execute(
            "DELETE FROM worker_leases WHERE worker = %s AND slot LIKE 'm:%%'"
            " AND lease_until < CURRENT_TIMESTAMP(6) - INTERVAL 1 DAY",
            (self._worker,),
        )
        self._store(tx, positions)
        tx.execute(
            "UPDATE worker_leases SET lease_until = " + until + " WHERE worker = %s AND slot LIKE 's:%%' AND owner = %s"
            " AND lease_until >= CURRENT_TIMESTAMP(6)",
            (lease_us, self._worker, self._owner),
        )
        share = -(-self._slots // (len(members) + 1))
        mine = self._mine(tx)
        if len(mine) > share:
            extra = [f"s:{slot:04d}" for slot in sorted(mine)[share:]]
            marks = ",".join(["%s"] * len(extra))
            tx.execute(
                "UPDATE worker_leases SET lease_until = CURRENT_TIMESTAMP(6) - INTERVAL 1 SECOND, owner = ''"
                f" WHERE worker = %s AND owner = %s AND slot IN ({marks})",
                (self._worker, self._owner, *extra),
            )
            mine = self._mine(tx)
        elif len(mine) < share:
            tx.execute(
                "UPDATE worker_leases SET owner = %s, lease_until = " + until + " WHERE worker = %s"
                " AND slot LIKE 's:%%' AND lease_until < CURRENT_TIMESTAMP(6) ORDER BY slot LIMIT %s",
                (self._owner, lease_us, self._worker, share - len(mine)),
            )
            mine = self._mine(tx)
        return mine

    def _store(self, tx: Transaction, positions: dict[int, datetime]) -> None:
        for slot, position in sorted(positions.items()):
            if slot in self._held and self._held[slot] != position:
                tx.execute(
                    "UPDATE worker_leases SET position = %s WHERE worker = %s AND slot = %s AND owner = %s",
                    (position, self._worker, f"s:{slot:04d}", self._owner),
                )

    def _mine(self, tx: Transaction) -> dict[int, datetime | None]:
        rows = tx.query(
            "SELECT slot, position FROM worker_leases WHERE worker = %s AND slot LIKE 's:%%' AND owner = %s"
            " AND lease_until >= CURRENT_TIMESTAMP(6)",
            (self._worker, self._owner),
        )
        return {int(slot[2:]): position for slot, position in rows}
