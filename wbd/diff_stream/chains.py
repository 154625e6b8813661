"""Read the snapshots of waiting revisions and join them to chains; hold back entities whose snapshots are missing.

A snapshot is written before its row, so a missing one is a slow replica or a loss that a person must look into. It is
waited for while its revision is young; afterwards the revision is set aside. When the snapshot of the revision that
consumers hold is lost, the next revision is published in full.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import UTC

from wbd.diff_stream.feed import Reconcile, WaitingHead, WaitingRevision
from wbd.diff_stream.plan import Chain, Link
from wbd.diff_stream.snapshot_cache import SnapshotCache
from wbd.engines.objects import ObjectStore
from wbd.runtime.clock import Clock
from wbd.runtime.logs import Log
from wbd.runtime.retry import Backoff

_BACKOFF = Backoff(first_s=1.0, max_s=60.0)
# Minimum number of attempts to read a snapshot, however old its revision is.
MIN_TRIES = 5
# Bounds memory and log when a bucket is lost; entities beyond it are left to the sweep.
MAX_HELD_BACK = 1000
_CACHE_BYTES = 64 * 1024 * 1024


@dataclass(slots=True)
class HeldBack:
    """An entity whose next snapshot, or the one that it is diffed against, is missing; when it is tried again."""

    head: WaitingHead
    reason: str
    failures: int
    retry_at_mono_s: float


class ChainReader:
    """
    Makes the chains of one batch after the other. One thread at a time.

    Args:
        missing_after_s: age of a revision at which its missing snapshot is no longer waited for.

    held_back: by entity, at most max_held_back.
    """

    def __init__(
        self,
        objects: ObjectStore,
        missing_after_s: float,
        clock: Clock,
        log: Log,
        *,
        max_held_back: int = MAX_HELD_BACK,
    ) -> None:
        self.held_back: dict[str, HeldBack] = {}
        self.cache = SnapshotCache(objects, _CACHE_BYTES)
        self._missing_after_s = missing_after_s
        self._clock = clock
        self._log = log
        self._max_held_back = max_held_back

    def chains(self, revisions: Iterable[WaitingRevision], heads: dict[str, WaitingHead]) -> list[Chain]:
        """
        Return a chain for each entity, up to its first revision whose snapshot is waited for.

        Entities that are held back are taken out of *heads*.

        Raises:
            ObjectStoreUnavailable: the object store does not answer.
        """
        waiting: dict[str, list[WaitingRevision]] = defaultdict(list)
        for revision in revisions:
            waiting[revision.entity_id].append(revision)
        snapshots = self.cache.read(
            key for each in waiting.values() for r in each for key in (r.base_snapshot_key, r.snapshot_key) if key
        )
        chains = [chain for each in waiting.values() if (chain := self._chain(each, snapshots, heads))]
        # The next edit of each is diffed against the last.
        last = {each[-1].snapshot_key for each in waiting.values()}
        self.cache.forget(snapshots.keys() - last)
        self.cache.keep({key: data for key in last if key and (data := snapshots[key]) is not None})
        return chains

    def reconciles(self, wanted: Iterable[Reconcile]) -> dict[str, tuple[Reconcile, Chain]]:
        """Return entity -> a chain that publishes its head in full; entities whose snapshot is missing are left out."""
        by_entity = {each.head.entity_id: each for each in wanted}
        snapshots = self.cache.read(
            each.revision.snapshot_key for each in by_entity.values() if each.revision.snapshot_key
        )
        chosen = {}
        for entity_id, each in by_entity.items():
            revision = each.revision
            snapshot = snapshots[revision.snapshot_key] if revision.snapshot_key else None
            if snapshot is not None or not revision.snapshot_key:
                link = Link(revision.revision_id, snapshot, revision.created_at)
                chain = Chain(entity_id, revision.base_revision_id, None, [link], reconcile=True, request=each.request)
                chosen[entity_id] = (each, chain)
        return chosen

    def due(self) -> dict[str, WaitingHead]:
        """Return the held back heads whose retry is due."""
        now = self._clock.mono_s()
        return {entity: held.head for entity, held in self.held_back.items() if held.retry_at_mono_s <= now}

    def not_held(self, heads: Iterable[WaitingHead]) -> dict[str, WaitingHead]:
        """Return the heads that are not held back; note the new revision of those that are."""
        free = {}
        for head in heads:
            if held := self.held_back.get(head.entity_id):
                held.head = head
            else:
                free[head.entity_id] = head
        return free

    def follow(self, shards: Container[int]) -> None:
        """Let go of the entities of all other shards."""
        self.held_back = {entity: held for entity, held in self.held_back.items() if held.head.shard in shards}

    def let_go(self, entity_id: str) -> None:
        """Hold an entity back no longer."""
        self.held_back.pop(entity_id, None)

    def held_heads(self) -> list[WaitingHead]:
        """Return the heads that are held back."""
        return [held.head for held in self.held_back.values()]

    def retries_in_s(self) -> list[float]:
        """Return the seconds until each held back entity is due; negative when it is overdue."""
        now = self._clock.mono_s()
        return [held.retry_at_mono_s - now for held in self.held_back.values()]

    def held_by_shard(self) -> Counter[int]:
        """Return how many entities of each shard are held back."""
        return Counter(held.head.shard for held in self.held_back.values())

    def _chain(
        self,
        revisions: list[WaitingRevision],
        snapshots: dict[str, bytes | None],
        heads: dict[str, WaitingHead],
    ) -> Chain | None:
        first = revisions[0]
        base: bytes | None = None
        reconcile = False
        if first.base_revision_id is not None and first.base_snapshot_key != "":
            base = snapshots[first.base_snapshot_key] if first.base_snapshot_key else None
            if base is None:
                # A diff against nothing would add triples that consumers hold already, and remove none.
                what = f"snapshot {first.base_snapshot_key}"
                if first.base_snapshot_key is None:
                    what = f"row of r{first.base_revision_id} in entity_revisions"
                if self._waits(first, what, heads):
                    return None
                reconcile = True
        links: list[Link] = []
        for revision in revisions:
            snapshot = snapshots[revision.snapshot_key] if revision.snapshot_key else None
            missing = ""
            if revision.snapshot_key and snapshot is None:
                what = f"snapshot {revision.snapshot_key}"
                if self._waits(revision, what, heads):
                    break
                missing = _reason(revision, what)
            links.append(Link(revision.revision_id, snapshot, revision.created_at, missing))
        else:
            self.held_back.pop(first.entity_id, None)
        if not links:
            return None
        return Chain(first.entity_id, first.base_revision_id, base, links, reconcile)

    def _waits(self, revision: WaitingRevision, what: str, heads: dict[str, WaitingHead]) -> bool:
        """Hold the entity back while the missing object may appear; return False when it is no longer waited for."""
        before = self.held_back.get(revision.entity_id)
        age_s = (self._clock.now() - revision.created_at.replace(tzinfo=UTC)).total_seconds()
        if before and before.failures >= MIN_TRIES and age_s > self._missing_after_s:
            return False
        head = heads.pop(revision.entity_id)
        failures = before.failures + 1 if before else 1
        delay_s = _BACKOFF.delay_s(failures)
        reason = _reason(revision, what)
        if before is None and len(self.held_back) >= self._max_held_back:
            self._log.warning(f"{reason}; {self._max_held_back} are held back already, left to the next sweep")
            return True
        self._log.warning(f"{reason}; event held back, retry {failures} in {delay_s:.0f} s", entity_id=head.entity_id)
        self.held_back[head.entity_id] = HeldBack(head, reason, failures, self._clock.mono_s() + delay_s)
        return True


def _reason(revision: WaitingRevision, what: str) -> str:
    return f"entity_diff {revision.entity_id} r{revision.revision_id}: {what} missing"
