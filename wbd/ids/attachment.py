"""Where a process of this host finds the ring of ids, and how it maps the ring to take from it.

Reads:   the segment's file
Writes:  nothing but what takers write (segment.h)
Repeats: harmless
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from wbd.errors import SegmentUnusable
from wbd.ids.segment import LAYOUT_VERSION, Segment


@dataclass(frozen=True, slots=True)
class Attachment:
    """The file of the segment; device and inode tell it from its successor at the same path."""

    path: str
    device: int
    inode: int
    layout: int


def open_segment(where: Attachment, owner_uid: int) -> Segment:
    """
    Map the segment at *where* to take from it.

    Raises:
        SegmentUnusable: another file than *where* names, not owned by *owner_uid*, not a segment of this version,
            or this process may not open it.
    """
    if where.layout != LAYOUT_VERSION:
        raise SegmentUnusable(f"segment {where.path}: layout {where.layout}; this process knows {LAYOUT_VERSION}")
    try:
        fd = os.open(where.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise SegmentUnusable(f"segment {where.path}: {error.strerror}") from error
    try:
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino) != (where.device, where.inode):
            raise SegmentUnusable(f"segment {where.path}: another file than the id server's")
        if status.st_uid != owner_uid:
            raise SegmentUnusable(f"segment {where.path}: owned by uid {status.st_uid}, not by the id server")
        # No origin: the server has checked that the file is of this boot and of the right database.
        return Segment(fd, None)
    finally:
        os.close(fd)
