"""Decide what the diff worker does next: which heads wait, and which task is due, by a clock.

Reads:   what DiffFeed reads
Writes:  nothing
Repeats: harmless; the polls of the next process find the heads that were lost with this one
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from wbd.diff_stream.chains import MAX_HELD_BACK, ChainReader
from wbd.diff_stream.feed import DiffFeed, Progress, Reconcile, WaitingHead
from wbd.runtime.clock import Clock


@dataclass(frozen=True, slots=True)
class Pace:
    """
    How much the diff worker takes on at once, and how often it turns to each task.

    batch_heads: heads of one poll and of one batch.
    batch_revisions: revisions of one batch.
    sweep_heads: heads of one page of a sweep.
    held_back: entities that are held back at once; a sweep finds the others again.
    plan_s: planning of a batch ends after this long, and its remaining revisions come with the next step; on a slow
        machine every batch would outlast the lease otherwise.
    poll_s: wait after a step that found nothing.
    overlap_s: interval between reads of the window behind the positions while there is other work.
    requests_s: interval between looks for requests.
    reappeared_s: interval between looks for heads whose missing snapshots are there now.
    sweep_s: interval between the end of one sweep and the start of the next.
    page_s: interval between pages of a sweep while there is other work.
    """

    batch_heads: int = 400
    batch_revisions: int = 800
    sweep_heads: int = 5000
    held_back: int = MAX_HELD_BACK
    plan_s: float = 6.0
    poll_s: float = 60.0
    overlap_s: float = 2.0
    requests_s: float = 2.0
    reappeared_s: float = 60.0
    sweep_s: float = 3600.0
    page_s: float = 1.0


class Timer:
    """Say when a recurring task is due: at once, and then *interval_s* after each restart()."""

    def __init__(self, clock: Clock, interval_s: float) -> None:
        self._clock = clock
        self._interval_s = interval_s
        self._due_at_mono_s = clock.mono_s()

    @property
    def due(self) -> bool:
        """Tell whether the interval is over."""
        return self._clock.mono_s() >= self._due_at_mono_s

    def restart(self) -> None:
        """Let the interval begin now."""
        self._due_at_mono_s = self._clock.mono_s() + self._interval_s


class Agenda:
    """
    The heads that wait in the shards of this process. One thread only.

    heads: those that polls and sweeps found and that are not dealt with yet, by entity. There is no further poll until
        it is empty.
    polled: heads that the last poll found waiting.
    swept: heads that polls had missed and a sweep found, since the process began.
    """

    def __init__(self, feed: DiffFeed, reader: ChainReader, clock: Clock, pace: Pace) -> None:
        self.heads: dict[str, WaitingHead] = {}
        self.polled = 0
        self.swept = 0
        self._feed = feed
        self._reader = reader
        self._pace = pace
        self._clock = clock
        self._overlap = Timer(clock, pace.overlap_s)
        self._requests = Timer(clock, pace.requests_s)
        self._reappeared = Timer(clock, pace.reappeared_s)
        self._page = Timer(clock, pace.page_s)
        self._sweep = Timer(clock, pace.sweep_s)
        # The first sweep comes an interval after the start, so that restarted workers begin with the backlog.
        self._sweep.restart()
        self._sweeping = False

    def follow(self, shards: Mapping[int, str | None]) -> None:
        """Take on the shards that are ours now, each with its stored position, and drop the heads of all others."""
        self._feed.follow(shards)
        self.heads = {entity_id: head for entity_id, head in self.heads.items() if head.shard in shards}
        self._reader.follow(shards)

    def positions(self) -> dict[int, str]:
        """Return the position of each shard, never past a head that is not dealt with."""
        return self._feed.positions([*self.heads.values(), *self._reader.held_heads()])

    def reconciles(self) -> list[Reconcile]:
        """Return the heads to publish in full, requested ones first; look for each kind only when that is due."""
        wanted: list[Reconcile] = []
        if self._requests.due:
            self._requests.restart()
            wanted += self._feed.reconciles()
        if self._reappeared.due:
            self._reappeared.restart()
            wanted += self._feed.reappeared()
        return wanted

    def batch(self) -> list[WaitingHead]:
        """Return the heads to deal with now, at most pace.batch_heads; look for more when none are left."""
        if not self.heads:
            self.heads = self._find()
            self.polled = len(self.heads)
        elif self._sweep_is_due and self._page.due:
            # Heads that polls have missed must not wait for work that never ends.
            self.heads |= self._reader.not_held(self._next_page())
        return list(islice(self.heads.values(), self._pace.batch_heads))

    def settle(self, progress: Iterable[Progress]) -> None:
        """Drop the heads that have been reached."""
        for done in progress:
            head = self.heads.get(done.entity_id)
            if head is not None and done.seen_revision_id >= head.head_revision_id:
                del self.heads[done.entity_id]

    def drop(self, entity_ids: Iterable[str]) -> None:
        """Drop heads without more ado; a later poll or sweep finds those that still wait."""
        for entity_id in entity_ids:
            self.heads.pop(entity_id, None)
            self._reader.let_go(entity_id)

    def idle_s(self) -> float:
        """Return how long there is nothing to do; 0.0 while heads wait or a sweep is under way."""
        if self.heads or self._sweeping:
            return 0.0
        return min([self._pace.poll_s, *self._reader.retries_in_s()])

    @property
    def _sweep_is_due(self) -> bool:
        return self._sweeping or self._sweep.due

    def _find(self) -> dict[str, WaitingHead]:
        """Poll, with the overlap when it is due; sweep a page when polls find nothing; add retries that are due."""
        held = self._reader.held_by_shard()
        overlap = self._overlap.due
        heads = self._feed.poll(self._pace.batch_heads, overlap=overlap, leave_out=held)
        if overlap:
            self._overlap.restart()
        elif not heads:
            heads = self._feed.poll(self._pace.batch_heads, overlap=True, leave_out=held)
        if not heads and self._sweep_is_due:
            heads = self._next_page()
        # Polls do not reach back to the heads whose retry is due.
        return self._reader.not_held(heads) | self._reader.due()

    def _next_page(self) -> list[WaitingHead]:
        """Read a page of all heads; return those that polls have missed."""
        heads, ended = self._feed.sweep(self._pace.sweep_heads)
        self.swept += len(heads)
        self._sweeping = not ended
        if ended:
            self._sweep.restart()
        self._page.restart()
        return heads
