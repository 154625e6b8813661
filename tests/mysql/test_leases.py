"""Slots are shared between processes, one owner at a time."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import datetime, timedelta

import pytest

from tests.build.clock import SetClock
from wbd.engines.mysql import Database
from wbd.errors import LeaseLost
from wbd.runtime.leases import SlotLeases


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
    position = datetime(2026, 1, 2, 3, 4, 5, 678901)
    a.release({3: position})
    assert b.renew() == frozenset(range(10))
    assert b.position(3) == position
    assert b.position(4) is None


def test_a_position_is_stored_with_each_renewal(db: Database) -> None:
    clock = SetClock()
    a = leases(db, "a", clock)
    a.renew()
    for minute in range(3):
        clock.advance(10)
        a.renew({0: datetime(2026, 1, 1) + timedelta(minutes=minute)})
    assert db.query("SELECT position FROM worker_leases WHERE slot = 's:0000'") == [(datetime(2026, 1, 1, 0, 2),)]


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
