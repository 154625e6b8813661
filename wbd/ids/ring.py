"""The ring of this process: a pool in the shared file, or in private memory where no file can be shared.

Reads:   the segment's file
Writes:  the segment's file
Repeats: harmless; a file that a dead process left is taken over with the ids in it

A thread waits until takers, of this or any other process, leave a lane low.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from wbd.errors import SegmentUnusable
from wbd.ids.attachment import Attachment
from wbd.ids.id_range import IdRange
from wbd.ids.pool import IdPool
from wbd.ids.segment import Segment
from wbd.ids.segment_file import SegmentFile

# How often the waiting thread checks whether it should end; a taker wakes it at once.
_LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class RingReport:
    """
    The ring's place.

    segment: path of the shared file, or ``private memory``.
    problem: why processes cannot share the ring, None when they can.
    set_aside: why a file that was there is not used, None when there was none or it is used.
    """

    segment: str
    problem: str | None = None
    set_aside: str | None = None


class Ring:
    """The ring, used from one thread: acquire(), then leave() or abandon(). *on_low* is called from another thread."""

    def __init__(self, shared: SegmentFile, on_low: Callable[[], None]) -> None:
        self._shared = shared
        self._on_low = on_low
        self.pool = IdPool()
        # Why takers of other processes have to use the socket; "" when they need not.
        self.problem = "not acquired"
        self._watch: _Watch | None = None
        self._claimed: Segment | None = None
        self._drained: list[IdRange] = []

    @property
    def path(self) -> str:
        return str(self._shared.path)

    @property
    def attachment(self) -> Attachment | str:
        """The place where takers find the ring, or the reason why they cannot."""
        return self._shared.attachment or self.problem

    def claim(self) -> bool:
        """
        Own the file of the next ring, also while a ring whose file is lost is in use.

        Where no file can be shared, the ring will lie in private memory, and ``problem`` says why.

        Returns:
            False while another process owns the file.

        Raises:
            ConfigError: no such group.
        """
        if self._claimed is None:
            try:
                self._claimed = self._shared.acquire()
                self.problem = ""
            except SegmentUnusable as error:
                self._shared.release()
                self._claimed = Segment(publish=True)
                self.problem = str(error)
        return self._claimed is not None

    def acquire(self) -> bool:
        """Own the ring and use it; False while another process owns it. Raises as claim()."""
        if self._watch is not None:
            return True
        if not self.claim() or self._claimed is None:
            return False
        segment, self._claimed = self._claimed, None
        self.pool = IdPool(segment)
        self._watch = _Watch(segment, self._on_low)
        return True

    def drained(self) -> list[IdRange]:
        """Return, once, the ids that abandon() took from an earlier ring of this process."""
        drained, self._drained = self._drained, []
        return drained

    def check(self) -> None:
        """Raise SegmentUnusable when the ring holds what neither takers nor this process write."""
        self.pool.segment.check()

    def is_lost(self) -> bool:
        """Tell whether takers can no longer find the ring, because its file was removed or replaced."""
        return self._shared.attachment is not None and not self._shared.is_in_place()

    def abandon(self, *, keep_ids: bool) -> None:
        """Take the ring away from its takers, who look for the next one; its ids are for drained(), or a gap."""
        if keep_ids:
            # Ids of a damaged ring cannot be told from those of other hosts.
            with suppress(SegmentUnusable):
                self._drained += self.pool.drain()
        self.pool.segment.close()
        self._end(keep_file=False)

    def leave(self) -> None:
        """Leave as if killed: takers go on with the ids in the ring, and the next owner takes it over."""
        self._end(keep_file=True)

    def report(self) -> RingReport:
        """Return where the ring is, for health."""
        segment = self.path if self._shared.attachment else "private memory"
        return RingReport(segment, self.problem or None, self._shared.set_aside)

    def _end(self, *, keep_file: bool) -> None:
        if self._watch is not None:
            self._watch.end()
            self._watch = None
        self.pool = IdPool()
        if self._claimed is None:
            self._shared.release(keep=keep_file)
            self.problem = "not acquired"


class _Watch:
    """The thread that waits for the low mark."""

    def __init__(self, segment: Segment, on_low: Callable[[], None]) -> None:
        self._segment = segment
        self._on_low = on_low
        self._ending = False
        # Read before anybody can take from the ring, so that no wake is missed.
        self._seen = segment.wait(0, 0.0)
        self._thread = threading.Thread(target=self._watch, name="low-watch", daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ending = True
        self._segment.wake()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ending:
            now = self._segment.wait(self._seen, _LOOK_S)
            if now != self._seen:
                self._seen = now
                # end() wakes this thread, too. That is no reason to call: a worker that stands by would never sleep.
                if not self._ending:
                    self._on_low()
