"""Share the slots of a worker between its processes on any host, one owner of a slot at a time.

Reads and writes: worker_leases
Repeats:          harmless

A lease ends when a database clock passes lease_until. Two rules keep an owner whose lease ended from doing harm:

- It stops by itself. By its own monotonic clock it gives up a fifth of the lease early.
- It is fenced. Each change of owner raises the token of the slot. Every write of an owner, here and through fence(),
  compares owner and token in its own transaction, so a process that was paused, or whose machine was suspended, writes
  nothing once another process has its slot. Messages cannot be fenced; confirm() is called shortly before them.

Clocks. Wall clocks of hosts do not matter; no host's time is compared with another's. The clocks of database nodes do
matter: lease_until may be written by one node and compared by another, after a failover or on a cluster with several
writers. Where two nodes differ by less than the margin (6 s of a lease of 30 s), the owner has stopped by itself when
the next one starts. Where they differ by more, a slot can have two owners that both believe in their lease, for as
long as the difference exceeds the margin. The token still decides which of them may write to the database. It cannot
recall a message that Kafka already has: consumers may then see an event twice, which they recognize by its event_id,
or an older event of an entity after a newer one. Keep the clocks of database nodes in step.

fence() changes the rows of the lease rather than locking them: a cluster such as Galera locks rows on one node only,
and finds out at the commit that two transactions changed the same row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from wbd.engines.mysql import Database, Transaction
from wbd.errors import LeaseLost
from wbd.runtime.clock import Clock

POSITION_LENGTH: Final = 255
"""Bound of a position, in ASCII characters; the database refuses a longer one."""

# The owner gives up this share of the lease early. It covers clocks of database nodes that differ, and a monotonic
# clock that runs a little slow.
_MARGIN = 0.2
_UNTIL = "CURRENT_TIMESTAMP(6) + INTERVAL %s MICROSECOND"


@dataclass(frozen=True, slots=True)
class _Slot:
    """
    A slot as it was when this process last renewed it.

    token: rises with each change of owner.
    """

    token: int
    position: str | None


class SlotLeases:
    """
    The slots that this process owns, out of *slots* numbered from 0.

    One thread only. Call renew() between pieces of work: it may give slots away, so no work may be in progress.

    Args:
        owner: a name that no other process has or had, such as Run.lease_owner.
    """

    def __init__(self, db: Database, worker: str, owner: str, *, slots: int, lease_s: float, clock: Clock) -> None:
        self._db = db
        self._worker = worker
        self._owner = owner
        self._slots = slots
        self._lease_s = lease_s
        self._lease_us = int(lease_s * 1_000_000)
        self._clock = clock
        self._held: dict[int, _Slot] = {}
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
        """Raise LeaseLost when the lease has run out by this process' own clock; asks no server."""
        if not self.held:
            raise self._lost("ran out")

    def confirm(self, slots: Collection[int] | None = None) -> None:
        """
        Raise LeaseLost unless this process owns *slots*, all of its slots when None, by its clock and in the database.

        One query. Call it before work that no transaction can fence, such as messages to a broker: the clock of a
        machine that was suspended does not show the pause.
        """
        self.check()
        wanted = set(self._held if slots is None else slots)
        condition, params = self._owned(wanted & self._held.keys())
        ((count,),) = self._db.query(f"SELECT COUNT(*) FROM worker_leases WHERE {condition}", params)
        if count != len(wanted):
            self._forget()
            raise self._lost("was taken over by another process")

    def fence(self, tx: Transaction, slots: Collection[int] | None = None) -> None:
        """
        Let *tx* take effect only if this process still owns *slots*, all of its slots when None; extend their leases.

        One statement. Call it first in a transaction that writes on behalf of the slots.

        Raises:
            LeaseLost: another process owns one of them, or has owned it since; the transaction must not be committed.
        """
        wanted = set(self._held if slots is None else slots)
        if not wanted:
            return
        # Rows match by owner too: a process of the release before does not raise the token.
        changed = self._update_owned(tx, f"lease_until = {_UNTIL}", (self._lease_us,), wanted & self._held.keys())
        if changed != len(wanted):
            self._forget()
            raise self._lost("was taken over by another process")

    def position(self, slot: int) -> str | None:
        """Return the stored position of an owned slot, None at its very beginning."""
        return self._held[slot].position

    def renew(self, positions: Mapping[int, str] | None = None) -> frozenset[int]:
        """
        Renew the leases when that is due; take or give slots until each live process has its share.

        Args:
            positions: progress of each owned slot as text that only the caller reads, at most POSITION_LENGTH ASCII
                characters; stored with the renewal, and handed to the next owner by position().

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

    def release(self, positions: Mapping[int, str] | None = None) -> None:
        """Give every slot back at once, so that others need not wait for the lease to run out."""

        def give_back(tx: Transaction) -> None:
            self._store(tx, positions or {})
            self._update_owned(tx, "lease_until = CURRENT_TIMESTAMP(6), owner = ''", (), self._held)
            tx.execute("DELETE FROM worker_leases WHERE worker = %s AND slot = %s", (self._worker, f"m:{self._owner}"))

        self._db.transaction(give_back)
        self._held = {}
        self._forget()

    def _make_rows(self) -> None:
        rows = [(self._worker, _name(slot)) for slot in range(self._slots)]
        self._db.transaction(lambda tx: tx.insert("worker_leases (worker, slot)", rows, on_duplicate="slot = slot"))
        self._rows_made = True

    def _renew(self, tx: Transaction, positions: Mapping[int, str]) -> dict[int, _Slot]:
        # One moment for all rows, so that those of this transaction can be told from all others below.
        ((until,),) = tx.query(f"SELECT {_UNTIL}", (self._lease_us,))
        members = tx.query(
            "SELECT slot FROM worker_leases WHERE worker = %s AND slot LIKE 'm:%%'"
            " AND lease_until >= CURRENT_TIMESTAMP(6) AND owner <> %s",
            (self._worker, self._owner),
        )
        tx.execute(
            "INSERT INTO worker_leases (worker, slot, owner, lease_until) VALUES (%s, %s, %s, %s)"
            " ON DUPLICATE KEY UPDATE owner = VALUES(owner), lease_until = VALUES(lease_until)",
            (self._worker, f"m:{self._owner}", self._owner, until),
        )
        tx.execute(
            "DELETE FROM worker_leases WHERE worker = %s AND slot LIKE 'm:%%'"
            " AND lease_until < CURRENT_TIMESTAMP(6) - INTERVAL 1 DAY",
            (self._worker,),
        )
        self._store(tx, positions)
        self._update_owned(tx, "lease_until = %s", (until,), self._held, alive=True)
        mine = self._renewed(tx, until)
        share = -(-self._slots // (len(members) + 1))
        if len(mine) > share:
            extra = sorted(mine)[share:]
            self._update_owned(tx, "lease_until = CURRENT_TIMESTAMP(6) - INTERVAL 1 SECOND, owner = ''", (), extra)
            mine = {slot: each for slot, each in mine.items() if slot not in extra}
        elif len(mine) < share:
            tx.execute(
                "UPDATE worker_leases SET owner = %s, lease_until = %s, token = token + 1 WHERE worker = %s"
                " AND slot LIKE 's:%%' AND lease_until < CURRENT_TIMESTAMP(6) ORDER BY slot LIMIT %s",
                (self._owner, until, self._worker, share - len(mine)),
            )
            mine = self._renewed(tx, until)
        return mine

    def _store(self, tx: Transaction, positions: Mapping[int, str]) -> None:
        for slot, position in sorted(positions.items()):
            if slot in self._held and self._held[slot].position != position:
                self._update_owned(tx, "position_text = %s", (position,), [slot])

    def _renewed(self, tx: Transaction, until: datetime | str) -> dict[int, _Slot]:
        """Return the slots that this transaction has renewed or taken."""
        rows = tx.query(
            "SELECT slot, token, position_text, position FROM worker_leases WHERE worker = %s AND slot LIKE 's:%%'"
            " AND owner = %s AND lease_until = %s",
            (self._worker, self._owner, until),
        )
        # The release before writes the column position; it can be dropped in the release after this
        # one. Where both columns have a value, releases were mixed, and position_text may be the older of the two: the
        # next owner then repeats work.
        return {
            int(name[2:]): _Slot(token, text if text is not None else position and position.isoformat(sep=" "))
            for name, token, text, position in rows
        }

    def _update_owned(
        self,
        tx: Transaction,
        assignments: str,
        params: tuple[object, ...],
        slots: Iterable[int],
        *,
        alive: bool = False,
    ) -> int:
        """Change the rows of *slots* that have our owner and token; return how many there were."""
        condition, owned = self._owned(slots)
        if alive:
            condition += " AND lease_until >= CURRENT_TIMESTAMP(6)"
        return tx.execute(f"UPDATE worker_leases SET {assignments} WHERE {condition}", (*params, *owned))

    def _owned(self, slots: Iterable[int]) -> tuple[str, tuple[object, ...]]:
        """Return the condition, with its parameters, for the rows of *slots* that have our owner and token."""
        owned = [(_name(slot), self._held[slot].token) for slot in sorted(slots)]
        if not owned:
            return "FALSE", ()
        pairs = ", ".join(["(%s, %s)"] * len(owned))
        params = (self._worker, self._owner, *(value for pair in owned for value in pair))
        return f"worker = %s AND owner = %s AND (slot, token) IN ({pairs})", params

    def _forget(self) -> None:
        """Make the next renew() ask the database."""
        self._valid_until_mono_s = 0.0
        self._renew_at_mono_s = 0.0

    def _lost(self, how: str) -> LeaseLost:
        return LeaseLost(f"{self._worker}: lease of {self._owner} {how}; its slots are another's now")


def _name(slot: int) -> str:
    return f"s:{slot:04d}"
