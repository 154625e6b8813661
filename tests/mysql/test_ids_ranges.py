"""Ranges are reserved by compare-and-set on a real database: never twice, without gaps, and refused when unsafe."""

from __future__ import annotations

import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from wbd.engines.mysql import Database
from wbd.entity.ids import MAX_ID, EntityType
from wbd.errors import DatabaseUnavailable, RangeContention, RangeRefused, RetryableError
from wbd.ids.id_range import IdRange
from wbd.ids.pool import IdPool
from wbd.ids.ranges import RangeRow, RangeTable
from wbd.ids.refill import Refiller, SizeBounds
from wbd.runtime.clock import SystemClock
from wbd.settings.kinds import DatabaseAddress
from wbd.stack.mariadb import MariaDB

ITEM = EntityType.ITEM


def item_row(table: RangeTable) -> RangeRow:
    return next(row for row in table.read() if row.entity_type is ITEM)


def set_next_id(db: Database, next_id: int) -> None:
    db.execute("UPDATE id_ranges SET next_id = %s WHERE entity_type = 'item'", (next_id,))


def assert_disjoint(ranges: list[IdRange]) -> None:
    ordered = sorted(ranges, key=lambda one: one.first)
    for one, following in pairwise(ordered):
        assert one.last < following.first, f"{one} and {following} overlap"


@pytest.fixture
def table(db: Database) -> RangeTable:
    table = RangeTable(db)
    table.ensure_rows()
    return table


def test_the_first_rows_are_those_of_the_documents_and_are_made_once(db: Database) -> None:
    table = RangeTable(db)
    assert set(table.ensure_rows()) == set(EntityType)
    assert {(r.current_range_start, r.current_range_end, r.next_id, r.range_size) for r in table.read()} == {
        (1, 1000, 1, 1000)
    }
    table.reserve(ITEM, 10)
    assert table.ensure_rows() == [] and item_row(table).next_id == 11


def test_rows_of_types_that_we_do_not_know_are_left_alone(db: Database, table: RangeTable) -> None:
    db.execute("INSERT INTO id_ranges VALUES ('mediainfo', 1, 1000, 1, 1000, NOW())")
    assert len(table.read()) == 4


def test_the_first_range_begins_at_one_and_each_follows_the_one_before(table: RangeTable) -> None:
    assert table.reserve(ITEM, 1000) == IdRange(ITEM, 1, 1000)
    assert table.reserve(ITEM, 5) == IdRange(ITEM, 1001, 1005)
    assert table.reserve(EntityType.LEXEME, 7) == IdRange(EntityType.LEXEME, 1, 7)
    row = item_row(table)
    assert (row.current_range_start, row.current_range_end, row.next_id, row.range_size) == (1001, 1005, 1006, 5)


def test_a_row_in_the_middle_of_its_range_goes_on_at_next_id(db: Database, table: RangeTable) -> None:
    set_next_id(db, 437)
    assert table.reserve(ITEM, 10) == IdRange(ITEM, 437, 446)


def test_floors_and_reserved_ids_are_kept_free(db: Database, table: RangeTable) -> None:
    careful = RangeTable(db, floors={ITEM: 5000}, reserved=[IdRange(ITEM, 5003, 5010), IdRange(ITEM, 4000, 5000)])
    assert careful.reserve(ITEM, 10) == IdRange(ITEM, 5001, 5002)
    assert careful.reserve(ITEM, 10) == IdRange(ITEM, 5011, 5020)
    assert careful.reserve(EntityType.PROPERTY, 3).first == 1


def test_the_last_id_is_given_and_none_after_it(db: Database, table: RangeTable) -> None:
    set_next_id(db, MAX_ID - 4)
    assert table.reserve(ITEM, 1000) == IdRange(ITEM, MAX_ID - 4, MAX_ID)
    with pytest.raises(RangeRefused, match="leaves no id"):
        table.reserve(ITEM, 1)
    assert item_row(table).next_id == MAX_ID + 1


