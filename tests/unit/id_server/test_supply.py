"""Commands wait while a lane is short of ids, in order, and not for ever."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest

from tests.build.clock import SetClock
from tests.unit.id_server.conftest import DEADLINE_S, ITEM, Connect, Serve, connect_to, encode, wait_until
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
    wait_until(lambda: server.clients.waiting == 1, "the third INCR waits")
    other.send(encode("NEXT", "item", "2"))
    wait_until(lambda: server.clients.waiting == 2, "the other waits behind it")
    assert connect(server).ask("NEXT", "property") == b"P1", "other types do not wait"
    server.pool[ITEM].add(IdRange(ITEM, 11, 11), 1)
    server.refilled(ITEM)
    assert client.read() == 11
    server.pool[ITEM].add(IdRange(ITEM, 20, 25), 1)
    server.refilled(ITEM)
    assert other.read() == [b"Q20", b"Q21"], "who waits longest comes first"
    assert client.read() == 22 and client.read() == b"end"


def test_without_a_refill_the_error_comes_at_the_deadline_and_not_before(serve: Serve, connect: Connect) -> None:
    clock = SetClock()
    server = serve(ids=1, wait_s=0.01, clock=clock)
    client, other = connect(server), connect(server)
    client.send(encode("NEXT", "item", "3") + encode("NEXT", "lexeme"))
    wait_until(lambda: server.clients.waiting == 1, "it waits")
    asked = server.pool.segment.wait(0, 0.0)
    wait_until(lambda: server.pool.segment.wait(0, 0.0) > asked + 1, "the refill is asked for again and again")
    assert server.clients.waiting == 1, "by the clock no time has passed"
    clock.advance(0.006)
    other.send(encode("RANGE", "item", "5"))
    wait_until(lambda: server.clients.waiting == 2, "the other waits, too")
    clock.advance(0.006)
    reply = str(client.read())
    assert reply.startswith("NOIDS no item ids: none left here and none reserved within 0.01 s") and "database" in reply
    assert client.read() == b"L1"
    assert server.clients.waiting == 1, "who came later waits as long"
    clock.advance(0.006)
    assert str(other.read()).startswith("NOIDS no item ids")


def test_the_error_comes_when_it_is_due_and_not_at_the_next_tick(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wbd.id_server.server._TICK_S", 2 * DEADLINE_S)
    client = connect(serve(ids=1, wait_s=0.05))
    client.send(encode("RANGE", "item", "2"))
    assert str(client.read()).startswith("NOIDS no item ids")


def test_a_client_that_goes_away_while_it_waits_takes_nothing_with_it(serve: Serve, connect: Connect) -> None:
    server = serve(ids=0)
    client = connect(server)
    client.send(encode("NEXT", "item"))
    wait_until(lambda: server.clients.waiting == 1, "it waits")
    client.socket.close()
    patient = connect(server)
    patient.send(encode("NEXT", "item"))
    wait_until(lambda: server.clients.waiting == 2, "another waits behind it")
    server.pool[ITEM].add(IdRange(ITEM, 1, 5), 1)
    server.refilled(ITEM)
    assert patient.read() == b"Q1"
    wait_until(lambda: len(server.clients) == 1, "the deserted connection is closed")
    assert server.clients.waiting == 0


def test_replies_owed_to_a_client_that_has_finished_sending_still_come(serve: Serve, connect: Connect) -> None:
    server = serve(ids=0)
    client = connect(server)
    client.send(encode("INCR", "item") * 2)
    client.socket.shutdown(socket.SHUT_WR)
    wait_until(lambda: server.clients.waiting == 1, "it waits")
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
            # The cursor of the lane of items.
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
