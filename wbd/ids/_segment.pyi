from collections.abc import Sequence
from typing import Any, Final

from wbd.ids.segment_twin import LaneLook

SEGMENT_BYTES: Final[int]
SLOTS: Final[int]
LAYOUT_VERSION: Final[int]

ALL: Final[int]
UP_TO: Final[int]
BLOCK: Final[int]

class Segment:
    """
    The ring of reserved ids, in the file *fd* or in memory of this process and its children; lanes are 0..3.

    Takers are safe beside each other and beside the publisher, of which there is one at a time: whoever holds the
    lock on the file. One thread at a time publishes, checks, drains or closes.

    Args:
        fd: an open file of SEGMENT_BYTES bytes, which may be closed afterwards; negative for memory without a file.
        origin: tells this boot and database from others, at most 39 bytes; None leaves it and the file unchecked,
            for a taker that knows the file.
        create: make an empty segment of a file of zeros that nobody else uses.
        publish: allow publish(), check(), drain() and close(), in a file that the last publisher left open.

    Raises:
        SegmentUnusable: the file is no segment, or of another version, boot or file, or damaged, or closed (publish).
    """

    def __init__(
        self, fd: int = -1, origin: str | None = "", *, create: bool = False, publish: bool = False
    ) -> None: ...
    def take_one(self, lane: int, /) -> int:
        """Return the next id, or 0 when there is none. Raises SegmentUnusable: the lane is damaged."""

    def take(self, lane: int, count: int, mode: int, /) -> list[tuple[int, int]]:
        """
        Return ids as ranges in increasing order, first and last inclusive; none when too few are left.

        Args:
            mode: ALL for *count* ids or none, UP_TO for as many as are left, BLOCK for *count* consecutive ids or none,
                which drops shorter ranges in front.

        Raises:
            SegmentUnusable: the lane is damaged; nothing was taken.
        """

    def skip_to(self, lane: int, number: int, /) -> int:
        """Drop the ids up to *number* from the front; return how many they were. Raises SegmentUnusable."""

    def look(self, lane: int, /) -> LaneLook:
        """Return the ids left and the counts so far; takers may go on meanwhile. Raises SegmentUnusable."""

    def publish(self, lane: int, first: int, last: int, low_left: int, /) -> bool:
        """
        Put a range behind the others; False when SLOTS ranges are waiting.

        Args:
            low_left: the first take afterwards that leaves fewer ids, or finds fewer, wakes wait(); 0 for none.

        Raises:
            RangeRefused: not above look()["high"], over 2**32 - 1 ids, or the segment is closed.
            SegmentUnusable: the lane is damaged, or has had 2**32 - 1 ranges.
        """

    def check(self) -> None:
        """Raise SegmentUnusable when a cursor or head moved as neither takers nor this publisher move it."""

    def drain(self, lane: int, /) -> list[tuple[int, int]]:
        """Take back everything that is left; it may be published again. Raises SegmentUnusable."""

    def close(self) -> None:
        """Leave nothing to take, and tell takers to look for another segment; what was not drained is a gap."""

    @property
    def closed(self) -> bool: ...
    def wake(self) -> None:
        """Wake whoever waits."""

    def wait(self, seen: int, timeout_s: float, /) -> int:
        """Wait until the count of wakes is not *seen*, or *timeout_s* (0..3600) have passed; return the count."""

class Taker:
    """
    The fast path of IdClient; whatever it cannot do at once goes to _slow_next, _slow_next_int or _slow_take, which
    its subclass defines.

    Args:
        entity_types: the members of the enum, by lane; calls with one of them, or with its name as a literal, are fast.
    """

    _attached: Segment | None

    def __init__(self, entity_types: tuple[str, ...], /) -> None: ...
    def next(self, entity_type: Any, /) -> Any: ...
    def next_int(self, entity_type: Any, /) -> Any: ...
    def take(self, entity_type: Any, count: Any, /) -> Any: ...
    def _attach(self, segment: Segment | None, count_max: int, /) -> None: ...

class Pump:
    """
    Answers the commands that clients send most, on sockets that have nothing else to do; see pump.h.

    One thread at a time; RuntimeError for another that comes while run() is busy.

    Args:
        segment: where the ids are taken.
        commands: at most 64; the bytes of a request of one id, its lane, and the letter before the number, or b"" for
            a plain number.

    Raises:
        ValueError: a command of less than 24 or more than 64 bytes, or more than 64 commands.
        OSError: no more files, or no memory.
    """

    def __init__(self, segment: Segment, commands: Sequence[tuple[bytes, int, bytes]], /) -> None: ...
    def fileno(self) -> int:
        """Return a file descriptor that is readable when run() has something to do."""

    def add(self, fd: int, /) -> None:
        """Watch a socket; its owner neither reads nor writes until it is removed or comes back. Raises OSError."""

    def remove(self, fd: int, /) -> None:
        """Stop watching a socket, before it is closed; harmless when it is not watched."""

    def heard_mono_s(self, fd: int, /) -> float:
        """Return when bytes last came from a socket, or it was added; 0.0 when it is not watched."""

    def run(self) -> tuple[int, list[tuple[int, bytes, bytes]]]:
        """
        Answer what has come in, until nothing is left or the turn is over; about 1 ms, without the GIL.

        Returns:
            The number of commands answered, and the sockets that come back: file descriptor, bytes that were read and
            not run, replies that were not sent. They are not watched any more.
        """
