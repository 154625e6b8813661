"""The segment in plain Python, for one process: the promises of segment.h, kept by lists under a lock.

It is the executable specification of the C code, which is tested against it, and runs where the extension is not built.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from operator import index
from typing import Any, Final, TypedDict

from wbd.errors import RangeRefused, SegmentUnusable

LANES: Final = 4
SLOTS: Final = 64
SEGMENT_BYTES: Final = 8192
LAYOUT_VERSION: Final = 1

# How to take: exactly *count* ids or none; up to *count*; exactly *count* consecutive ids or none.
ALL: Final = 0
UP_TO: Final = 1
BLOCK: Final = 2

_MAX_ID = 2**63 - 1
_MAX_SIZE = 2**32 - 1
_MAX_TIMEOUT_S = 3600

Piece = tuple[int, int]


class LaneLook(TypedDict):
    """One lane: counts of ids since the segment was made, and the ids left, in order, with adjacent ranges joined."""

    left: int
    added: int
    skipped: int
    returned: int
    contended: int
    high: int
    low_left: int
    pieces: list[Piece]


@dataclass(slots=True)
class _Lane:
    """Ranges, first and last inclusive, in order; armed until a taker has woken the publisher because they are low."""

    ranges: list[Piece] = field(default_factory=list)
    added: int = 0
    skipped: int = 0
    returned: int = 0
    high: int = 0
    # A new lane is low: it has no ids.
    low_left: int = 1
    armed: bool = False

    def left(self) -> int:
        return sum(last - first + 1 for first, last in self.ranges)

    def pieces(self) -> list[Piece]:
        joined: list[Piece] = []
        for first, last in self.ranges:
            if joined and joined[-1][1] + 1 == first:
                first = joined.pop()[0]
            joined.append((first, last))
        return joined

    def cut(self, count: int) -> list[Piece]:
        """Take *count* ids from the front; there must be as many."""
        taken = _Lane()
        while count:
            first, last = self.ranges.pop(0)
            end = min(last, first + count - 1)
            taken.ranges.append((first, end))
            count -= end - first + 1
            if end < last:
                self.ranges.insert(0, (end + 1, last))
        return taken.pieces()


class Segment:
    """
    The ring of reserved ids; see _segment.pyi for its methods.

    Raises:
        SegmentUnusable: *fd* is not negative; memory that processes share needs the extension.
    """

    def __init__(self, fd: int = -1, origin: str | None = "", *, create: bool = False, publish: bool = False) -> None:
        if fd >= 0:
            raise SegmentUnusable("memory that processes share needs the extension wbd.ids._segment; it is not built")
        self._publishes = publish
        self._lanes = [_Lane() for _ in range(LANES)]
        self._closed = False
        self._wakes = 0
        self._changed = threading.Condition()

    def take_one(self, lane: int, /) -> int:
        pieces = self.take(lane, 1, ALL)
        return pieces[0][0] if pieces else 0

    def take(self, lane: int, count: int, mode: int, /) -> list[Piece]:
        count, at = _int64(count), self._lane(lane)
        if count < 1 or mode not in (ALL, UP_TO, BLOCK):
            raise ValueError("count below 1, or no such mode")
        with self._changed:
            left = at.left()
            pieces: list[Piece] = []
            if mode == BLOCK:
                sizes = [last - first + 1 for first, last in at.pieces()]
                long_enough = [size >= count for size in sizes]
                if any(long_enough):
                    in_front = sum(sizes[: long_enough.index(True)])
                    at.cut(in_front)
                    at.skipped += in_front
                    pieces = at.cut(count)
            elif mode == UP_TO or left >= count:
                pieces = at.cut(min(count, left))
            self._tell_if_low(at)
            return pieces

    def skip_to(self, lane: int, number: int, /) -> int:
        number, at = _int64(number), self._lane(lane)
        with self._changed:
            dropped = sum(max(0, min(last, number) - first + 1) for first, last in at.ranges)
            at.cut(dropped)
            at.skipped += dropped
            self._tell_if_low(at)
            return dropped

    def look(self, lane: int, /) -> LaneLook:
        at = self._lane(lane)
        with self._changed:
            return LaneLook(
                left=at.left(),
                added=at.added,
                skipped=at.skipped,
                returned=at.returned,
                contended=0,
                high=at.high,
                low_left=at.low_left,
                pieces=at.pieces(),
            )

    def publish(self, lane: int, first: int, last: int, low_left: int, /) -> bool:
        first, last, low_left = _int64(first), _int64(last), _int64(low_left)
        at = self._publisher_lane(lane)
        with self._changed:
            if self._closed or not (1 <= first <= last and at.high < first and last - first < _MAX_SIZE):
                raise RangeRefused("not above all that the lane has held, or too large, or the segment is closed")
            if len(at.ranges) == SLOTS:
                return False
            at.ranges.append((first, last))
            at.added += last - first + 1
            at.high = last
            at.low_left, at.armed = max(0, low_left), True
            return True

    def check(self) -> None:
        self._publisher_lane(0)

    def drain(self, lane: int, /) -> list[Piece]:
        at = self._publisher_lane(lane)
        with self._changed:
            left = at.left()
            pieces = at.cut(left)
            if pieces:
                at.returned += left
                at.high = pieces[0][0] - 1
            self._tell_if_low(at)
            return pieces

    def close(self) -> None:
        self._publisher_lane(0)
        with self._changed:
            self._closed = True
            for at in self._lanes:
                at.ranges.clear()

    @property
    def closed(self) -> bool:
        return self._closed

    def wake(self) -> None:
        with self._changed:
            self._wake()

    def wait(self, seen: int, timeout_s: float, /) -> int:
        if not 0 <= timeout_s <= _MAX_TIMEOUT_S:
            raise ValueError("timeout_s not within 0..3600")
        with self._changed:
            self._changed.wait_for(lambda: self._wakes != seen, timeout_s)
            return self._wakes

    def _tell_if_low(self, lane: _Lane) -> None:
        if lane.armed and lane.left() < lane.low_left:
            lane.armed = False
            self._wake()

    def _wake(self) -> None:
        self._wakes += 1
        self._changed.notify_all()

    def _lane(self, lane: int) -> _Lane:
        if not 0 <= index(lane) < LANES:
            raise IndexError(f"lane {lane} not within 0..{LANES - 1}")
        return self._lanes[lane]

    def _publisher_lane(self, lane: int) -> _Lane:
        at = self._lane(lane)
        if not self._publishes:
            raise RuntimeError("the segment was opened to take, not to publish")
        return at


class Taker:
    """The base of IdClient where the extension is not built: every call takes the slow path in Python."""

    def __init__(self, entity_types: tuple[str, ...], /) -> None:
        if len(entity_types) != LANES:
            raise ValueError(f"{LANES} entity types are needed")
        self._attached: Segment | None = None

    def next(self, entity_type: Any, /) -> Any:
        return self._slow_next(entity_type)

    def next_int(self, entity_type: Any, /) -> Any:
        return self._slow_next_int(entity_type)

    def take(self, entity_type: Any, count: Any, /) -> Any:
        return self._slow_take(entity_type, count)

    def _attach(self, segment: Segment | None, count_max: int, /) -> None:
        self._attached = segment

    def _slow_next(self, entity_type: Any) -> Any:
        raise NotImplementedError

    def _slow_next_int(self, entity_type: Any) -> Any:
        raise NotImplementedError

    def _slow_take(self, entity_type: Any, count: Any) -> Any:
        raise NotImplementedError


def _int64(number: int) -> int:
    if not -_MAX_ID - 1 <= index(number) <= _MAX_ID:
        raise OverflowError(f"{number} does not fit in 64 bits")
    return number
