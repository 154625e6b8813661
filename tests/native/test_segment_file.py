"""A ring in a file: taken over, refused, damaged, and checked by its publisher. Only the extension can share one."""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.native.test_segment import MAX_ID, native
from wbd.errors import RangeRefused, SegmentUnusable
from wbd.ids.segment import ALL, BLOCK, SEGMENT_BYTES, UP_TO

BOOT = "b1e8f2d4-boot"
LANES = 4
# Offsets of fields, from the drawing in segment.h.
VERSION, LAYOUT, BYTES, BOOT_ID, DEVICE, INODE, CLOSED, LANE, LANE_BYTES = 8, 16, 24, 32, 72, 80, 88, 256, 1280
CURSOR, HEAD, LOW_WORD, HIGH, ADDED, SLOT = 0, 128, 136, 152, 160, 256


def field(lane: int, offset: int) -> int:
    return LANE + lane * LANE_BYTES + offset


class File:
    """A file for one ring."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.fd = file.fileno()
        self.file.truncate(SEGMENT_BYTES)

    def make(self) -> Any:
        return native().Segment(self.fd, BOOT, create=True, publish=True)

    def open(self, *, publish: bool = False) -> Any:
        return native().Segment(self.fd, BOOT, publish=publish)

    def read(self, offset: int, size: int = 8) -> int:
        return int.from_bytes(os.pread(self.fd, size, offset), "little")

    def write(self, offset: int, value: int, size: int = 8) -> None:
        os.pwrite(self.fd, (value % (1 << 8 * size)).to_bytes(size, "little"), offset)


@contextmanager
def new_file() -> Iterator[File]:
    """Make a file, on tmpfs where the machine has one."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryFile(dir=shm if os.access(shm, os.W_OK) else None) as file:
        yield File(file)


@pytest.fixture
def file() -> Iterator[File]:
    with new_file() as one:
        yield one


def test_the_next_publisher_finds_what_the_last_one_left(file: File) -> None:
    first = file.make()
    for lane in range(LANES):
        first.publish(lane, 1, 10, 5)
        first.take(lane, lane + 1, ALL)
    left = [first.look(lane) for lane in range(LANES)]
    del first
    second = file.open(publish=True)
    assert [second.look(lane) for lane in range(LANES)] == left
    second.check()
    with pytest.raises(RangeRefused):
        second.publish(0, 10, 11, 5)
    assert second.publish(0, 11, 12, 5)
    assert second.take(0, 11, ALL) == [(2, 12)]


def test_who_maps_a_file_shares_it_and_needs_the_descriptor_no_longer(file: File) -> None:
    publisher, taker = file.make(), file.open()
    file.file.close()
    publisher.publish(3, 7, 9, 2)
    assert [taker.take_one(3), publisher.take_one(3)] == [7, 8]
    assert publisher.wait(0, 0.0) == taker.wait(0, 0.0) == 1
    publisher.close()
    assert taker.closed and taker.take_one(3) == 0


def test_what_is_drained_is_gone_for_all_who_share(file: File) -> None:
    publisher, taker = file.make(), file.open()
    publisher.publish(0, 1, 10, 0)
    assert taker.take_one(0) == 1 and publisher.drain(0) == [(2, 10)] and taker.take_one(0) == 0


def refused(file: File, reason: str, **arguments: Any) -> None:
    for publish in (False, True):
        with pytest.raises(SegmentUnusable, match=reason):
            native().Segment(file.fd, **({"origin": BOOT, "publish": publish} | arguments))


@pytest.mark.parametrize("size", [0, 1, 4096, SEGMENT_BYTES - 1, SEGMENT_BYTES + 1, 1 << 20])
def test_a_file_of_another_size_is_refused_before_it_is_touched(file: File, size: int) -> None:
    file.make()
    file.file.truncate(size)
    refused(file, "not of the size")
    with pytest.raises(SegmentUnusable, match="not of the size"):
        file.make()


