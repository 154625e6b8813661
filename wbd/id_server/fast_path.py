"""The fast path of the id server: clients that ask for one id at a time are answered in C (pump.h).

An idle connection whose last command the pump knows lends its socket to it: the transport is paused, and the pump reads
and writes instead. The socket comes back with whatever the pump cannot do, and is offered again once that is done.
Without the native code every client takes the slow path, which gives the same answers.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import hiredis

from wbd.id_server.clients import Clients
from wbd.ids.pool import LANES
from wbd.ids.segment import Segment

if TYPE_CHECKING:
    from wbd.ids._segment import Pump


class Lender(Protocol):
    """A connection that can lend its socket."""

    @property
    def fd(self) -> int: ...

    def is_quiet(self) -> bool:
        """Tell whether the connection only waits for the client's next command."""

    def lend(self) -> None:
        """Leave the socket to the fast path until take_back()."""

    def take_back(self, unrun: bytes, unsent: bytes) -> None:
        """Send *unsent*, then go on with *unrun*, which the fast path has read and not run."""


def hot_commands() -> list[tuple[bytes, int, bytes]]:
    """Return the requests for one id as clients spell them, each with its lane and the letter of its reply."""
    requests = []
    for entity_type, lane in LANES.items():
        letter = entity_type.prefix.encode()
        for spell in (str.upper, str.lower):
            # redis-py spells INCR as INCRBY 1.
            requests.append((hiredis.pack_command((spell("INCR"), entity_type.value)), lane, b""))
            requests.append((hiredis.pack_command((spell("INCRBY"), entity_type.value, "1")), lane, b""))
            requests.append((hiredis.pack_command((spell("NEXT"), entity_type.value)), lane, letter))
    return requests


def open_fast_path(segment: Segment, clients: Clients, loop: asyncio.AbstractEventLoop) -> FastPath | None:
    """Return the fast path of one server; None when the native code is not built, or *segment* is its Python twin."""
    try:
        from wbd.ids import _segment
    except ModuleNotFoundError:
        return None
    if not isinstance(segment, _segment.Segment):
        return None
    return FastPath(_segment.Pump(segment, hot_commands()), clients, loop)


class FastPath:
    """The sockets that the pump serves; used in the server's thread only."""

    def __init__(self, pump: Pump, clients: Clients, loop: asyncio.AbstractEventLoop) -> None:
        self._pump = pump
        self._clients = clients
        self._loop = loop
        self._endings = tuple(request for request, _, _ in hot_commands())
        self._lent: dict[int, Lender] = {}
        loop.add_reader(pump.fileno(), self._run)

    def __len__(self) -> int:
        return len(self._lent)

    def offer(self, connection: Lender, data: bytes) -> None:
        """Borrow the connection's socket in the loop's next round if *data*, its last bytes, end in a known request."""
        if data.endswith(self._endings):
            # By the next round its replies are written.
            self._loop.call_soon(self._enter, connection)

    def remove(self, connection: Lender) -> None:
        """Forget a connection that is about to be closed."""
        if self._lent.get(connection.fd) is connection:
            del self._lent[connection.fd]
            self._pump.remove(connection.fd)

    def heard_mono_s(self, connection: Lender) -> float:
        """Return when the pump last read from a connection; 0.0 if it does not serve it."""
        return self._pump.heard_mono_s(connection.fd) if self._lent.get(connection.fd) is connection else 0.0

    def finish(self, deadline_mono_s: float) -> None:
        """Answer what has come in by now, until the deadline at most; the sockets stay until they are removed."""
        while self._run() and self._clients.clock.mono_s() < deadline_mono_s:
            pass
        self._loop.remove_reader(self._pump.fileno())

    def _enter(self, connection: Lender) -> None:
        if connection.is_quiet():
            try:
                self._pump.add(connection.fd)
            except OSError:
                # The pump has no room; the slow path gives the same answers.
                return
            self._lent[connection.fd] = connection
            connection.lend()

    def _run(self) -> bool:
        """Give the pump its turn; return False if there was nothing to do."""
        answered, returned = self._pump.run()
        self._clients.commands += answered
        for fd, unrun, unsent in returned:
            self._lent.pop(fd).take_back(unrun, unsent)
        return bool(answered or returned)