def test_a_next_id_moved_back_is_refused_by_who_reserved_and_by_who_comes_new(db: Database, table: RangeTable) -> None:
    table.reserve(ITEM, 1000)
    table.reserve(ITEM, 1000)
    for moved_to in (2000, 1500, 900):
        set_next_id(db, moved_to)
        for who in (table, RangeTable(db)):
            with pytest.raises(RangeRefused, match=r"moved back below 2001.*; set next_id to 2001 or more"):
                who.reserve(ITEM, 10)
            with pytest.raises(RangeRefused):
                who.check(item_row(who))
    set_next_id(db, 5000)
    assert table.reserve(ITEM, 10).first == 5000, "moving it forward is the way out"


def test_a_missing_row_is_refused(db: Database, table: RangeTable) -> None:
    db.execute("DELETE FROM id_ranges WHERE entity_type = 'item'")
    with pytest.raises(RangeRefused, match="no row"):
        table.reserve(ITEM, 10)


def test_what_is_given_back_is_reserved_again_unless_somebody_came_between(db: Database, table: RangeTable) -> None:
    table.reserve(ITEM, 1000)
    assert table.give_back(IdRange(ITEM, 400, 1000))
    assert table.reserve(ITEM, 100) == IdRange(ITEM, 400, 499)
    other = RangeTable(db)
    theirs = other.reserve(ITEM, 10)
    assert not table.give_back(IdRange(ITEM, 450, 499)), "the other's range lies behind it"
    assert table.reserve(ITEM, 10).first == theirs.last + 1


def test_what_others_return_below_a_returned_range_is_no_alarm(db: Database, table: RangeTable) -> None:
    """A process that returned its own range does not know the ids below it, which others may return after it."""
    other = RangeTable(db)
    low = table.reserve(ITEM, 100)
    high = other.reserve(ITEM, 50)
    assert other.give_back(high)
    assert table.give_back(IdRange(ITEM, low.last - 9, low.last))
    assert other.reserve(ITEM, 5).first == low.last - 9


def test_a_table_set_back_below_what_is_kept_is_refused_after_a_tail_was_returned(
    db: Database, table: RangeTable
) -> None:
    """Both tables are set back, as by a restored backup, so that only this process knows."""
    first = table.reserve(ITEM, 100)
    second = table.reserve(ITEM, 100)
    assert table.give_back(IdRange(ITEM, second.last - 9, second.last))
    for returned in (IdRange(ITEM, second.first, second.last - 10), None):
        highest = second.last - 10 if returned else first.last
        set_next_id(db, first.first)
        db.execute("UPDATE id_ranges SET current_range_start = 1 WHERE entity_type = 'item'")
        db.execute("UPDATE id_high_water SET reserved_to = %s WHERE entity_type = 'item'", (first.first - 1,))
        with pytest.raises(RangeRefused, match=f"below {highest + 1}"):
            table.reserve(ITEM, 10)
        set_next_id(db, highest + 1)
        db.execute("UPDATE id_high_water SET reserved_to = %s WHERE entity_type = 'item'", (highest,))
        if returned:
            assert table.give_back(returned)


def test_ranges_are_given_back_from_the_end(db: Database, table: RangeTable) -> None:
    pool = IdPool()
    refiller = Refiller(table, pool, SizeBounds(100, 100), SystemClock())
    refiller.prepare()
    while refiller.is_low():
        refiller.refill()
    pool[ITEM].take(30)
    RangeTable(db).reserve(EntityType.LEXEME, 1)
    given, lost = refiller.give_back()
    assert (given, lost) == (170 + 200 + 200, 200), "only the lexemes had a reservation of somebody else behind them"
    assert item_row(table).next_id == 31


