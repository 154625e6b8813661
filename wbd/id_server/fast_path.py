"""The fast path of the id server: clients that ask for one id at a time are answered in C (pump.h).

A connection that has nothing to do, and whose last command the pump knows, lends its socket to it: the transport is
paused, and the pump reads and writes instead. It comes back with whatever the pump cannot do, and asks again when that
is done. Without the native code every client takes the slow path, which answers the same.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import hiredis

from wbd.ids.pool import LANES

if TYPE_CHECKING:
    from wbd.id_server.connection import Connection
    from wbd.id_server.server import IdServer
    from wbd.ids._segment import Pump


def hot_commands() -> list[tuple[bytes, int, bytes]]:
    """Return the requests of one id as clients spell them, each with its lane and the letter of its reply."""
    found = []
    for entity_type, lane in LANES.items():
        letter = entity_type.prefix.encode()
        for spell in (str.upper, str.lower):
            # redis-py spells INCR as INCRBY 1.
            found.append((hiredis.pack_command((spell("INCR"), entity_type.value)), lane, b""))
            found.append((hiredis.pack_command((spell("INCRBY"), entity_type.value, "1")), lane, b""))
            found.append((hiredis.pack_command((spell("NEXT"), entity_type.value)), lane, letter))
    return found


def open_fast_path(server: IdServer) -> FastPath | None:
    """Return the server's fast path; None when the native code is not there, or its pool is not native."""
    try:
        from wbd.ids._segment import Pump, Segment
    except ModuleNotFoundError:
        return None
    segment = server.pool.segment
    return FastPath(server, Pump(segment, hot_commands())) if isinstance(segment, Segment) else None


class FastPath:
    """The sockets that the pump has; lives in the server's thread only."""

    def __init__(self, server: IdServer, pump: Pump) -> None:
        self._server = server
        self._pump = pump
        self._endings = tuple(request for request, _, _ in hot_commands())
        self._lent: dict[int, Connection] = {}
        server.loop.add_reader(pump.fileno(), self._run)

    def __len__(self) -> int:
        return len(self._lent)

    def offer(self, connection: Connection, data: bytes) -> None:
        """Take the connection's socket in the loop's next round, if *data*, its last bytes, end as the pump likes."""
        if data.endswith(self._endings):
            # By then its replies are written.
            self._server.loop.call_soon(self._enter, connection)

    def remove(self, connection: Connection) -> None:
        """Forget a connection that is going to be closed."""
        if self._lent.get(connection.fd) is connection:
            del self._lent[connection.fd]
            self._pump.remove(connection.fd)

    def heard_mono_s(self, connection: Connection) -> float:
        """Return when the pump last heard of a connection; 0.0 if it has not got it."""
        return self._pump.heard_mono_s(connection.fd) if self._lent.get(connection.fd) is connection else 0.0

    def finish(self, deadline_mono_s: float) -> None:
        """Answer what has come in by now, or as much as the time allows; the sockets stay until they are removed."""
        while self._run() and time.monotonic() < deadline_mono_s:
            pass
        self._server.loop.remove_reader(self._pump.fileno())

    def _enter(self, connection: Connection) -> None:
        if connection.is_quiet():
            try:
                self._pump.add(connection.fd)
            except OSError:
                # No room for it; the slow path does the same.
                return
            self._lent[connection.fd] = connection
            connection.lend()

    def _run(self) -> bool:
        """Let the pump have its turn; False if there was nothing to do."""
        answered, returned = self._pump.run()
        self._server.commands += answered
        for fd, rest, unsent in returned:
            self._lent.pop(fd).take_back(rest, unsent)
        return bool(answered or returned)
