"""Find the revisions whose diff is not published yet, and record those whose diff is.

Reads:  entity_head, entity_revisions, entity_diff_state, entity_diff_requests, entity_diff_failures
Writes: entity_diff_state, entity_diff_failures, entity_diff_requests

Rows become visible in commit order, not in the order of their timestamps, so a plain high-water mark would lose rows.
The poll goes on from a position per shard, reads a window behind it again every few seconds, and leaves out the
revisions that entity_diff_state marks as done. A sweep over all heads behind the positions finds those that polls
missed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from wbd.engines.mysql import Database, Transaction
from wbd.revisions import heads
from wbd.revisions.revision import shard_of

# The Turtle, JSON and diff lines of a batch this large stay well below 1 GiB of memory and take a few seconds to make.
MAX_BATCH_BYTES = 16 * 1024 * 1024
_EPOCH = datetime(1970, 1, 2)
_REASON_LENGTH = 2000
# MariaDB rewrites a longer list to a temporary table.
_IDS_A_QUERY = 500
# Heads to publish in full that one query returns.
_RECONCILES = 100


Fence = Callable[[Transaction, Collection[int]], None]
"""SlotLeases.fence."""


@dataclass(frozen=True, slots=True)
class WaitingHead:
    """A head that was never published, or has moved since."""

    entity_id: str
    shard: int
    head_revision_id: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class WaitingRevision:
    """
    A revision to diff against the last one that consumers hold.

    snapshot_key: "" when the revision deletes the entity.
    base_revision_id: None when consumers hold nothing.
    base_snapshot_key: None too, or when the base has no row; "" when it deleted the entity.
    """

    entity_id: str
    revision_id: int
    snapshot_key: str
    snapshot_bytes: int
    created_at: datetime
    base_revision_id: int | None
    base_snapshot_key: str | None


@dataclass(frozen=True, slots=True)
class Reconcile:
    """A head to publish in full. request: when somebody asked for it; "" when its missing snapshot has appeared."""

    head: WaitingHead
    revision: WaitingRevision
    request: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A revision that is set aside. missing: its snapshot could not be read and may still appear."""

    entity_id: str
    revision_id: int
    reason: str
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one entity has come: see entity_diff_state in schema.sql."""

    entity_id: str
    seen_revision_id: int
    published_revision_id: int | None


class DiffFeed:
    """The queries of the diff worker. Keeps nothing but the positions of its shards."""

    def __init__(self, db: Database, *, overlap_s: float) -> None:
        self._db = db
        self._overlap = timedelta(seconds=overlap_s)
        self._positions: dict[int, datetime] = {}
        self._sweep_place = heads.START

    def follow(self, shards: Mapping[int, str | None]) -> None:
        """Take on the shards that are ours now, each from its stored position less the overlap."""
        # Without a stored position, from the beginning.
        self._positions = {
            shard: self._positions.get(shard)
            or (max(datetime.fromisoformat(stored) - self._overlap, _EPOCH) if stored else _EPOCH)
            for shard, stored in shards.items()
        }

    def positions(self, unfinished: Iterable[WaitingHead]) -> dict[int, str]:
        """
        Return the position of each shard as text, for follow() of the next owner.

        A position is the time of an edit. It never passes a head that is not done, so that the next owner finds it.
        """
        positions = {shard: position for shard, position in self._positions.items() if position > _EPOCH}
        for head in unfinished:
            if head.shard in positions:
                positions[head.shard] = min(positions[head.shard], head.updated_at)
        return {shard: position.isoformat(sep=" ") for shard, position in positions.items()}

    def poll(self, limit: int, *, overlap: bool, leave_out: Mapping[int, int]) -> list[WaitingHead]:
        """
        Return waiting heads of our shards, oldest first within a shard; moves the positions past them.

        Args:
            limit: about how many; each shard gives at most its part, and at least 4.
            overlap: read the window behind the positions again.
            leave_out: number of heads in each shard that the caller holds back; the limit is raised by them, since they
                would fill it for good.
        """
        if not self._positions:
            return []
        each = {shard: max(4, limit // len(self._positions)) + leave_out.get(shard, 0) for shard in self._positions}
        # A SELECT a shard walks idx_shard_updated and stops at its limit; IN (...) would sort the whole backlog.
        one = (
            "(SELECT h.entity_id, h.shard, h.head_revision_id, h.updated_at FROM entity_head h"
            " LEFT JOIN entity_diff_state s ON s.entity_id = h.entity_id"
            " WHERE h.shard = %s AND h.updated_at >= %s"
            " AND (s.seen_revision_id IS NULL OR s.seen_revision_id < h.head_revision_id)"
            " ORDER BY h.updated_at, h.entity_id LIMIT %s)"
        )
        params: list[object] = []
        for shard, position in sorted(self._positions.items()):
            params += [shard, max(position - self._overlap, _EPOCH) if overlap else position, each[shard]]
        ((begun_at,),) = self._db.query("SELECT CURRENT_TIMESTAMP(6)")
        waiting = [
            WaitingHead(*row) for row in self._db.query(" UNION ALL ".join([one] * len(self._positions)), params)
        ]
        rows = Counter(head.shard for head in waiting)
        for head in waiting:
            self._positions[head.shard] = max(self._positions[head.shard], head.updated_at)
        for shard in self._positions:
            if rows[shard] < each[shard]:
                # Every visible head has been read; those that commit late lie in the overlap. The new position may be
                # earlier than the old one, after a failover to a database server with a slower clock.
                self._positions[shard] = begun_at
        return waiting

    def sweep(self, limit: int) -> tuple[list[WaitingHead], bool]:
        """
        Read the next *limit* heads of our shards that lie behind the window that polls read.

        Returns:
            The heads that wait, and whether every shard has been read; the next call then begins anew.
        """
        page = heads.by_shard(self._db, self._sweep_place, limit=limit, shards=self._positions)
        self._sweep_place = page.next_place or heads.START
        seen = self._seen([head.entity_id for head in page.heads])
        waiting = [
            WaitingHead(head.entity_id, head.shard, head.revision_id, head.updated_at)
            for head in page.heads
            if seen.get(head.entity_id, 0) < head.revision_id
        ]
        return waiting, page.next_place is None

    def _seen(self, entity_ids: Sequence[str]) -> dict[str, int]:
        """Return the last revision that was dealt with, of each entity that has one."""
        seen: dict[str, int] = {}
        for begin in range(0, len(entity_ids), _IDS_A_QUERY):
            some = entity_ids[begin : begin + _IDS_A_QUERY]
            marks = ",".join(["%s"] * len(some))
            seen.update(
                self._db.query(
                    f"SELECT entity_id, seen_revision_id FROM entity_diff_state WHERE entity_id IN ({marks})", some
                )
            )
        return seen

    def reconciles(self) -> list[Reconcile]:
        """Return the heads of our shards that are requested in full, oldest request first, up to MAX_BATCH_BYTES."""
        return self._reconciles("entity_diff_requests q", "q.requested_at", "", "q.requested_at")

    def reappeared(self) -> list[Reconcile]:
        """Return the heads of our shards that are set aside for a missing snapshot, which may be there by now."""
        return self._reconciles(
            "entity_diff_failures q",
            "NULL",
            " AND q.missing AND q.revision_id = h.head_revision_id AND s.seen_revision_id >= q.revision_id"
            " AND COALESCE(s.published_revision_id, 0) < q.revision_id",
            "q.failed_at",
        )

    def _reconciles(self, source: str, request: str, condition: str, order: str) -> list[Reconcile]:
        if not self._positions:
            return []
        marks = ",".join(["%s"] * len(self._positions))
        rows = self._db.query(
            "SELECT h.entity_id, h.shard, h.head_revision_id, h.updated_at,"
            " r.revision_id, r.snapshot_key, r.snapshot_bytes, r.created_at, s.published_revision_id,"
            f" {request} FROM {source}"
            " JOIN entity_head h ON h.entity_id = q.entity_id"
            " JOIN entity_revisions r ON r.entity_id = h.entity_id AND r.revision_id = h.head_revision_id"
            " LEFT JOIN entity_diff_state s ON s.entity_id = h.entity_id"
            f" WHERE h.shard IN ({marks}){condition} ORDER BY {order}, h.entity_id LIMIT %s",
            (*self._positions, _RECONCILES),
        )
        reconciles: list[Reconcile] = []
        total = 0
        for row in rows:
            revision = WaitingRevision(row[0], row[4], row[5], row[6], row[7], row[8], None)
            total += revision.snapshot_bytes
            if reconciles and total > MAX_BATCH_BYTES:
                break
            asked = "" if row[9] is None else row[9].isoformat(timespec="microseconds")
            reconciles.append(Reconcile(WaitingHead(*row[:4]), revision, asked))
        return reconciles

    def revisions(self, waiting: Sequence[WaitingHead], limit: int) -> list[WaitingRevision]:
        """
        Return the waiting revisions of each entity in order, at most *limit* and MAX_BATCH_BYTES.

        The answer may lack later revisions of an entity, never one before a revision that it has.
        """
        if not waiting:
            return []
        marks = ",".join(["%s"] * len(waiting))
        rows = self._db.query(
            "SELECT r.entity_id, r.revision_id, r.snapshot_key, r.snapshot_bytes, r.created_at,"
            " s.published_revision_id, b.snapshot_key FROM entity_revisions r"
            " JOIN entity_head h ON h.entity_id = r.entity_id AND r.revision_id <= h.head_revision_id"
            " LEFT JOIN entity_diff_state s ON s.entity_id = r.entity_id"
            " LEFT JOIN entity_revisions b ON b.entity_id = r.entity_id AND b.revision_id = s.published_revision_id"
            f" WHERE r.entity_id IN ({marks}) AND r.revision_id > COALESCE(s.seen_revision_id, 0)"
            " ORDER BY r.entity_id, r.revision_id LIMIT %s",
            (*(head.entity_id for head in waiting), limit),
        )
        revisions: list[WaitingRevision] = []
        total = 0
        for row in rows:
            revision = WaitingRevision(*row)
            total += revision.snapshot_bytes
            if revisions and total > MAX_BATCH_BYTES:
                break
            revisions.append(revision)
        return revisions

    def record(
        self,
        progress: Collection[Progress],
        failures: Iterable[Failure] = (),
        answered: Iterable[Reconcile] = (),
        *,
        fence: Fence,
    ) -> None:
        """
        Record the progress of entities, the failures and the answered requests; progress never moves back.

        One transaction.

        Args:
            fence: called in it with the shards of the entities; what it raises leaves everything as it was.
        """
        shards = {shard_of(p.entity_id) for p in progress}
        rows = sorted((p.entity_id, p.seen_revision_id, p.published_revision_id) for p in progress)
        reasons = sorted((f.entity_id, f.revision_id, f.reason[:_REASON_LENGTH], f.missing) for f in failures)
        requests = sorted((each.head.entity_id, each.request) for each in answered if each.request)

        def write(tx: Transaction) -> None:
            fence(tx, shards)
            tx.insert(
                "entity_diff_state (entity_id, seen_revision_id, published_revision_id)",
                rows,
                on_duplicate="seen_revision_id = GREATEST(seen_revision_id, VALUES(seen_revision_id)),"
                " published_revision_id = NULLIF(GREATEST(COALESCE(published_revision_id, 0),"
                " COALESCE(VALUES(published_revision_id), 0)), 0)",
            )
            tx.insert(
                "entity_diff_failures (entity_id, revision_id, reason, missing)",
                reasons,
                on_duplicate="reason = VALUES(reason), missing = VALUES(missing), failed_at = CURRENT_TIMESTAMP(6)",
            )
            for request in requests:
                tx.execute("DELETE FROM entity_diff_requests WHERE entity_id = %s AND requested_at = %s", request)

        self._db.transaction(write)