def test_a_refill_grows_with_demand_and_the_next_process_begins_where_it_ended(db: Database) -> None:
    table, pool = RangeTable(db), IdPool()
    refiller = Refiller(table, pool, SizeBounds(1000, 5000), SystemClock())
    refiller.prepare()
    for _ in range(12):
        while refiller.is_low():
            added, errors = refiller.refill()
            assert added and not errors
        pool[ITEM].take_up_to(pool[ITEM].state().left - 10)
    assert item_row(table).range_size == 5000, "doubled up to its bound"
    report = refiller.report()
    assert report["item"].range_size == 5000 and report["property"].range_size == 1000
    assert report["item"].range_last == item_row(table).next_id - 1
    heir = Refiller(table, IdPool(), SizeBounds(1000, 5000), SystemClock())
    heir.prepare()
    heir.refill()
    assert heir.report()["item"].left == 5000


def test_one_type_that_is_refused_does_not_keep_the_others_from_their_ids(db: Database) -> None:
    table, pool = RangeTable(db), IdPool()
    refiller = Refiller(table, pool, SizeBounds(), SystemClock())
    refiller.prepare()
    set_next_id(db, MAX_ID + 1)
    added, errors = refiller.refill()
    assert {one.entity_type for one in added} == set(EntityType) - {ITEM}
    assert len(errors) == 1 and isinstance(errors[0], RangeRefused)


def reserve_many(table: RangeTable, count: int, size: int) -> list[IdRange]:
    ranges: list[IdRange] = []
    while len(ranges) < count:
        with suppress(RangeContention):
            ranges.append(table.reserve(ITEM, size))
    return ranges


