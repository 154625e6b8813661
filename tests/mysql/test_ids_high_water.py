"""Reserved and imported ids are never reserved again, whatever happens to id_ranges."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from tests.build.wikibase import labelled_item, lexeme, redirect
from tests.mysql.conftest import Connect
from tests.mysql.import_cases import write_lines
from wbd.engines.mysql import Database, Transaction
from wbd.engines.objects import open_store
from wbd.entity.check import check_entity
from wbd.entity.ids import MAX_ID, EntityType
from wbd.errors import DatabaseUnavailable, RangeContention, RangeRefused
from wbd.ids.high_water import HighWater
from wbd.ids.id_range import IdRange
from wbd.ids.ranges import RangeRow, RangeTable
from wbd.importing.importer import import_files
from wbd.revisions.store import RevisionStore
from wbd.settings.kinds import ObjectsAddress

ITEM, LEXEME, PROPERTY = EntityType.ITEM, EntityType.LEXEME, EntityType.PROPERTY


@pytest.fixture
def table(db: Database) -> RangeTable:
    table = RangeTable(db)
    table.ensure_rows()
    return table


@pytest.fixture
def store(db: Database, tmp_path: Path) -> RevisionStore:
    return RevisionStore(db, open_store(ObjectsAddress(f"file://{tmp_path}/objects"), "revisions"))


def row_of(db: Database, entity_type: EntityType = ITEM) -> RangeRow:
    return next(row for row in RangeTable(db).read() if row.entity_type is entity_type)


def numbers(db: Database, entity_type: EntityType = ITEM) -> tuple[int, int | None, int]:
    """next_id, reserved_to, imported_to."""
    row = row_of(db, entity_type)
    return (row.next_id, row.reserved_to, row.imported_to)


def set_next_id(db: Database, next_id: int) -> None:
    db.execute("UPDATE id_ranges SET next_id = %s WHERE entity_type = 'item'", (next_id,))


def assert_disjoint(ranges: list[IdRange]) -> None:
    for one, following in pairwise(sorted(ranges, key=lambda one: one.first)):
        assert one.last < following.first, f"{one} and {following} overlap"


def test_reserved_to_follows_reservations_and_returns(db: Database, table: RangeTable) -> None:
    assert numbers(db) == (1, 0, 0)
    table.reserve(ITEM, 1000)
    assert numbers(db) == (1001, 1000, 0)
    assert table.give_back(IdRange(ITEM, 401, 1000))
    assert numbers(db) == (401, 400, 0)
    assert table.give_back(IdRange(ITEM, 1, 400))
    assert numbers(db) == (1, 0, 0)
    assert numbers(db, LEXEME) == (1, 0, 0)


def test_a_table_that_was_emptied_and_made_again_is_refused_by_old_and_new_processes(
    db: Database, table: RangeTable
) -> None:
    taken = table.reserve(ITEM, 12000)
    db.execute("TRUNCATE TABLE id_ranges")
    with pytest.raises(RangeRefused, match="no row"):
        table.reserve(ITEM, 10)
    restarted = RangeTable(db)
    assert set(restarted.ensure_rows()) == set(EntityType)
    for who in (table, restarted):
        with pytest.raises(RangeRefused, match=r"next_id 1 was moved back below 12001; .* set next_id to 12001 or"):
            who.reserve(ITEM, 10)
        with pytest.raises(RangeRefused, match="moved back below 12001"):
            who.check(row_of(db))
    assert restarted.reserve(LEXEME, 10) == IdRange(LEXEME, 1, 10), "nothing of this type was reserved before"
    set_next_id(db, 12001)
    assert restarted.reserve(ITEM, 10).first == taken.last + 1, "what the refusal says is the way out"


def test_a_next_id_moved_back_with_its_range_is_refused_after_a_restart(db: Database, table: RangeTable) -> None:
    for _ in range(3):
        table.reserve(ITEM, 1000)
    db.execute("UPDATE id_ranges SET current_range_start = 1, current_range_end = 1000, next_id = 501")
    restarted = RangeTable(db)
    assert restarted.ensure_rows() == []
    with pytest.raises(RangeRefused, match="next_id 501 was moved back below 3001"):
        restarted.reserve(ITEM, 10)
    set_next_id(db, 3000)
    with pytest.raises(RangeRefused):
        restarted.reserve(ITEM, 10)
    set_next_id(db, 3001)
    assert restarted.reserve(ITEM, 10).first == 3001


def test_starting_over_on_purpose_is_done_by_deleting_both_rows(db: Database, table: RangeTable) -> None:
    table.reserve(ITEM, 1000)
    HighWater(db).raise_imported({ITEM: 5000})
    for name in ("id_ranges", "id_high_water"):
        db.execute(f"DELETE FROM {name} WHERE entity_type = 'item'")
    restarted = RangeTable(db)
    assert restarted.ensure_rows() == [ITEM]
    assert restarted.reserve(ITEM, 10) == IdRange(ITEM, 1, 10)


def test_rows_that_are_missing_are_made_from_next_id_and_none_is_lowered(db: Database, table: RangeTable) -> None:
    table.reserve(ITEM, 1000)
    table.reserve(LEXEME, 70)
    HighWater(db).raise_imported({LEXEME: 500})
    db.execute("DELETE FROM id_high_water WHERE entity_type IN ('item', 'property')")
    with pytest.raises(RangeRefused, match=r"id_high_water item: no row; .* restart"):
        table.reserve(ITEM, 10)
    with pytest.raises(RangeRefused, match="id_high_water"):
        table.check(row_of(db))
    assert not table.give_back(IdRange(ITEM, 501, 1000)), "without the row nothing moves"
    assert RangeTable(db).ensure_rows() == [], "the rows of id_ranges were there"
    assert numbers(db) == (1001, 1000, 0)
    assert numbers(db, PROPERTY) == (1, 0, 0)
    assert numbers(db, LEXEME) == (71, 70, 500)


def test_workers_that_start_at_once_make_the_rows_once(db: Database, connect: Connect) -> None:
    tables = [RangeTable(connect()) for _ in range(6)]

    def start(one: RangeTable) -> list[IdRange]:
        one.ensure_rows()
        return [one.reserve(entity_type, 10) for entity_type in EntityType]

    with ThreadPoolExecutor(len(tables)) as threads:
        lots = list(threads.map(start, tables))
    for entity_type in EntityType:
        assert_disjoint([one for lot in lots for one in lot if one.entity_type is entity_type])
        assert numbers(db, entity_type) == (61, 60, 0)
    assert db.query("SELECT COUNT(*) FROM id_high_water") == [(4,)]


def test_a_table_of_another_collation_is_read_all_the_same(db: Database) -> None:
    """Another program may have made id_ranges, when the database had another default collation."""
    db.execute("ALTER TABLE id_ranges CONVERT TO CHARACTER SET latin1 COLLATE latin1_german1_ci")
    table = RangeTable(db)
    table.ensure_rows()
    HighWater(db).raise_imported({ITEM: 42})
    assert table.reserve(ITEM, 10) == IdRange(ITEM, 43, 52)
    assert table.give_back(IdRange(ITEM, 50, 52))
    assert numbers(db) == (50, 49, 42)


def test_without_the_table_the_error_says_how_to_make_it(db: Database, table: RangeTable) -> None:
    db.execute("DROP TABLE id_high_water")
    for call in (lambda: table.reserve(ITEM, 1), table.read, lambda: HighWater(db).raise_imported({ITEM: 1})):
        with pytest.raises(DatabaseUnavailable, match="wbd dev create_tables"):
            call()
    assert db.query("SELECT next_id FROM id_ranges WHERE entity_type = 'item'") == [(1,)]


def test_a_reservation_begins_above_what_was_imported(db: Database, table: RangeTable) -> None:
    guard = HighWater(db)
    guard.raise_imported({ITEM: 42, LEXEME: 7})
    assert table.imported_to(ITEM) == 0, "as of the last read"
    assert table.reserve(ITEM, 10) == IdRange(ITEM, 43, 52)
    assert (table.imported_to(ITEM), table.imported_to(LEXEME)) == (42, 0)
    table.read()
    assert (table.imported_to(ITEM), table.imported_to(LEXEME), table.imported_to(PROPERTY)) == (42, 7, 0)
    guard.raise_imported({ITEM: 48})
    assert table.reserve(ITEM, 10).first == 53, "the others are its host's to drop"
    guard.raise_imported({ITEM: 5000})
    assert table.give_back(IdRange(ITEM, 53, 62))
    assert table.reserve(ITEM, 10).first == 5001, "nor are ids reserved again that came back before"


def test_floors_and_reserved_ids_hold_above_what_was_imported(db: Database, table: RangeTable) -> None:
    HighWater(db).raise_imported({ITEM: 42, LEXEME: 42})
    careful = RangeTable(db, floors={ITEM: 40, LEXEME: 100}, reserved=[IdRange(ITEM, 43, 50), IdRange(ITEM, 55, 60)])
    assert careful.reserve(ITEM, 10) == IdRange(ITEM, 51, 54)
    assert careful.reserve(ITEM, 10) == IdRange(ITEM, 61, 70)
    assert careful.reserve(LEXEME, 1).first == 100


def test_an_import_before_the_first_worker_is_kept_when_the_rows_are_made(db: Database) -> None:
    HighWater(db).raise_imported({ITEM: 42})
    table = RangeTable(db)
    assert table.read() == []
    table.ensure_rows()
    assert (numbers(db), numbers(db, LEXEME)) == ((1, 0, 42), (1, 0, 0))
    assert table.reserve(ITEM, 1).first == 43


def test_an_import_that_makes_the_row_does_not_forget_what_is_reserved(db: Database, table: RangeTable) -> None:
    table.reserve(ITEM, 1000)
    db.execute("DELETE FROM id_high_water")
    HighWater(db).raise_imported({ITEM: 42})
    assert (numbers(db), numbers(db, LEXEME)) == ((1001, 1000, 42), (1, 0, 0))


def test_a_number_is_only_raised_and_written_only_when_it_is_higher(db: Database) -> None:
    guard, other = HighWater(db), HighWater(db)
    other.raise_imported({ITEM: 1000})
    guard.raise_imported({ITEM: 42, LEXEME: 3})
    before = db.stats.transactions
    guard.raise_imported({ITEM: 42, LEXEME: 2})
    guard.raise_imported({})
    assert db.stats.transactions == before, "this process has recorded as much"
    guard.raise_imported({ITEM: 43, LEXEME: 1})
    assert db.stats.transactions == before + 1
    RangeTable(db).ensure_rows()
    assert (numbers(db)[2], numbers(db, LEXEME)[2]) == (1000, 3)


def test_the_last_id_can_be_reserved_or_imported_and_none_comes_after_it(db: Database, table: RangeTable) -> None:
    set_next_id(db, MAX_ID - 4)
    assert table.reserve(ITEM, 1000) == IdRange(ITEM, MAX_ID - 4, MAX_ID)
    assert numbers(db) == (MAX_ID + 1, MAX_ID, 0)
    with pytest.raises(RangeRefused, match="next_id 9223372036854775808 leaves no id"):
        table.reserve(ITEM, 1)
    assert table.give_back(IdRange(ITEM, MAX_ID - 1, MAX_ID))
    HighWater(db).raise_imported({ITEM: MAX_ID - 1, LEXEME: MAX_ID})
    assert table.reserve(ITEM, 5) == IdRange(ITEM, MAX_ID, MAX_ID)
    with pytest.raises(RangeRefused, match=r"id_high_water lexeme: imported_to 9223372036854775807 leaves no id"):
        table.reserve(LEXEME, 1)
    db.execute("UPDATE id_high_water SET imported_to = 42 WHERE entity_type = 'lexeme'")
    assert table.reserve(LEXEME, 1).first == 43, "what the refusal says is the way out"


def test_ids_begin_above_an_imported_dump(db: Database, store: RevisionStore, tmp_path: Path) -> None:
    forms = [{"id": "L7-F900", "representations": {}, "grammaticalFeatures": [], "claims": {}}]
    entities = [labelled_item(42), redirect("Q64", "Q42"), labelled_item(5), lexeme("L7", forms=forms)]
    dump = write_lines(tmp_path / "dump.json", entities)
    assert import_files([dump], store).created == 4
    table = RangeTable(db)
    table.ensure_rows()
    assert table.reserve(ITEM, 10).first == 65
    assert table.reserve(LEXEME, 10).first == 8, "forms are numbered within their lexeme"
    assert table.reserve(PROPERTY, 10).first == 1


def test_an_import_of_what_is_there_raises_nothing(db: Database, store: RevisionStore, tmp_path: Path) -> None:
    """Ids that this wiki gave out do not count as imported when a dump of it is imported again."""
    table = RangeTable(db)
    table.ensure_rows()
    table.reserve(ITEM, 1000)
    for number in (10, 900):
        store.write(check_entity(labelled_item(number)))
    dump = write_lines(
        tmp_path / "dump.json",
        [labelled_item(900), labelled_item(10, "edited"), labelled_item(900, "edited"), labelled_item(3)],
    )
    report = import_files([dump], store)
    assert (report.created, report.updated, report.unchanged) == (1, 2, 1)
    assert numbers(db) == (1001, 1000, 3)


def test_the_number_is_kept_before_the_entity_can_be_seen(db: Database, store: RevisionStore, connect: Connect) -> None:
    result: list[object] = []

    def hold(tx: Transaction) -> None:
        tx.execute(
            "INSERT INTO entity_head (entity_id, head_revision_id, content_hash, shard) VALUES ('Q42', 1, '', 0)"
        )
        writer.start()
        end = time.monotonic() + 30
        while (now := imported_item(db)) != 42:
            assert time.monotonic() < end, f"imported_to is {now} while the head waits for its rival"
            time.sleep(0.01)
        assert not result and store.head("Q42") is None
        raise RolledBack

    writer = threading.Thread(
        target=lambda: result.extend(store.write_many([check_entity(labelled_item(42))], imported=True)), daemon=True
    )
    with pytest.raises(RolledBack):
        connect().transaction(hold)
    writer.join(timeout=30)
    assert result and store.head("Q42") is not None


def test_an_import_between_the_read_and_the_write_of_a_reservation_is_seen(
    db: Database, table: RangeTable, connect: Connect
) -> None:
    guard = HighWater(db)
    guard.raise_imported({ITEM: 1})
    taken: list[IdRange] = []
    reserver = threading.Thread(target=lambda: taken.append(RangeTable(connect()).reserve(ITEM, 10)), daemon=True)

    def hold(tx: Transaction) -> None:
        tx.query("SELECT next_id FROM id_ranges WHERE entity_type = 'item' FOR UPDATE")
        reserver.start()
        end = time.monotonic() + 30
        waiting = "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
        while db.query(waiting) == [(0,)]:
            assert time.monotonic() < end, "the reservation does not wait for the row"
            # The server updates this table only when nobody has read it for a tenth of a second.
            time.sleep(0.15)
        guard.raise_imported({ITEM: 42})

    connect().transaction(hold)
    reserver.join(timeout=30)
    assert taken == [IdRange(ITEM, 43, 52)]


class RolledBack(Exception):
    """Raised to end a transaction without a commit."""


def imported_item(db: Database) -> int | None:
    rows = db.query("SELECT imported_to FROM id_high_water WHERE entity_type = 'item'")
    return int(rows[0][0]) if rows else None


def test_hosts_that_reserve_return_and_import_at_once_never_share_an_id(
    db: Database, table: RangeTable, connect: Connect
) -> None:
    """Each host keeps some ids and returns the rest; no id is kept twice, none is reserved after its import."""
    retained: list[IdRange] = []
    imported = 0
    lock = threading.Lock()

    def host(seed: int) -> None:
        rng = random.Random(seed)
        mine = RangeTable(connect())
        for _ in range(40):
            with lock:
                known = imported
            try:
                taken = mine.reserve(ITEM, rng.randint(1, 20))
            except RangeContention:
                continue
            assert taken.first > known, f"{taken} though {known} was imported before"
            cut = rng.randint(taken.first, taken.last + 1)
            given = cut <= taken.last and mine.give_back(IdRange(ITEM, cut, taken.last))
            with lock:
                if not given:
                    retained.append(taken)
                elif cut > taken.first:
                    retained.append(IdRange(ITEM, taken.first, cut - 1))

    def importer(seed: int) -> None:
        nonlocal imported
        rng = random.Random(seed)
        guard = HighWater(connect())
        for _ in range(40):
            number = numbers(db)[0] + rng.randint(-30, 30)
            if number > 0:
                guard.raise_imported({ITEM: number, LEXEME: number})
                with lock:
                    imported = max(imported, number)

    with ThreadPoolExecutor(6) as threads:
        jobs = [threads.submit(job, seed) for seed, job in enumerate([host, host, host, host, importer, importer])]
        for one in jobs:
            one.result()
    assert_disjoint(retained)
    next_id, reserved_to, imported_to = numbers(db)
    assert reserved_to == next_id - 1 and reserved_to >= max(one.last for one in retained)
    assert imported_to == imported
