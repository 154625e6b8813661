"""An id server on a real Unix socket, with and without its fast path, and a plain client for it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import hiredis
import pytest

from tests.conftest import without
from wbd.entity.ids import EntityType
from wbd.id_server.clients import ServerLimits
from wbd.id_server.server import IdServer
from wbd.id_server.socket_file import SocketFile
from wbd.ids import segment_twin
from wbd.ids.id_range import IdRange
from wbd.ids.pool import IdPool
from wbd.ids.segment import Segment
from wbd.runtime.clock import Clock

ITEM = EntityType.ITEM
DEADLINE_S = 10.0
# A client asks for an entity schema to get on the fast path, so tests ask for the other types.
WARM_TYPE = EntityType.ENTITYSCHEMA
WAYS = ["fast", "slow"]

Serve = Callable[..., IdServer]


def wait_until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.001)


def encode(*parts: str) -> bytes:
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p.encode()), p.encode()) for p in parts)


class Client:
    """A plain socket that speaks RESP, so that a test decides exactly when which bytes are sent."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        # With a timeout, connect() would fail while the queue of connections is full.
        self.socket.connect(str(path))
        self.socket.settimeout(DEADLINE_S)
        self.reader = hiredis.Reader()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self) -> Any:
        while (reply := self.reader.gets()) is False:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError
            self.reader.feed(data)
        return reply

    def ask(self, *parts: str) -> Any:
        self.send(encode(*parts))
        return self.read()

    def is_closed(self) -> bool:
        try:
            self.read()
        except (EOFError, ConnectionResetError):
            return True
        return False


def make_pool(way: str, ids: int = 1000) -> IdPool:
    """Return a pool with *ids* of each type, but 1,000 entity schemas; "slow" uses the twin, which has no fast path."""
    if way == "fast" and Segment is segment_twin.Segment:  # type: ignore[comparison-overlap]
        without("wbd.ids._segment is not built")
    pool = IdPool(cast(Segment, segment_twin.Segment(publish=True)) if way == "slow" else None)
    for entity_type in EntityType:
        if size := 1000 if entity_type is WARM_TYPE else ids:
            pool[entity_type].add(IdRange(entity_type, 1, size), 1)
    return pool


def connect_to(server: IdServer) -> Client:
    """Return a client that the fast path serves, if there is one."""
    client = Client(server.address.path)
    before = server.fast_path_clients or 0
    client.ask("INCR", WARM_TYPE)
    if server.fast_path_clients is not None:
        wait_until(lambda: (server.fast_path_clients or 0) > before, "it is on the fast path")
    return client


@pytest.fixture(params=WAYS)
def serve(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Serve]:
    """Start a server with a pool of 1,000 ids of each type; stopped after the test."""
    servers: list[IdServer] = []

    def start(
        ids: int = 1000, address: SocketFile | None = None, clock: Clock | None = None, **limits: Any
    ) -> IdServer:
        pool = make_pool(request.param, ids)
        servers.append(IdServer(pool, address or SocketFile(tmp_path / "ids.sock"), ServerLimits(**limits), clock))
        assert servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def connect() -> Iterator[Callable[[IdServer], Client]]:
    opened: list[Client] = []

    def open_one(server: IdServer) -> Client:
        opened.append(connect_to(server))
        return opened[-1]

    yield open_one
    for client in opened:
        client.socket.close()


Connect = Callable[[IdServer], Client]
