"""The Unix socket of the id server: one process a host owns it, others stand by until that process ends.

Ownership is a lock on a file beside the socket, which the kernel releases when the process ends, in whichever way. So
the socket file of a dead server is replaced at once, and one on which a process listens never.
"""

from __future__ import annotations

import fcntl
import os
import socket
from contextlib import suppress
from pathlib import Path

from wbd.errors import ConfigError
from wbd.ids.peer import Peer, group_id

# sun_path of unix(7) holds 108 bytes with its final zero; ".new" is appended while the socket is made.
_PATH_BYTES_MAX = 107 - len(".new")
# Connections that may wait to be accepted; the kernel caps it at net.core.somaxconn.
BACKLOG = 1024


class SocketFile:
    """
    A listening Unix socket at *path*.

    Args:
        mode: of the socket; a missing folder is made with 0700, or 0750 with a group.
        group: owner group of the socket, None to leave it.
    """

    def __init__(self, path: Path, *, mode: int = 0o600, group: str | None = None) -> None:
        self.path = path
        self._mode = mode
        self._group = group
        self._lock_fd: int | None = None
        self._made: tuple[int, int] | None = None
        # The group whose members may connect; None if there is none.
        self._admitted_gid: int | None = None

    def listen(self) -> socket.socket | None:
        """
        Return the listening socket, non-blocking, or None while another process has the address.

        Raises:
            ConfigError: path, mode, group or folder cannot be used.
        """
        if len(os.fsencode(self.path)) > _PATH_BYTES_MAX:
            raise ConfigError(
                f"ids_socket {self.path}: {len(os.fsencode(self.path))} bytes; at most {_PATH_BYTES_MAX} fit"
            )
        gid = group_id(self._group)
        try:
            if not self.path.parent.is_dir():
                self.path.parent.mkdir(mode=0o700, parents=True)
                if gid is not None:
                    os.chown(self.path.parent, -1, gid)
                    self.path.parent.chmod(0o750)
            if not self._lock() or self._is_served():
                return None
            return self._bind(gid)
        except OSError as error:
            self.release()
            raise ConfigError(f"ids_socket {self.path}: {error.strerror}; nothing is served") from error

    def admits(self, peer: Peer) -> bool:
        """
        Tell whether a client may be served: root, our own user, a member of the socket's group, and anybody if others
        may write to the socket.

        The kernel has checked the file's mode already; this check holds even when somebody has changed that by hand.
        """
        return peer.uid in (0, os.geteuid()) or bool(self._mode & 0o002) or self._admitted_gid in peer.gids

    def is_in_place(self) -> bool:
        """Tell whether the path still leads to the socket that listen() made."""
        try:
            status = self.path.stat()
        except OSError:
            return False
        return self._made == (status.st_dev, status.st_ino)

    def release(self) -> None:
        """Remove the socket file if it is ours, and let the next process have the address."""
        with suppress(OSError):
            if self.is_in_place():
                self.path.unlink()
        self._made = None
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def _lock(self) -> bool:
        if self._lock_fd is not None:
            return True
        # Never removed: a process that opened it before the removal and one that did so after would both hold a lock.
        path = self.path.with_name(self.path.name + ".lock")
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._lock_fd = handle
        return True

    def _is_served(self) -> bool:
        """Tell whether a process listens without holding our lock; a file that is no socket is never replaced."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            try:
                probe.connect(str(self.path))
            except BlockingIOError:
                # Its queue is full, so the process listens.
                return True
            except FileNotFoundError:
                return False
            except ConnectionRefusedError:
                if not self.path.is_socket():
                    raise FileExistsError(17, "exists and is not a socket; move it away") from None
                return False
        return True

    def _bind(self, gid: int | None) -> socket.socket:
        # Made under another name and moved into place, so that no client sees it without its mode or before it listens.
        fresh = self.path.with_name(self.path.name + ".new")
        fresh.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(fresh))
            if gid is not None:
                os.chown(fresh, -1, gid)
            fresh.chmod(self._mode)
            listener.listen(BACKLOG)
            listener.setblocking(False)
            status = fresh.stat()
            fresh.rename(self.path)
        except BaseException:
            listener.close()
            fresh.unlink(missing_ok=True)
            raise
        self._made = (status.st_dev, status.st_ino)
        self._admitted_gid = status.st_gid if gid is not None or self._mode & 0o020 else None
        return listener
