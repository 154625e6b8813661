"""The ids that this host has reserved and not yet given out: one lane per entity type. No I/O, no clock.

The lanes lie in a segment, from which other processes may take at the same time; segment.h explains why no id is given
out twice. This module is the ring as the id server and the refills see it.
"""

from __future__ import annotations

from dataclasses import dataclass

from wbd.entity.ids import EntityType
from wbd.errors import RangeRefused
from wbd.ids.id_range import IdRange
from wbd.ids.segment import ALL, BLOCK, UP_TO, Segment

# The number of each type's lane in a segment.
LANES = {entity_type: lane for lane, entity_type in enumerate(EntityType)}


@dataclass(frozen=True, slots=True)
class LaneState:
    """
    One lane at one moment.

    taken: ids given out since the segment was made, by whichever process.
    left: ids that are left.
    ranges: the ids that are left, in order, with adjacent ranges joined.
    skipped: ids dropped because a block of consecutive ids did not fit in front, or because they were in use.
    contended: how often a taker lost a race for an id to another, and tried again.
    wanted: the largest count that a taker asked for and did not get since the last add.
    high: the last id that the lane has held, or the last one taken from it before the others were drained.
    """

    entity_type: EntityType
    taken: int
    left: int
    skipped: int
    contended: int
    ranges: tuple[IdRange, ...]
    low_mark: int
    wanted: int
    high: int

    @property
    def is_low(self) -> bool:
        return self.left < self.low_mark or self.wanted > 0

    @property
    def current(self) -> IdRange | None:
        """The unused part of the range in use; None if the lane is dry."""
        return self.ranges[0] if self.ranges else None


class Lane:
    """
    Reserved ranges of one type, first in, first out; safe to share between threads.

    Every method raises SegmentUnusable when the segment is found damaged; nothing is taken then.
    """

    def __init__(self, segment: Segment, entity_type: EntityType) -> None:
        self.entity_type = entity_type
        self._segment = segment
        self._lane = LANES[entity_type]
        self._wanted = 0

    def add(self, new: IdRange, low_mark: int) -> bool:
        """
        Put a range behind the others; False when there is no room, and the caller keeps it.

        Args:
            low_mark: from now on the lane is low when fewer ids than this are left.

        Raises:
            RangeRefused: the range does not lie above every id that the lane has held, or the segment is closed; the
                range must not be used.
        """
        if new.entity_type is not self.entity_type:
            raise RangeRefused(f"range {new} refused by the {self.entity_type.value} lane")
        try:
            added = self._segment.publish(self._lane, new.first, new.last, low_mark)
        except RangeRefused as error:
            raise RangeRefused(f"range {new} refused by the {self.entity_type.value} lane: {error}") from error
        if added:
            self._wanted = 0
        return added

    def take_one(self) -> int:
        """Return the next number, or 0 when the lane is dry."""
        number = self._segment.take_one(self._lane)
        if not number:
            self._want(1)
        return number

    def take(self, count: int) -> list[IdRange] | None:
        """Return the next *count* ids, in one range or several, or None when fewer are left; nothing is taken then."""
        pieces = self._segment.take(self._lane, count, ALL)
        if not pieces:
            self._want(count)
            return None
        return self._ranges(pieces)

    def take_up_to(self, count: int) -> list[IdRange]:
        """Return the next *count* ids, or as many as are left, in one range or several."""
        pieces = self._segment.take(self._lane, count, UP_TO)
        if not pieces:
            self._want(1)
        return self._ranges(pieces)

    def take_block(self, count: int) -> IdRange | None:
        """
        Return the next *count* ids that are consecutive, or None when no range is that long; nothing is taken then.

        Shorter ranges in front are dropped, since ids are given out in increasing order.
        """
        pieces = self._segment.take(self._lane, count, BLOCK)
        if not pieces:
            self._want(count)
            return None
        return self._ranges(pieces)[0]

    def skip_to(self, number: int) -> int:
        """Drop the ids up to *number*, because they are in use elsewhere; return how many they were."""
        return self._segment.skip_to(self._lane, number)

    def drain(self) -> list[IdRange]:
        """Take all ids that are left, in order; they may be added again, or be reserved by others."""
        return self._ranges(self._segment.drain(self._lane))

    def state(self) -> LaneState:
        """Return the lane as it is now."""
        seen = self._segment.look(self._lane)
        return LaneState(
            entity_type=self.entity_type,
            taken=max(0, seen["added"] - seen["left"] - seen["skipped"] - seen["returned"]),
            left=seen["left"],
            skipped=seen["skipped"],
            contended=seen["contended"],
            ranges=tuple(self._ranges(seen["pieces"])),
            low_mark=seen["low_left"],
            wanted=self._wanted,
            high=seen["high"],
        )

    def _ranges(self, pieces: list[tuple[int, int]]) -> list[IdRange]:
        return [IdRange(self.entity_type, first, last) for first, last in pieces]

    def _want(self, count: int) -> None:
        """Remember how many ids a taker wanted and did not get, and wake the refill."""
        if count > self._wanted:
            self._wanted = count
            self._segment.wake()


class IdPool:
    """One lane per entity type, in one segment; private memory when none is given."""

    def __init__(self, segment: Segment | None = None) -> None:
        self.segment = segment if segment is not None else Segment(publish=True)
        self.lanes = {entity_type: Lane(self.segment, entity_type) for entity_type in EntityType}

    def __getitem__(self, entity_type: EntityType) -> Lane:
        return self.lanes[entity_type]

    def states(self) -> list[LaneState]:
        """Return every lane as it is now. Raises SegmentUnusable."""
        return [lane.state() for lane in self.lanes.values()]

    def drain(self) -> list[IdRange]:
        """Take all ids that are left in every lane. Raises SegmentUnusable."""
        return [ids for lane in self.lanes.values() for ids in lane.drain()]
