"""The ring of this process: the pool in the shared file when it can be had, in private memory when not.

Reads:   the segment's file
Writes:  the segment's file
Repeats: harmless; what a dead process left in the file is taken over with it

A thread waits for takers, of whichever process, to leave a lane low.
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

# How often the waiting thread looks whether it should end; a taker wakes it at once.
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
    """Acquire, use, release; from one thread. *on_low* is called from another."""

    def __init__(self, shared: SegmentFile, on_low: Callable[[], None]) -> None:
        self._shared = shared
        self._on_low = on_low
        self.pool = IdPool()
        # Why takers of other processes have to come by the socket; "" when they need not.
        self.problem = "not acquired"
        self._watch: _Watch | None = None
        self._claimed: Segment | None = None
        self._kept: list[IdRange] = []

    @property
    def path(self) -> str:
        return str(self._shared.path)

    @property
    def attachment(self) -> Attachment | str:
        """Where takers find the ring, or why they cannot."""
        return self._shared.attachment or self.problem

    def claim(self) -> bool:
        """
        Own the ring's file, beside a ring in use whose file is lost; False while another process owns it.

        Where no shared file can be had the ring will lie in private memory, and ``problem`` says why. Raises
        ConfigError.
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

    def kept(self) -> list[IdRange]:
        """Return, once, what a former ring of this process still held."""
        kept, self._kept = self._kept, []
        return kept

    def check(self) -> None:
        """Raise SegmentUnusable when somebody else than takers and this process has written into the ring."""
        self.pool.segment.check()

    def is_lost(self) -> bool:
        """Tell whether takers can no longer find the ring, because its file was removed or replaced."""
        return self._shared.attachment is not None and not self._shared.is_in_place()

    def abandon(self, *, keep_ids: bool) -> None:
        """Take the ring away from its takers, who look for the next one; kept() has what was in it, or it is a gap."""
        if keep_ids:
            # What is damaged cannot be told from others' ids.
            with suppress(SegmentUnusable):
                self._kept += self.pool.drain()
        self.pool.segment.close()
        self._end(keep_file=False)

    def leave(self) -> None:
        """Go as if killed: takers go on with what is in the ring, and the next owner takes it over."""
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
        # Read before anybody may take, so that no wake is missed.
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
                # The wake that ends this thread is no taker's: a worker that stands by would never rest.
                if not self._ending:
                    self._on_low()