def test_eight_threads_that_race_for_ranges_share_none_and_leave_no_gap(db: Database, table: RangeTable) -> None:
    tables = [RangeTable(db) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        lots = list(threads.map(lambda one: reserve_many(one, 25, 7), tables))
    ranges = [one for lot in lots for one in lot]
    assert_disjoint(ranges)
    assert sorted(n for one in ranges for n in one.numbers()) == list(range(1, 8 * 25 * 7 + 1))
    assert all(lot == sorted(lot, key=lambda one: one.first) for lot in lots)
    assert sum(one.stats(ITEM).lost_races for one in tables) > 0, "they did race"


def reserve_in_process(
    address: DatabaseAddress, count: int, results: multiprocessing.SimpleQueue[list[IdRange]]
) -> None:
    db = Database(address, max_connections=1)
    results.put(reserve_many(RangeTable(db), count, 11))
    db.close()


def test_processes_that_race_for_ranges_share_none_and_leave_no_gap(
    address: DatabaseAddress, table: RangeTable
) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    processes = [context.Process(target=reserve_in_process, args=(address, 30, results)) for _ in range(3)]
    for process in processes:
        process.start()
    ranges = [one for _ in processes for one in results.get()]
    for process in processes:
        process.join(timeout=30)
        assert process.exitcode == 0
    assert sorted(n for one in ranges for n in one.numbers()) == list(range(1, 3 * 30 * 11 + 1))


@contextmanager
def cutting(server: str, path: Path, *, deliver: bool) -> Iterator[str]:
    """
    A path to the server on which the next commit loses its connection.

    deliver: the server gets the commit and only its answer is lost; else the commit is lost as well.
    """
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(8)
    cut = threading.Event()

    def pump(source: socket.socket, target: socket.socket, *, watch: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if watch and data.lower().endswith(b"commit") and not cut.is_set():
                    cut.set()
                    if deliver:
                        target.sendall(data)
                        # The server answers, so it has committed; the answer never reaches the client.
                        while not answered.wait(0.01) and not closed.is_set():
                            pass
                    break
                if not watch and cut.is_set() and not passed.is_set():
                    answered.set()
                    break
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    answered, passed, closed = threading.Event(), threading.Event(), threading.Event()

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                if cut.is_set():
                    passed.set()
                upstream = socket.socket(socket.AF_UNIX)
                upstream.connect(server)
                for source, target, watch in ((client, upstream, True), (upstream, client, False)):
                    threading.Thread(target=pump, args=(source, target), kwargs={"watch": watch}, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield str(path)
    finally:
        closed.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.parametrize("deliver", [True, False])
def test_a_commit_whose_outcome_is_unknown_never_leads_to_a_reuse(
    address: DatabaseAddress, table: RangeTable, tmp_path: Path, deliver: bool
) -> None:
    mine = [table.reserve(ITEM, 100)]
    assert address.unix_socket is not None
    with cutting(address.unix_socket, tmp_path / "cut.sock", deliver=deliver) as path:
        db = Database(replace(address, unix_socket=path), max_connections=1)
        unlucky = RangeTable(db)
        with pytest.raises(DatabaseUnavailable, match="outcome unknown"):
            unlucky.reserve(ITEM, 100)
        row = item_row(table)
        assert row.next_id == (201 if deliver else 101), "the commit took effect or not"
        assert row.reserved_to == row.next_id - 1, "in both tables"
        mine.append(unlucky.reserve(ITEM, 100))
        db.close()
    mine.append(table.reserve(ITEM, 100))
    assert_disjoint(mine)
    assert mine[1].first == (201 if deliver else 101), "a range that may have been reserved is lost, not handed out"


def test_a_return_whose_outcome_is_unknown_never_leads_to_a_reuse(
    address: DatabaseAddress, table: RangeTable, tmp_path: Path
) -> None:
    assert address.unix_socket is not None
    with cutting(address.unix_socket, tmp_path / "cut.sock", deliver=True) as path:
        direct, db = Database(address, max_connections=1), Database(replace(address, unix_socket=path))
        taken = table.reserve(ITEM, 100)
        with pytest.raises(DatabaseUnavailable):
            RangeTable(db).give_back(IdRange(ITEM, 41, 100))
        assert table.give_back(IdRange(ITEM, 41, 100)) is False, "it was done; doing it again changes nothing"
        assert (item_row(table).next_id, item_row(table).reserved_to) == (41, 40)
        assert table.reserve(ITEM, 10) == IdRange(ITEM, 41, 50) and taken.last == 100
        direct.close()
        db.close()


def test_a_database_that_crashes_under_load_repeats_no_range(
    mariadb: MariaDB, address: DatabaseAddress, table: RangeTable
) -> None:
    stop = threading.Event()
    lots: list[list[IdRange]] = [[] for _ in range(4)]
    errors: list[Exception] = []

    def reserve(lot: list[IdRange]) -> None:
        db = Database(address, max_connections=1, connect_timeout_s=2)
        mine = RangeTable(db)
        while not stop.is_set():
            try:
                lot.append(mine.reserve(ITEM, 9))
            except RetryableError:
                stop.wait(0.02)
            except Exception as error:  # a thread's error must fail the test
                errors.append(error)
                return
        db.close()

    threads = [threading.Thread(target=reserve, args=(lot,)) for lot in lots]
    for thread in threads:
        thread.start()
    try:
        for round_number in (1, 2):
            wait_for_more(lots, 15, errors)
            mariadb.kill() if round_number == 1 else mariadb.stop()
            mariadb.start()
        wait_for_more(lots, 15, errors)
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=30)
    assert not errors
    ranges = [one for lot in lots for one in lot]
    assert_disjoint(ranges)
    last = max(one.last for one in ranges)
    lost = last - sum(len(one) for one in ranges)
    assert lost <= 2 * len(lots) * 9, "at most the commits that were under way at each crash"
    row = item_row(table)
    assert row.reserved_to == row.next_id - 1 and row.next_id >= last + 1


def wait_for_more(lots: list[list[IdRange]], count: int, errors: list[Exception]) -> None:
    wanted = [len(lot) + count for lot in lots]
    end = time.monotonic() + 60
    while any(len(lot) < want for lot, want in zip(lots, wanted, strict=True)):
        assert time.monotonic() < end and not errors, f"reservations do not go on: {errors}"
        time.sleep(0.01)
