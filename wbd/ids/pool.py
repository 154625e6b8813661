"""The ids that this process has reserved and not yet given out: one lane per entity type. No I/O, no clock.

Invariants, each of them a reason why no id is given out twice:

1. A lane's ranges lie in strictly increasing order, and everything given out lies below what is left.
2. Adding a range that does not lie above everything the lane has ever held is refused.
3. Ids leave a lane once: by a take, or by drain(), after which the lane takes nothing in and gives nothing out.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import length_hint

from wbd.errors import PermanentError
from wbd.ids.entity_id import EntityType
from wbd.ids.id_range import IdRange

# Numbers that take_one() gives out before it locks again; putting back fewer than these costs some microseconds.
_EASY_NUMBERS = 256


@dataclass(frozen=True, slots=True)
class LaneState:
    """
    One lane at one moment.

    current: what is left of the range in use; None if the lane is dry.
    skipped: ids dropped because a block of consecutive ids did not fit in what was left of a range.
    wanted: the largest count that was asked for in vain since the last add.
    """

    entity_type: EntityType
    taken: int
    left: int
    skipped: int
    added: int
    current: IdRange | None
    ranges: int
    low_mark: int
    wanted: int

    @property
    def is_low(self) -> bool:
        return self.left < self.low_mark or self.wanted > 0


class Lane:
    """
    Reserved ranges of one type, first in, first out; safe to share between threads.

    *on_low* is called, outside the lock and at most once until the next add, when a take leaves fewer ids than the
    low mark, or finds too few.
    """

    def __init__(self, entity_type: EntityType, on_low: Callable[[EntityType], None]) -> None:
        self.entity_type = entity_type
        self._on_low = on_low
        self._lock = threading.Lock()
        # The next numbers, cut off the front of the range in use for take_one(), which needs no lock of its own for
        # them: a number leaves an iterator once, since the interpreter's lock is held while it does. Whatever else
        # changes the lane puts them back first, so they always end right below _next.
        self._easy: Iterator[int] = iter(())
        # The range in use; its last number is never an easy one.
        self._next = 1
        self._last = 0
        self._behind: deque[IdRange] = deque()
        self._left_behind = 0
        self._high = 0
        self._skipped = 0
        self._added = 0
        self._returned = 0
        # A lane is born low: it has nothing.
        self._low_mark = 1
        self._wanted = 0
        self._low_said = False
        self._closed = False

    def add(self, new: IdRange, low_mark: int) -> None:
        """
        Put a range behind the others.

        Args:
            low_mark: from now on the lane is low when fewer ids than this are left.

        Raises:
            PermanentError: the range does not lie above all that the lane has held, or the lane is drained;
                the caller must not use it.
        """
        with self._lock:
            if new.first <= self._high or new.entity_type is not self.entity_type or self._closed:
                raise PermanentError(
                    f"range {new} refused: the {self.entity_type.value} lane "
                    + ("is drained" if self._closed else f"has held ids up to {self._high}")
                )
            self._put_easy_back()
            self._high = new.last
            self._added += len(new)
            self._low_mark = low_mark
            self._low_said = False
            self._wanted = 0
            if self._next > self._last:
                self._next, self._last = new.first, new.last
            elif not self._behind and new.first == self._last + 1:
                self._last = new.last
            else:
                self._left_behind += len(new)
                if self._behind and new.first == self._behind[-1].last + 1:
                    new = IdRange(self.entity_type, self._behind.pop().first, new.last)
                self._behind.append(new)

    def take_one(self) -> int:
        """Return the next number, or 0 when the lane is dry."""
        # A lock would cost more than all the rest of this path.
        return next(self._easy, 0) or self._take_one_and_ease()

    def take(self, count: int) -> list[IdRange] | None:
        """Return the next *count* ids, in one range or several, or None when fewer are left; nothing is taken then."""
        with self._lock:
            self._put_easy_back()
            pieces = self._cut_pieces(count) if self._left() >= count else None
            if pieces is None:
                self._wanted = max(self._wanted, count)
            low = self._is_newly_low()
        if low:
            self._on_low(self.entity_type)
        return pieces

    def take_up_to(self, count: int) -> list[IdRange]:
        """Return the next *count* ids, or as many as are left, in one range or several."""
        with self._lock:
            self._put_easy_back()
            pieces = self._cut_pieces(min(count, self._left()))
            low = self._is_newly_low()
        if low:
            self._on_low(self.entity_type)
        return pieces

    def take_block(self, count: int) -> IdRange | None:
        """
        Return the next *count* ids that are consecutive, or None when no range is that long; nothing is taken then.

        What is left of shorter ranges in front is dropped, since ids are given out in increasing order.
        """
        with self._lock:
            self._put_easy_back()
            block = None
            if self._last - self._next + 1 >= count:
                block = self._cut(count)
            elif any(len(one) >= count for one in self._behind):
                while self._last - self._next + 1 < count:
                    self._skipped += len(self._cut(self._last - self._next + 1))
                block = self._cut(count)
            else:
                self._wanted = max(self._wanted, count)
            low = self._is_newly_low()
        if low:
            self._on_low(self.entity_type)
        return block

    def drain(self) -> list[IdRange]:
        """Close the lane and return what was left in it, in order."""
        with self._lock:
            self._closed = True
            self._put_easy_back()
            rest = [IdRange(self.entity_type, self._next, self._last)] if self._next <= self._last else []
            rest += self._behind
            self._returned += self._left()
            self._behind.clear()
            self._left_behind = 0
            self._next, self._last = 1, 0
            return rest

    def state(self) -> LaneState:
        """Return the lane as it is now."""
        with self._lock:
            easy = length_hint(self._easy)
            in_use = self._next <= self._last
            left = self._left() + easy
            return LaneState(
                entity_type=self.entity_type,
                taken=self._added - left - self._skipped - self._returned,
                left=left,
                skipped=self._skipped,
                added=self._added,
                current=IdRange(self.entity_type, self._next - easy, self._last) if in_use else None,
                ranges=in_use + len(self._behind),
                low_mark=self._low_mark,
                wanted=self._wanted,
            )

    def _cut_pieces(self, count: int) -> list[IdRange]:
        pieces = []
        while count:
            piece = self._cut(min(count, self._last - self._next + 1))
            pieces.append(piece)
            count -= len(piece)
        return pieces

    def _cut(self, count: int) -> IdRange:
        """Take *count* ids of the range in use, which has them."""
        piece = IdRange(self.entity_type, self._next, self._next + count - 1)
        if piece.last < self._last:
            self._next = piece.last + 1
        elif self._behind:
            following = self._behind.popleft()
            self._left_behind -= len(following)
            self._next, self._last = following.first, following.last
        else:
            self._next, self._last = 1, 0
        return piece

    def _left(self) -> int:
        return self._last - self._next + 1 + self._left_behind

    def _take_one_and_ease(self) -> int:
        """Take one number the careful way, and make those behind it easy, as far as none of them makes the lane low."""
        pieces = self.take(1)
        with self._lock:
            self._put_easy_back()
            spare = self._last - self._next
            if not self._low_said:
                spare = min(spare, self._left() - self._low_mark)
            if spare > 0:
                first, self._next = self._next, self._next + min(spare, _EASY_NUMBERS)
                self._easy = iter(range(first, self._next))
        return pieces[0].first if pieces else 0

    def _put_easy_back(self) -> None:
        rest = list(self._easy)
        if not rest:
            return
        if len(rest) == self._next - rest[0]:
            self._next = rest[0]
        else:
            # Not seen yet: another thread took one from the middle. A gap is harmless, a repeat is not.
            self._skipped += len(rest)

    def _is_newly_low(self) -> bool:
        if self._low_said or (self._left() >= self._low_mark and not self._wanted):
            return False
        self._low_said = True
        return True


class IdPool:
    """One lane per entity type."""

    def __init__(self, on_low: Callable[[EntityType], None] = lambda _: None) -> None:
        """
        Args:
            on_low: called from the taking thread when a lane needs a refill; must return at once.
        """
        self.on_low = on_low
        self.lanes = {t: Lane(t, lambda low: self.on_low(low)) for t in EntityType}

    def __getitem__(self, entity_type: EntityType) -> Lane:
        return self.lanes[entity_type]

    def states(self) -> list[LaneState]:
        """Return every lane as it is now."""
        return [lane.state() for lane in self.lanes.values()]

    def drain(self) -> list[IdRange]:
        """Close every lane and return what was left."""
        return [rest for lane in self.lanes.values() for rest in lane.drain()]
