"""Walks over heads are complete, bounded, and go on from a stored place."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import pytest

from wbd.engines.mysql import Database
from wbd.errors import BadInput
from wbd.revisions.heads import PLACE_LENGTH, START, Page, WalkedHead, by_id, by_shard, every_head

BEGINNING = datetime(2026, 1, 1)
SHARDS = 4
IDS = [f"Q{number}" for number in range(1, 61)] + [f"L{number}" for number in range(1, 31)] + ["P1", "P9", "P10"]


def second_of(number: int) -> int:
    """Return the second in which the head at a position of IDS was edited."""
    return number // (3 * SHARDS)


@pytest.fixture
def heads(db: Database) -> Database:
    """Heads of four shards; three of each shard were edited at the same moment."""
    rows = [
        (entity_id, 7, "0" * 64, number % SHARDS, BEGINNING + timedelta(seconds=second_of(number)))
        for number, entity_id in enumerate(IDS)
    ]
    insert_heads(db, rows)
    return db


def insert_heads(db: Database, rows: list[tuple[str, int, str, int, datetime]]) -> None:
    db.transaction(
        lambda tx: tx.insert("entity_head (entity_id, head_revision_id, content_hash, shard, updated_at)", rows)
    )


def edit(db: Database, entity_id: str) -> None:
    db.execute(
        "UPDATE entity_head SET head_revision_id = head_revision_id + 1, updated_at = CURRENT_TIMESTAMP(6)"
        " WHERE entity_id = %s",
        (entity_id,),
    )


def walked(read: Callable[[str], Page], between: Callable[[list[WalkedHead]], None] = lambda _: None) -> list[str]:
    """Walk to the end, calling *between* after each page; return the ids in the order in which they came."""
    place: str | None = START
    ids: list[str] = []
    while place is not None:
        assert len(place) <= PLACE_LENGTH
        page = read(place)
        ids += [head.entity_id for head in page.heads]
        assert len(ids) < 1000, "the walk does not end"
        between(page.heads)
        place = page.next_place
    return ids


@pytest.mark.parametrize("limit", [1, 7, len(IDS), 1000])
def test_a_walk_by_id_returns_each_head_once_in_the_order_of_ids(heads: Database, limit: int) -> None:
    assert walked(lambda place: by_id(heads, place, limit=limit)) == sorted(IDS)
    assert [head.entity_id for head in every_head(heads, page_heads=limit)] == sorted(IDS)


def test_an_edit_during_a_walk_by_id_neither_hides_nor_repeats_a_head(heads: Database) -> None:
    def edit_all(page: list[WalkedHead]) -> None:
        for head in page:
            edit(heads, head.entity_id)
        edit(heads, "Q9")

    assert walked(lambda place: by_id(heads, place, limit=10), edit_all) == sorted(IDS)


def test_ranges_of_ids_that_touch_divide_the_walk(heads: Database) -> None:
    bounds = ["", "L2", "P1", "Q", "Q5", ""]
    parts = [walked(partial(by_id, heads, limit=4, first=first, end=end)) for first, end in itertools.pairwise(bounds)]
    assert [entity_id for part in parts for entity_id in part] == sorted(IDS)
    assert parts[2] == ["P1", "P10", "P9"]


@pytest.mark.parametrize("limit", [1, 7, len(IDS), 1000])
def test_a_walk_by_shard_returns_each_head_once_in_the_order_of_edits(heads: Database, limit: int) -> None:
    shards: dict[int, datetime | None] = dict.fromkeys(range(SHARDS))
    expected = sorted(IDS, key=lambda each: (IDS.index(each) % SHARDS, second_of(IDS.index(each)), each))
    assert walked(lambda place: by_shard(heads, place, limit=limit, shards=shards)) == expected


def test_shards_divide_the_walk(heads: Database) -> None:
    parts = [walked(partial(by_shard, heads, limit=5, shards={shard: None})) for shard in range(SHARDS)]
    assert sorted(entity_id for part in parts for entity_id in part) == sorted(IDS)


def test_a_head_edited_during_a_walk_by_shard_comes_again_and_none_is_missed(heads: Database) -> None:
    edited: set[str] = set()

    def edit_first(page: list[WalkedHead]) -> None:
        if page and page[0].entity_id not in edited:
            edited.add(page[0].entity_id)
            edit(heads, page[0].entity_id)

    counts = Counter(walked(lambda place: by_shard(heads, place, limit=5, shards={0: None, 1: None}), edit_first))
    assert set(counts) == {entity_id for number, entity_id in enumerate(IDS) if number % SHARDS in (0, 1)}
    assert {entity_id for entity_id, count in counts.items() if count == 2} == edited
    assert len(edited) > 5


def test_a_bound_ends_the_walk_of_a_shard(heads: Database) -> None:
    bounds: dict[int, datetime | None] = {0: BEGINNING + timedelta(seconds=4), 2: None}
    ids = walked(lambda place: by_shard(heads, place, limit=5, shards=bounds))
    expected = [each for n, each in enumerate(IDS) if n % SHARDS == 2 or (n % SHARDS == 0 and second_of(n) < 4)]
    assert sorted(ids) == sorted(expected)


def test_a_stored_place_goes_on_with_another_page_size_and_other_shards(heads: Database) -> None:
    first = by_id(heads, limit=10)
    assert first.next_place is not None
    later = walked(lambda place: by_id(heads, place or str(first.next_place), limit=33))
    assert [head.entity_id for head in first.heads] + later == sorted(IDS)
    page = by_shard(heads, limit=30, shards={0: None, 1: None, 3: None})
    assert page.next_place is not None and page.heads[-1].shard == 1
    later = walked(lambda place: by_shard(heads, place or str(page.next_place), limit=3, shards={2: None}))
    assert sorted(later) == sorted(each for n, each in enumerate(IDS) if n % SHARDS == 2)


@pytest.mark.parametrize("place", ["Q1", "id ", "shard 1", "shard x 2026-01-01 Q1", "shard 1 yesterday Q1", "\x00"])
def test_a_foreign_place_is_refused(heads: Database, place: str) -> None:
    with pytest.raises(BadInput, match="not a place"):
        by_id(heads, place, limit=1)
    with pytest.raises(BadInput, match="not a place"):
        by_shard(heads, place, limit=1, shards={0: None})


def test_a_place_of_one_walk_is_refused_by_the_other(heads: Database) -> None:
    with pytest.raises(BadInput):
        by_id(heads, by_shard(heads, limit=1, shards={0: None}).next_place or "", limit=1)
    with pytest.raises(BadInput):
        by_shard(heads, by_id(heads, limit=1).next_place or "", limit=1, shards={0: None})


def test_the_longest_id_fits_into_a_place(db: Database) -> None:
    insert_heads(db, [("Q" + "9" * 49, 1, "0" * 64, 63, datetime(2026, 1, 1, 1, 1, 1, 123456))])
    for page in (by_id(db, limit=1), by_shard(db, limit=1, shards={63: None})):
        assert page.next_place is not None and len(page.next_place) <= PLACE_LENGTH


def test_snapshot_keys_come_with_the_heads_when_they_are_wanted(heads: Database) -> None:
    columns = "entity_revisions (entity_id, revision_id, operation, content_hash, snapshot_key, snapshot_bytes)"
    rows = [("Q1", 6, "import", "0" * 64, "old", 1), ("Q1", 7, "edit", "0" * 64, "new", 1)]
    rows.append(("Q2", 7, "delete", "0" * 64, "", 0))
    heads.transaction(lambda tx: tx.insert(columns, rows))
    heads.execute("UPDATE entity_head SET is_deleted = TRUE WHERE entity_id = 'Q2'")
    walked_heads = {head.entity_id: head for head in every_head(heads, snapshots=True)}
    assert len(walked_heads) == len(IDS)
    assert (walked_heads["Q1"].snapshot_key, walked_heads["Q1"].is_deleted) == ("new", False)
    assert (walked_heads["Q2"].snapshot_key, walked_heads["Q2"].is_deleted) == ("", True)
    assert walked_heads["Q3"].snapshot_key is None
    assert {head.snapshot_key for head in by_shard(heads, limit=99, shards={0: None}, snapshots=True).heads} == {
        "new",
        None,
    }
    assert by_id(heads, limit=1, first="Q1").heads[0].snapshot_key is None


def test_a_page_costs_its_own_rows_wherever_it_begins(db: Database) -> None:
    rows = [(f"Q{n}", 1, "0" * 64, n % SHARDS, BEGINNING + timedelta(seconds=n)) for n in range(4000)]
    insert_heads(db, rows)
    place = by_id(db, limit=3000).next_place
    shards: dict[int, datetime | None] = {1: None}
    shard_place = by_shard(db, limit=800, shards=shards).next_place
    assert place and shard_place

    def rows_read() -> int:
        return sum(int(count) for _, count in single.query("SHOW SESSION STATUS LIKE 'Handler_read%'"))

    single = Database(db.address, max_connections=1)
    try:
        for read in (
            partial(by_id, single, place, limit=50, snapshots=True),
            partial(by_shard, single, shard_place, limit=50, shards=shards, snapshots=True),
        ):
            before = rows_read()
            assert len(read().heads) == 50
            # An index entry, a row and a lookup of the revision each, and what the count itself reads.
            assert rows_read() - before < 50 * 4 + 100
    finally:
        single.close()
