"""The process at the other end of a Unix socket, as the kernel saw it when it connected."""

from __future__ import annotations

import grp
import os
import pwd
import socket
import struct
from dataclasses import dataclass

from wbd.errors import ConfigError

# From asm-generic/socket.h, since Linux 4.13; Python has no name for it.
_SO_PEERGROUPS = 59
_CREDENTIALS = struct.Struct("iII")
# The longest answer that Python takes from getsockopt(2): 256 groups.
_GROUPS_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Peer:
    """The process that connected: its effective user, and its groups, primary and supplementary."""

    pid: int
    uid: int
    gids: frozenset[int]

    @classmethod
    def of(cls, connected: socket.socket) -> Peer:
        """Return the peer of a connected Unix socket; two system calls."""
        pid, uid, gid = _CREDENTIALS.unpack(
            connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
        try:
            # The process's groups, not the user's: a service's unit file or a container may have added some.
            answer = connected.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES)
            gids = set(struct.unpack(f"{len(answer) // 4}I", answer))
        except OSError:
            # An older kernel, or too many groups for one answer.
            gids = _groups_of_user(uid, gid)
        return cls(pid, uid, frozenset(gids | {gid}))

    def __str__(self) -> str:
        return f"process {self.pid} of uid {self.uid}"


def _groups_of_user(uid: int, gid: int) -> set[int]:
    try:
        return set(os.getgrouplist(pwd.getpwuid(uid).pw_name, gid))
    except KeyError:
        return set()


def group_id(name: str | None) -> int | None:
    """Return the id of the group that ids_socket_group names; None for None. Raises ConfigError."""
    if name is None:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ConfigError(f"ids_socket_group {name!r}: no such group") from None
