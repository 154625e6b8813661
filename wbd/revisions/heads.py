"""Walk over the heads of all entities, page by page, from a place that the caller can store.

Reads:   entity_head; entity_revisions too when snapshot keys are wanted
Writes:  nothing
Repeats: harmless; a place gives the same page again, but for the edits made in between

There are two walks. Each follows an index, so a page costs the rows that it returns, however large the table is and
wherever the page begins.

by_id: in the order of entity_id as text (L1, Q1, Q10, Q2), along the primary key. A head that exists during the whole
    walk is in exactly one page, edited or not. Dumps, statistics and replays want this one; processes divide it by
    ranges of ids.
by_shard: shard after shard, in the order of the last edit, along idx_shard_updated. An edit moves a head to the end of
    its shard, so such a head may be in two pages; with an upper bound it leaves the walk. Callers that also follow
    edits want this one, such as the sweep of the diff worker; processes divide it by shards.

A place is opaque text of at most PLACE_LENGTH characters. It stays valid when shards, range or page size change between
pages; a shard added before the place is not visited until the next walk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from wbd.engines.mysql import Database, Row
from wbd.errors import BadInput

PLACE_LENGTH: Final = 100
"""Bound of a place, in characters; all of them are ASCII."""

START: Final = ""
"""The place at which every walk begins."""

# Before every head: TIMESTAMP columns begin a day earlier.
_BEGINNING = datetime(1970, 1, 2)
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class WalkedHead:
    """
    A head, as it was when its page was read.

    updated_at: time of its last edit by the database's clock, UTC without a zone.
    snapshot_key: "" for a deleted entity; None when it was not asked for, or when the revision has no row.
    """

    entity_id: str
    revision_id: int
    shard: int
    updated_at: datetime
    is_deleted: bool
    is_redirect: bool
    snapshot_key: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some heads in the order of the walk, and the place of the page after them; None at the end of the walk."""

    heads: list[WalkedHead]
    next_place: str | None


def by_id(
    db: Database, place: str = START, *, limit: int, first: str = "", end: str = "", snapshots: bool = False
) -> Page:
    """
    Return the next *limit* heads in the order of their ids.

    One query. It reads *limit* rows, and as many of entity_revisions when *snapshots* is set.

    Args:
        first: the least id of the range, which need not exist; such as "L" for lexemes.
        end: the id after the range, such as "M"; "" for no end.
        snapshots: fill in snapshot_key.

    Raises:
        BadInput: *place* does not come from this walk.
        DatabaseUnavailable: as in Database.query.
    """
    after = _id_of(place)
    # The range may have changed since the last page.
    condition, params = ("h.entity_id > %s", [after]) if place and after >= first else ("h.entity_id >= %s", [first])
    if end:
        condition += " AND h.entity_id < %s"
        params.append(end)
    rows = db.query(f"{_select(snapshots)} WHERE {condition} ORDER BY h.entity_id LIMIT %s", (*params, limit))
    heads = [_head(row) for row in rows]
    return Page(heads, f"id {heads[-1].entity_id}" if len(heads) == limit else None)


def by_shard(
    db: Database,
    place: str = START,
    *,
    limit: int,
    shards: Mapping[int, datetime | None],
    snapshots: bool = False,
) -> Page:
    """
    Return the next *limit* heads of some shards, each shard in the order of its edits.

    One query for each shard that the page touches. They read *limit* rows in all, and as many of entity_revisions when
    *snapshots* is set.

    Args:
        shards: each shard with the time before which its heads were last edited; None for no bound.
        snapshots: fill in snapshot_key.

    Raises:
        BadInput: *place* does not come from this walk.
        DatabaseUnavailable: as in Database.query.
    """
    reached, updated_at, entity_id = _shard_of(place)
    heads: list[WalkedHead] = []
    for shard in sorted(each for each in shards if each >= reached):
        after = (updated_at, entity_id) if shard == reached else (_BEGINNING, "")
        before = shards[shard]
        rows = db.query(
            f"{_select(snapshots)} WHERE h.shard = %s AND h.updated_at >= %s"
            + (" AND h.updated_at < %s" if before else "")
            + " AND (h.updated_at > %s OR h.entity_id > %s) ORDER BY h.updated_at, h.entity_id LIMIT %s",
            (shard, after[0], *([before] if before else []), *after, limit - len(heads)),
        )
        heads += [_head(row) for row in rows]
        if len(heads) == limit:
            last = heads[-1]
            return Page(heads, f"shard {shard} {last.updated_at.isoformat()} {last.entity_id}")
    return Page(heads, None)


def every_head(
    db: Database, *, page_heads: int = 1000, first: str = "", end: str = "", snapshots: bool = False
) -> Iterator[WalkedHead]:
    """Yield every head of a range in the order of ids, a page in memory at a time; for the arguments see by_id."""
    place: str | None = START
    while place is not None:
        page = by_id(db, place, limit=page_heads, first=first, end=end, snapshots=snapshots)
        yield from page.heads
        place = page.next_place


def _select(snapshots: bool) -> str:
    columns = "h.entity_id, h.head_revision_id, h.shard, h.updated_at, h.is_deleted, h.is_redirect"
    if not snapshots:
        return f"SELECT {columns}, NULL FROM entity_head h"
    return (
        f"SELECT {columns}, r.snapshot_key FROM entity_head h LEFT JOIN entity_revisions r"
        " ON r.entity_id = h.entity_id AND r.revision_id = h.head_revision_id"
    )


def _head(row: Row) -> WalkedHead:
    return WalkedHead(row[0], row[1], row[2], row[3], bool(row[4]), bool(row[5]), row[6])


def _id_of(place: str) -> str:
    if place == START:
        return ""
    kind, _, entity_id = place.partition(" ")
    if kind != "id" or not entity_id:
        raise _bad(place)
    return entity_id


def _shard_of(place: str) -> tuple[int, datetime, str]:
    if place == START:
        return -1, _BEGINNING, ""
    try:
        kind, shard, updated_at, entity_id = place.split(" ")
        if kind != "shard":
            raise ValueError
        return int(shard), datetime.fromisoformat(updated_at), entity_id
    except ValueError:
        raise _bad(place) from None


def _bad(place: str) -> BadInput:
    return BadInput(f"{place[:_SHOWN_CHARACTERS]!r} is not a place of this walk over heads")
