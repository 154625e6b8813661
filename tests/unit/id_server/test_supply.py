"""What the id server does while a lane is short of ids."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest

from tests.unit.id_server.conftest import ITEM, Connect, Serve, connect_to, encode, wait_until
from wbd.entity.ids import EntityType
from wbd.id_server.server import IdServer
from wbd.id_server.socket_file import SocketFile
from wbd.ids.id_range import IdRange
from wbd.ids.pool import IdPool


def test_a_command_waits_for_a_refill_and_those_behind_it_keep_their_order(serve: Serve, connect: Connect) -> None:
    server = serve(ids=2)
    client, other = connect(server), connect(server)
    client.send(encode("INCR", "item") * 4 + encode("PING", "end"))
    assert [client.read(), client.read()] == [1, 2]
    wait_until(lambda: server.waiting == 1, "the third INCR waits")
    other.send(encode("NEXT", "item", "2"))
    wait_until(lambda: server.waiting == 2, "the other waits behind it")
    assert connect(server).ask("NEXT", "property") == b"P1", "other types do not wait"
    server.pool[ITEM].add(IdRange(ITEM, 11, 11), 1)
    server.refilled(ITEM)
    assert client.read() == 11
    server.pool[ITEM].add(IdRange(ITEM, 20, 25), 1)
    server.refilled(ITEM)
    assert other.read() == [b"Q20", b"Q21"], "who waits longest comes first"
    assert client.read() == 22 and client.read() == b"end"


def test_without_a_refill_the_error_comes_at_the_deadline_and_asks_for_ids_meanwhile(
    serve: Serve, connect: Connect
) -> None:
    server = serve(ids=1, wait_s=0.6)
    segment = server.pool.segment
    client = connect(server)
    assert client.ask("NEXT", "item", "1") == [b"Q1"]
    client.send(encode("NEXT", "item") + encode("RANGE", "item", "5") + encode("NEXT", "lexeme"))
    asked = segment.wait(0, 0.0)
    for _ in range(2):
        reply = client.read()
        assert str(reply).startswith("NOIDS no item ids") and "database" in str(reply)
    assert client.read() == b"L1"
    assert segment.wait(asked, 0.0) > asked + 2


def test_a_client_that_goes_away_while_it_waits_takes_nothing_with_it(serve: Serve, connect: Connect) -> None:
    server = serve(ids=0)
    client = connect(server)
    client.send(encode("NEXT", "item"))
    wait_until(lambda: server.waiting == 1, "it waits")
    client.socket.close()
    patient = connect(server)
    patient.send(encode("NEXT", "item"))
    wait_until(lambda: server.waiting == 2, "another waits behind it")
    server.pool[ITEM].add(IdRange(ITEM, 1, 5), 1)
    server.refilled(ITEM)
    assert patient.read() == b"Q1"
    wait_until(lambda: server.clients == 1, "the deserted connection is closed")
    assert server.waiting == 0


def test_replies_owed_to_a_client_that_has_finished_sending_still_come(serve: Serve, connect: Connect) -> None:
    server = serve(ids=0)
    client = connect(server)
    client.send(encode("INCR", "item") * 2)
    client.socket.shutdown(socket.SHUT_WR)
    wait_until(lambda: server.waiting == 1, "it waits")
    server.pool[ITEM].add(IdRange(ITEM, 1, 5), 1)
    server.refilled(ITEM)
    assert [client.read(), client.read()] == [1, 2] and client.is_closed()


def test_a_damaged_ring_is_an_error_and_takes_nothing(tmp_path: Path) -> None:
    _segment = pytest.importorskip("wbd.ids._segment")
    with tempfile.TemporaryFile() as file:
        file.truncate(_segment.SEGMENT_BYTES)
        pool = IdPool(_segment.Segment(file.fileno(), "boot", create=True, publish=True))
        for entity_type in EntityType:
            pool[entity_type].add(IdRange(entity_type, 1, 100), 1)
        server = IdServer(pool, SocketFile(tmp_path / "ids.sock"))
        assert server.start()
        try:
            client = connect_to(server)
            # The word that says which item id is the next.
            os.pwrite(file.fileno(), b"\xff" * 8, 256)
            for command in (
                ["INCR", "item"],
                ["NEXT", "item"],
                ["NEXT", "item", "3"],
                ["RANGE", "item", "2"],
                ["INFO"],
            ):
                assert str(client.ask(*command)).startswith("NOIDS"), command
            assert client.ask("INCR", "property") == 1
        finally:
            server.stop()
