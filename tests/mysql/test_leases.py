"""Slots are shared between processes, one owner at a time."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import datetime

import pytest

from tests.build.clock import SetClock
from wbd.engines.mysql import Database, Transaction
from wbd.errors import DatabaseError, LeaseLost
from wbd.runtime.leases import POSITION_LENGTH, SlotLeases


def leases(db: Database, owner: str, clock: SetClock, lease_s: float = 30.0, slots: int = 10) -> SlotLeases:
    return SlotLeases(db, "w", owner, slots=slots, lease_s=lease_s, clock=clock)


def test_one_process_takes_every_slot(db: Database) -> None:
    assert leases(db, "a", SetClock()).renew() == frozenset(range(10))


def test_two_processes_end_up_with_half_each_and_never_share_a_slot(db: Database) -> None:
    clock = SetClock()
    a, b = leases(db, "a", clock), leases(db, "b", clock)
    a.renew()
    assert b.renew() == frozenset(), "all are taken, and still valid"
    clock.advance(10)
    assert len(a.renew()) == 5, "a gives up what is over its share"
    clock.advance(10)
    assert len(b.renew()) == 5
    assert not a.held & b.held


def test_slots_of_a_process_that_died_are_taken_when_its_lease_runs_out(db: Database) -> None:
    clock = SetClock()
    dead, heir = leases(db, "dead", clock, lease_s=0.3), leases(db, "heir", clock)
    dead.renew()
    deadline = time.monotonic() + 5
    while len(heir.renew()) < 10:
        clock.advance(10)
        assert time.monotonic() < deadline
    assert heir.held == frozenset(range(10))


def test_a_process_knows_by_itself_that_its_lease_ran_out_before_the_database_does(db: Database) -> None:
    clock = SetClock()
    a = leases(db, "a", clock, lease_s=30.0)
    a.renew()
    clock.advance(23.9)
    a.check()
    clock.advance(0.2)
    with pytest.raises(LeaseLost):
        a.check()
    assert a.held == frozenset()


def test_released_slots_can_be_taken_at_once_with_their_position(db: Database) -> None:
    clock = SetClock()
    a, b = leases(db, "a", clock), leases(db, "b", clock)
    a.renew()
    a.release({3: "so far/17"})
    assert b.renew() == frozenset(range(10))
    assert b.position(3) == "so far/17"
    assert b.position(4) is None


def test_a_position_is_stored_with_each_renewal(db: Database) -> None:
    clock = SetClock()
    a = leases(db, "a", clock)
    a.renew()
    for number in range(3):
        clock.advance(10)
        a.renew({0: f"page {number}"})
    assert db.query("SELECT position_text FROM worker_leases WHERE slot = 's:0000'") == [("page 2",)]


def test_processes_that_compete_never_own_the_same_slot(db: Database) -> None:
    """Eight owners renew at once, again and again; after each round no slot has two owners."""
    clocks = [SetClock() for _ in range(8)]
    owners = [leases(db, f"o{i}", clocks[i], slots=64) for i in range(8)]

    def renew(i: int) -> None:
        clocks[i].advance(10)
        owners[i].renew()

    for _ in range(6):
        threads = [threading.Thread(target=renew, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        owned = Counter(slot for owner in owners for slot in owner.held)
        assert max(owned.values()) == 1
    assert sum(owned.values()) == 64
    assert {len(owner.held) for owner in owners} == {8}


def run_out(db: Database) -> None:
    """Let every lease end now, as when the time had passed."""
    db.execute("UPDATE worker_leases SET lease_until = CURRENT_TIMESTAMP(6) - INTERVAL 1 SECOND")


def write_fenced(db: Database, owner: SlotLeases, value: str, slots: set[int] | None = None) -> None:
    """Write a row on behalf of slots, as a worker does."""

    def write(tx: Transaction) -> None:
        owner.fence(tx, slots)
        tx.execute("INSERT INTO metadata (name, value) VALUES (%s, %s)", (f"test {value}", value))

    db.transaction(write)


def written(db: Database) -> list[str]:
    return [value for (value,) in db.query("SELECT value FROM metadata WHERE name LIKE 'test %' ORDER BY name")]


def paused_and_heir(db: Database) -> tuple[SlotLeases, SlotLeases]:
    """Return an owner that still believes in its lease, as after a pause, and the one that took its slots over."""
    paused, heir = leases(db, "paused", SetClock()), leases(db, "heir", SetClock())
    paused.renew()
    run_out(db)
    assert heir.renew() == frozenset(range(10))
    assert paused.held == frozenset(range(10)), "its own clock stood still too"
    return paused, heir


def test_a_paused_owner_whose_lease_was_taken_over_writes_nothing(db: Database) -> None:
    paused, heir = paused_and_heir(db)
    with pytest.raises(LeaseLost, match="taken over"):
        write_fenced(db, paused, "late")
    assert paused.held == frozenset(), "it knows now"
    write_fenced(db, heir, "right")
    assert written(db) == ["right"]


def test_a_paused_owner_whose_lease_was_taken_over_is_told_before_it_sends_anything(db: Database) -> None:
    paused, heir = paused_and_heir(db)
    heir.confirm()
    heir.confirm({3, 4})
    with pytest.raises(LeaseLost, match="taken over"):
        paused.confirm({3})
    assert paused.held == frozenset()


def slots(db: Database) -> list[tuple[object, ...]]:
    return db.query(
        "SELECT slot, owner, token, position_text, lease_until FROM worker_leases WHERE slot LIKE 's:%' ORDER BY slot"
    )


@pytest.mark.parametrize("name", ["paused", "heir"])
def test_a_paused_owner_neither_renews_nor_moves_nor_frees_the_slots_of_the_next(db: Database, name: str) -> None:
    """Also where both have the same name, so that only the token tells them apart."""
    clock = SetClock()
    paused, heir = leases(db, name, clock), leases(db, "heir", SetClock())
    paused.renew()
    run_out(db)
    assert heir.renew() == frozenset(range(10))
    before = slots(db)
    # Less than the lease, so it renews.
    clock.advance(10)
    assert paused.renew({0: "of the paused"}) == frozenset()
    paused.release({0: "of the paused"})
    assert slots(db) == before


@pytest.mark.parametrize("name", ["paused", "heir"])
def test_a_paused_owner_that_ends_frees_nothing(db: Database, name: str) -> None:
    paused, heir = leases(db, name, SetClock()), leases(db, "heir", SetClock())
    paused.renew()
    run_out(db)
    heir.renew()
    before = slots(db)
    paused.release({0: "of the paused"})
    assert slots(db) == before


def test_the_token_alone_tells_an_owner_from_a_later_one_of_the_same_name(db: Database) -> None:
    """The name cannot come twice by design; nothing may depend on that."""
    paused = leases(db, "same", SetClock())
    paused.renew()
    run_out(db)
    heir = leases(db, "same", SetClock())
    assert heir.renew() == frozenset(range(10))
    with pytest.raises(LeaseLost):
        write_fenced(db, paused, "late")
    paused.release({0: "late"})
    assert {row[1:4] for row in slots(db)} == {("same", 2, None)}
    write_fenced(db, heir, "right")
    assert written(db) == ["right"]


def test_an_owner_that_took_a_slot_back_has_a_new_token(db: Database) -> None:
    a, b = leases(db, "a", SetClock()), leases(db, "b", SetClock())
    for owner in (a, b, a, b):
        run_out(db)
        owner.renew()
        write_fenced(db, owner, str(len(written(db))))
        # It is paused for long enough to see its lease end by its own clock.
        with pytest.raises(LeaseLost):
            write_fenced(db, b if owner is a else a, "late", {0})
    assert written(db) == ["0", "1", "2", "3"]
    assert {row[2] for row in slots(db)} == {4}


def test_a_fence_of_some_slots_holds_when_others_were_taken(db: Database) -> None:
    a = leases(db, "a", SetClock())
    a.renew()
    db.execute("UPDATE worker_leases SET owner = 'b', token = token + 1 WHERE slot = 's:0003'")
    write_fenced(db, a, "1", {1, 2})
    with pytest.raises(LeaseLost):
        write_fenced(db, a, "2", {2, 3})
    with pytest.raises(LeaseLost):
        write_fenced(db, a, "3", {99})
    assert written(db) == ["1"]


def test_a_fenced_write_extends_the_lease_and_waits_for_nobody(db: Database) -> None:
    a, b = leases(db, "a", SetClock()), leases(db, "b", SetClock())
    a.renew()
    run_out(db)
    write_fenced(db, a, "late but nobody was waiting")
    assert b.renew() == frozenset()


def test_a_takeover_waits_for_a_fenced_write_and_then_finds_the_slots_taken(db: Database) -> None:
    a, b = leases(db, "a", SetClock()), leases(db, "b", SetClock())
    a.renew()
    run_out(db)
    fenced, taken = threading.Event(), threading.Event()

    def write(tx: Transaction) -> None:
        a.fence(tx)
        tx.execute("INSERT INTO metadata (name, value) VALUES ('test a', 'a')")
        fenced.set()
        assert not taken.wait(0.2), "the other one did not wait"

    writer = threading.Thread(target=db.transaction, args=(write,))
    writer.start()
    assert fenced.wait(20)
    b.renew()
    taken.set()
    writer.join(20)
    assert (b.held, written(db)) == (frozenset(), ["a"])


# What a process of the release before sends: it knows neither tokens nor positions as text.
_OLD_TAKE = (
    "UPDATE worker_leases SET owner = 'old', lease_until = CURRENT_TIMESTAMP(6) + INTERVAL 30 SECOND WHERE worker = 'w'"
    " AND slot LIKE 's:%' AND lease_until < CURRENT_TIMESTAMP(6) ORDER BY slot LIMIT 10"
)
_OLD_STORE = "UPDATE worker_leases SET position = %s WHERE worker = 'w' AND slot = %s AND owner = 'old'"


def test_an_owner_whose_slot_a_process_of_the_release_before_took_writes_nothing(db: Database) -> None:
    a = leases(db, "a", SetClock())
    a.renew()
    run_out(db)
    db.execute(_OLD_TAKE)
    with pytest.raises(LeaseLost):
        write_fenced(db, a, "late")
    assert written(db) == []


def test_the_position_of_a_process_of_the_release_before_is_read_until_there_is_a_new_one(db: Database) -> None:
    leases(db, "rows", SetClock()).renew()
    run_out(db)
    db.execute(_OLD_TAKE)
    db.execute(_OLD_STORE, (datetime(2026, 1, 2, 3, 4, 5, 678901), "s:0003"))
    run_out(db)
    a = leases(db, "a", SetClock())
    a.renew()
    assert a.position(3) == "2026-01-02 03:04:05.678901"
    assert a.position(4) is None
    a.release({3: "newer"})
    # The old process takes it again, goes on from its own column, and a new one follows.
    run_out(db)
    db.execute(_OLD_TAKE)
    run_out(db)
    b = leases(db, "b", SetClock())
    b.renew()
    assert b.position(3) == "newer"


def test_a_position_as_long_as_promised_is_kept_and_a_longer_one_is_refused(db: Database) -> None:
    a = leases(db, "a", SetClock())
    a.renew()
    a.release({0: "x" * POSITION_LENGTH})
    a.renew()
    assert a.position(0) == "x" * POSITION_LENGTH
    with pytest.raises(DatabaseError):
        a.release({0: "x" * (POSITION_LENGTH + 1)})
