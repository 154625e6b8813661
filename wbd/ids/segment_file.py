"""The file of the shared segment: owned by one publisher at a time, and left in place by a publisher that dies.

Reads:   the boot's id
Writes:  the file, and its folder if that is missing
Repeats: a file that a dead publisher left is taken over with the ids in it; one that cannot be trusted is set aside

Ownership is a lock on the file, which the kernel releases when the process ends. Takers need no lock. A file from
before the last boot may not show the last takes before the machine stopped, so it is never used again. Nor is a copy,
nor the file of another database, in which others have reserved the same numbers.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import time
from contextlib import suppress
from pathlib import Path

from wbd.errors import SegmentUnusable
from wbd.ids.attachment import Attachment
from wbd.ids.peer import group_id
from wbd.ids.segment import LAYOUT_VERSION, SEGMENT_BYTES, Segment

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Another process may remove the file between open and lock; more often than this is no accident.
_ATTEMPTS = 10


class SegmentFile:
    """
    The segment at *path*, for its publisher.

    Args:
        mode: of the id server's socket; whoever may write to the socket may take ids.
        group: owner group of the file, None to leave it.
        database: names the database that the ids are reserved in.
    """

    def __init__(self, path: Path, *, mode: int = 0o600, group: str | None = None, database: str = "") -> None:
        self.path = path
        self._origin = hashlib.blake2b(f"{boot_id()} {database}".encode(), digest_size=16).hexdigest()
        self._mode = mode
        self._group = group
        self._fd: int | None = None
        self._identity: tuple[int, int] | None = None
        self.set_aside: str | None = None

    @property
    def attachment(self) -> Attachment | None:
        """The place for takers to map; None while this process does not own the file."""
        return Attachment(str(self.path), *self._identity, LAYOUT_VERSION) if self._identity else None

    def acquire(self) -> Segment | None:
        """
        Return the segment to publish in, new or taken over, or None while another process owns it.

        A process whose file is lost may call this again; it owns the lost file until it has the next.

        ``set_aside`` says afterwards why an existing file was not used; None if it was used, or there was none.

        Raises:
            SegmentUnusable: no segment can be made here: no room, no permission, or another user's folder.
            ConfigError: no such group.
        """
        gid = group_id(self._group)
        self.set_aside = None
        try:
            self._make_folder(gid)
            for _ in range(_ATTEMPTS):
                fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
                try:
                    if not _lock(fd):
                        os.close(fd)
                        return None
                    segment = self._take_over_or_make(fd, gid) if _is_at(self.path, fd) else None
                except BaseException:
                    os.close(fd)
                    raise
                if segment is not None:
                    # A former file of ours is lost: the path led to another one.
                    self._let_go()
                    self._fd = fd
                    status = os.fstat(fd)
                    self._identity = (status.st_dev, status.st_ino)
                    return segment
                os.close(fd)
        except OSError as error:
            raise SegmentUnusable(f"ids_segment {self.path}: {error.strerror}") from error
        raise SegmentUnusable(f"ids_segment {self.path}: the file was replaced {_ATTEMPTS} times while it was opened")

    def is_in_place(self) -> bool:
        """Tell whether the path still leads to the file that acquire() returned."""
        return self._fd is not None and _is_at(self.path, self._fd)

    def release(self, *, keep: bool = False) -> None:
        """Let the next process have the address; remove the file if it is ours, unless *keep*."""
        if self._fd is None:
            return
        with suppress(OSError):
            if not keep and self.is_in_place():
                self.path.unlink()
        self._let_go()

    def _let_go(self) -> None:
        if self._fd is not None:
            # Closing is not enough: a mapping keeps the file open, and with it the lock.
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            os.close(self._fd)
            self._fd = self._identity = None

    def _take_over_or_make(self, fd: int, gid: int | None) -> Segment | None:
        """Return the segment in the file; None when the file was set aside, and the caller tries again."""
        status = os.fstat(fd)
        if status.st_uid != os.geteuid():
            raise SegmentUnusable(f"ids_segment {self.path}: owned by uid {status.st_uid}; move it away")
        if status.st_size:
            try:
                segment = Segment(fd, self._origin, publish=True)
                self._open_to_takers(fd, gid)
                return segment
            except SegmentUnusable as error:
                self.set_aside = str(error)
                self.path.rename(self.path.with_name(self.path.name + ".set-aside"))
                return None
        try:
            # Allocated now, because a write through the mapping to a full tmpfs would kill the process.
            os.posix_fallocate(fd, 0, SEGMENT_BYTES)
            segment = Segment(fd, self._origin, create=True, publish=True)
            self._open_to_takers(fd, gid)
        except BaseException:
            with suppress(OSError):
                self.path.unlink()
            raise
        return segment

    def _open_to_takers(self, fd: int, gid: int | None) -> None:
        """Let exactly those read and write who may write to the socket, whatever mode an earlier run set."""
        os.fchmod(fd, 0o600)
        if gid is not None:
            os.fchown(fd, -1, gid)
        writers = self._mode & 0o222
        os.fchmod(fd, writers | writers << 1)

    def _make_folder(self, gid: int | None) -> None:
        folder = self.path.parent
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700, parents=True)
        status = folder.stat(follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (os.geteuid(), 0) or status.st_mode & 0o022:
            raise SegmentUnusable(f"ids_segment: folder {folder} is not ours, or others may write to it")
        # Whoever may write to the file needs to pass through the folder.
        mode = status.st_mode | (0o050 if self._mode & 0o020 else 0) | (0o005 if self._mode & 0o002 else 0)
        if status.st_uid == os.geteuid():
            if gid is not None and status.st_gid != gid:
                os.chown(folder, -1, gid)
            if mode != status.st_mode:
                folder.chmod(stat.S_IMODE(mode))


def boot_id() -> str:
    """Return the id of this boot; where the kernel has none, a text that no file was made with."""
    try:
        return _BOOT_ID.read_text().strip()[:36]
    except OSError:
        return f"{os.getpid()}-{time.monotonic_ns()}"


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(fd))
    except OSError:
        return False