def test_a_foreign_file_is_refused(file: File) -> None:
    refused(file, "not a segment")
    os.pwrite(file.fd, b"SQLite format 3\x00" * (SEGMENT_BYTES // 16), 0)
    refused(file, "not a segment")


def test_other_versions_and_layouts_are_refused(file: File) -> None:
    file.make()
    for offset, size, reason in ((VERSION, 4, "version"), (LAYOUT, 8, "layout"), (BYTES, 8, "layout")):
        right = file.read(offset, size)
        for wrong in (0, right - 1, right + 1):
            file.write(offset, wrong, size)
            refused(file, reason)
        file.write(offset, right, size)
    file.open()


def test_a_file_of_another_boot_is_refused(file: File) -> None:
    file.make()
    for other in ("", BOOT[:-1], BOOT + "x", "x" * 39):
        refused(file, "another boot or database", origin=other)
    with pytest.raises(ValueError, match="too long"):
        native().Segment(file.fd, "x" * 40)
    file.write(BOOT_ID + 39, 1, 1)
    os.pwrite(file.fd, b"x" * 40, BOOT_ID)
    refused(file, "another boot or database")


def test_a_copy_is_refused(file: File) -> None:
    file.make().publish(0, 1, 10, 1)
    with new_file() as copy:
        os.pwrite(copy.fd, os.pread(file.fd, SEGMENT_BYTES, 0), 0)
        refused(copy, "a copy")
    file.write(DEVICE, file.read(DEVICE) + 1)
    refused(file, "a copy")


def test_a_closed_file_is_not_taken_over_and_has_nothing_for_takers(file: File) -> None:
    publisher = file.make()
    publisher.publish(0, 1, 10, 1)
    publisher.close()
    with pytest.raises(SegmentUnusable, match="closed"):
        file.open(publish=True)
    assert file.open().closed and file.open().take_one(0) == 0


def test_what_is_no_file_is_an_error_of_the_system() -> None:
    read_end, write_end = os.pipe()
    with pytest.raises(SegmentUnusable):
        native().Segment(read_end, BOOT)
    os.close(read_end)
    os.close(write_end)
    with pytest.raises(OSError):
        native().Segment(read_end, BOOT)
    with tempfile.NamedTemporaryFile() as file, Path(file.name).open("rb") as readable:
        file.truncate(SEGMENT_BYTES)
        with pytest.raises(PermissionError):
            native().Segment(readable.fileno(), BOOT)


def test_a_segment_is_made_once_and_is_not_used_before() -> None:
    half = native().Segment.__new__(native().Segment)
    for call in (lambda: half.take_one(0), lambda: half.look(0), half.check, half.wake, lambda: half.wait(0, 0.0)):
        with pytest.raises(RuntimeError, match="not mapped"):
            call()
    with new_file() as file:
        with pytest.raises(SegmentUnusable):
            half.__init__(file.fd, BOOT)
        with pytest.raises(RuntimeError, match="not mapped"):
            half.take_one(0)
    half.__init__(publish=True)
    with pytest.raises(RuntimeError, match="made once"):
        half.__init__()


def ring_in(file: File) -> Any:
    """Make a ring with three ranges in lane 1, the first of them in use."""
    publisher = file.make()
    for first in (1, 11, 31):
        publisher.publish(1, first, first + 9, 5)
    publisher.take(1, 4, ALL)
    return publisher


@pytest.mark.parametrize(
    ("offset", "size", "value"),
    [
        (CURSOR, 8, 10),
        (CURSOR, 8, 3 << 32 | 1),
        (CURSOR, 8, 4 << 32),
        (CURSOR, 8, (1 << 64) - 1),
        (HEAD, 4, 65),
        (HEAD, 4, (1 << 32) - 1),
        (HIGH, 8, 39),
        (HIGH, 8, 1 << 63),
        (SLOT, 8, 0),
        (SLOT, 8, 1 << 63),
        (SLOT, 8, 5),
        (SLOT + 8, 8, 0),
        (SLOT + 8, 8, 4),
        (SLOT + 8, 8, 1 << 32),
        (SLOT + 16, 8, MAX_ID),
        (SLOT + 32, 8, 12),
    ],
)
def test_a_lane_that_cannot_be_is_refused(file: File, offset: int, size: int, value: int) -> None:
    ring_in(file)
    file.write(field(1, offset), value, size)
    refused(file, "lane")


def test_a_cursor_beyond_its_range_is_damage_to_every_taker(file: File) -> None:
    ring = ring_in(file)
    file.write(field(1, CURSOR), 10)
    calls: tuple[Callable[[], object], ...] = (
        lambda: ring.take_one(1),
        lambda: ring.take(1, 1, ALL),
        lambda: ring.take(1, 1, BLOCK),
        lambda: ring.skip_to(1, 100),
        lambda: ring.look(1),
        lambda: ring.drain(1),
    )
    for call in calls:
        with pytest.raises(SegmentUnusable, match="no publisher writes"):
            call()
    assert ring.take_one(0) == 0 and file.read(field(1, CURSOR)) == 10


def test_the_publisher_notices_a_cursor_that_was_moved_back(file: File) -> None:
    ring = ring_in(file)
    ring.check()
    file.write(field(1, CURSOR), file.read(field(1, CURSOR)) - 1)
    for call in (ring.check, lambda: ring.publish(1, 100, 109, 5), lambda: ring.drain(1)):
        with pytest.raises(SegmentUnusable):
            call()
    # The other lanes are sound. check() covers all lanes, a call its own.
    assert ring.publish(0, 1, 10, 5)


@pytest.mark.parametrize("head", [2, 4, 60, (1 << 32) - 1, 0])
def test_the_publisher_notices_a_head_that_somebody_else_moved(file: File, head: int) -> None:
    ring = ring_in(file)
    file.write(field(1, HEAD), head, 4)
    for call in (ring.check, lambda: ring.publish(1, 100, 109, 5), lambda: ring.drain(1)):
        with pytest.raises(SegmentUnusable):
            call()


def test_closing_a_damaged_ring_moves_no_cursor_back(file: File) -> None:
    ring = ring_in(file)
    file.write(field(1, CURSOR), 2 << 32 | 3)
    file.write(field(1, HEAD), 1, 4)
    ring.close()
    assert file.read(field(1, CURSOR)) == 2 << 32 | 3 and file.read(CLOSED, 4) == 1


def test_a_publisher_that_died_before_the_head_has_published_nothing(file: File) -> None:
    """Its last steps were the highest id and the slot; the ids are a gap, and the slot is rewritten."""
    ring = ring_in(file)
    file.write(field(1, HIGH), 60)
    os.pwrite(file.fd, struct.pack("<QQ", 51, 10), field(1, SLOT + 3 * 16))
    del ring
    successor = file.open(publish=True)
    assert successor.look(1)["pieces"][-1] == (31, 40)
    with pytest.raises(RangeRefused):
        successor.publish(1, 51, 60, 5)
    assert successor.publish(1, 61, 70, 5) and successor.look(1)["pieces"][-1] == (61, 70)


words = st.sampled_from(
    [0, 1, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 64 << 32, 70 << 32, 5 << 32 | 9]
) | st.integers(0, 2**64 - 1)
places = st.integers(0, SEGMENT_BYTES // 8 - 1) | st.builds(
    lambda lane, offset: field(lane, offset) // 8,
    st.integers(0, LANES - 1),
    st.sampled_from([CURSOR, HEAD, LOW_WORD, HIGH, ADDED, SLOT, SLOT + 8, SLOT + 504, SLOT + 1016]),
)
flips = st.tuples(st.integers(0, SEGMENT_BYTES - 1), st.integers(0, 7))
steps = st.lists(st.tuples(st.integers(0, LANES - 1), st.integers(1, 9), st.integers(0, 9)), max_size=90)


def fill(ring: Any, todo: list[tuple[int, int, int]]) -> None:
    for lane, size, count in todo:
        high = ring.look(lane)["high"]
        ring.publish(lane, high + 1 + size % 2, high + size + size % 2, size)
        if count:
            ring.take(lane, count, UP_TO)


def call_everything(ring: Any, *, publish: bool) -> None:
    """A call returns sound ids, or raises that the lane is damaged."""
    for lane in range(LANES):
        with suppress(SegmentUnusable):
            assert 0 <= ring.take_one(lane) <= MAX_ID
        for count, mode in ((3, ALL), (5, UP_TO), (2, BLOCK)):
            with suppress(SegmentUnusable):
                taken = ring.take(lane, count, mode)
                assert all(1 <= first <= last <= MAX_ID for first, last in taken)
                assert sum(last - first + 1 for first, last in taken) <= count
        with suppress(SegmentUnusable):
            assert ring.skip_to(lane, 20) >= 0
        with suppress(SegmentUnusable):
            assert all(1 <= first <= last <= MAX_ID for first, last in ring.look(lane)["pieces"])
        if publish:
            with suppress(SegmentUnusable, RangeRefused):
                ring.publish(lane, 10**9, 10**9 + 5, 7)
            with suppress(SegmentUnusable):
                assert all(1 <= first <= last <= MAX_ID for first, last in ring.drain(lane))
    if publish:
        with suppress(SegmentUnusable):
            ring.check()
        ring.close()
    assert isinstance(ring.closed, bool)
    ring.wake()
    ring.wait(0, 0.0)


@settings(max_examples=300, deadline=None)
@given(
    todo=steps,
    damage=st.lists(st.tuples(places, words) | flips.map(lambda flip: (flip, None)), min_size=1, max_size=4),
    publish=st.booleans(),
    before=st.booleans(),
)
def test_damage_is_told_or_harmless(todo: Any, damage: Any, publish: bool, before: bool) -> None:
    """For a process that opens the file, and for one that had it open before."""
    with new_file() as file:
        ring = file.make()
        fill(ring, todo)
        for place, value in damage:
            if value is None:
                offset, bit = place
                file.write(offset, file.read(offset, 1) ^ 1 << bit, 1)
            else:
                file.write(8 * place, value)
        if before:
            call_everything(ring, publish=True)
        with suppress(SegmentUnusable):
            call_everything(file.open(publish=publish), publish=publish)


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=1, max_size=LANE_BYTES), st.booleans())
def test_any_bytes_behind_a_sound_header_are_told_or_harmless(body: bytes, repeated: bool) -> None:
    with new_file() as file:
        file.make()
        os.pwrite(file.fd, body * ((SEGMENT_BYTES - LANE) // len(body) if repeated else 1), LANE)
        with suppress(SegmentUnusable):
            call_everything(file.open(publish=True), publish=True)
