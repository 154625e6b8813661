"""The answers of the id server to commands, valid and not, at once and in pieces, over a real Unix socket."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import tempfile
import termios
import threading
from itertools import pairwise
from pathlib import Path

import hiredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.id_server.conftest import ITEM, WAYS, Client, Connect, Serve, connect_to, encode, make_pool, wait_until
from wbd.entity.ids import MAX_ID
from wbd.id_server.server import IdServer
from wbd.id_server.socket_file import SocketFile
from wbd.ids.attachment import Attachment
from wbd.ids.id_range import IdRange


def test_next_incr_and_range_count_one_sequence_a_type(serve: Serve, connect: Connect) -> None:
    client = connect(serve())
    assert client.ask("NEXT", "item") == b"Q1"
    assert client.ask("NEXT", "item", "3") == [b"Q2", b"Q3", b"Q4"]
    assert client.ask("INCR", "item") == 5
    assert client.ask("RANGE", "item", "10") == [6, 15]
    assert client.ask("NEXT", "item", "1") == [b"Q16"]
    assert client.ask("INCRBY", "item", "4") == 20, "as Redis: the last of the four"
    assert [client.ask("NEXT", t) for t in ("property", "lexeme", "entityschema")] == [b"P1", b"L1", b"E2"]


def test_commands_and_types_are_read_in_any_case(serve: Serve, connect: Connect) -> None:
    client = connect(serve())
    assert client.ask("next", "ITEM") == b"Q1"
    assert client.ask("Incr", "Item") == 2


def test_arrays_of_ids_cross_a_change_of_length_and_of_range(serve: Serve, connect: Connect) -> None:
    server = serve(ids=0)
    server.pool[ITEM].add(IdRange(ITEM, 8, 12), 1)
    server.pool[ITEM].add(IdRange(ITEM, 99, 101), 1)
    server.pool[ITEM].add(IdRange(ITEM, MAX_ID, MAX_ID), 1)
    numbers = [8, 9, 10, 11, 12, 99, 100, 101, MAX_ID]
    assert connect(server).ask("NEXT", "item", "9") == [f"Q{n}".encode() for n in numbers]


def test_a_pipeline_is_answered_in_order(serve: Serve, connect: Connect) -> None:
    client = connect(serve())
    client.send(b"".join(encode("INCR", "item") + encode("PING", str(i)) + encode("NEXT", "item") for i in range(100)))
    for i in range(100):
        assert [client.read(), client.read(), client.read()] == [2 * i + 1, str(i).encode(), f"Q{2 * i + 2}".encode()]


def test_a_pipeline_over_one_turn_is_answered_whole_while_others_are_served(serve: Serve, connect: Connect) -> None:
    server = serve(ids=1_000_000)
    greedy, modest = connect(server), connect(server)
    sender = threading.Thread(target=greedy.send, args=(encode("NEXT", "item", "2000") * 100,))
    sender.start()
    assert modest.ask("NEXT", "property") == b"P1"
    ids = [one for _ in range(100) for one in greedy.read()]
    sender.join()
    assert ids == [f"Q{n}".encode() for n in range(1, 200_001)]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_commands_that_come_in_pieces_are_put_together(serve: Serve, connect: Connect, size: int) -> None:
    client = connect(serve())
    data = encode("NEXT", "item") + encode("PING", "a\r\nb\x00") + encode("RANGE", "item", "10")
    for start in range(0, len(data), size):
        client.send(data[start : start + size])
    assert [client.read(), client.read(), client.read()] == [b"Q1", b"a\r\nb\x00", [2, 11]]


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (["NEXT"], "usage: NEXT type"),
        (["NEXT", "item", "1", "2"], "usage: NEXT type"),
        (["INCR", "item", "1"], "usage: INCR type"),
        (["RANGE", "item"], "usage: RANGE type count"),
        (["NEXT", "thing"], "unknown entity type 'thing'; there are: item, property, lexeme, entityschema"),
        (["INCR", "\r\n+OK"], "unknown entity type"),
        (["NEXT", "item", "0"], "count '0' is not a number within 1..100"),
        (["NEXT", "item", "-1"], "count '-1' is not"),
        (["NEXT", "item", "101"], "count '101' is not"),
        (["RANGE", "item", "many"], "count 'many' is not"),
        (["NEXT", "item", "9" * 400], "count '9999"),
        (["NEXT", "item", "²"], "count '\\xc2\\xb2' is not"),
        (["GET", "item"], "unknown command 'GET'; there are: "),
        (["A\r\n-B" * 50], "unknown command"),
        (["SELECT", "1"], "DB index is out of range"),
        (["CLIENT", "KILL"], "unknown CLIENT command"),
        (["CONFIG", "SET", "save", ""], "CONFIG only reads"),
        (["ECHO"], "usage: ECHO message"),
        (["HELLO", "3", "AUTH", "a", "b"], "AUTH"),
    ],
)
def test_a_bad_command_gets_one_error_line_and_the_connection_lives(
    serve: Serve, connect: Connect, command: list[str], problem: str
) -> None:
    client = connect(serve(count_max=100))
    reply = client.ask(*command)
    assert isinstance(reply, hiredis.ReplyError) and str(reply).startswith("ERR ") and problem in str(reply)
    assert client.ask("NEXT", "item") == b"Q1", "no id was lost to it, and replies are still in step"


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"PING\r\n",
        b"+OK\r\n",
        b":5\r\n",
        b"$4\r\nPING\r\n",
        b"*1\r\n:1\r\n",
        b"*2\r\n$4\r\nINCR\r\n*1\r\n$4\r\nitem\r\n",
        b"*1\r\n$-1\r\n",
        b"*x\r\n",
        b"*4000000000\r\n",
        b"*1\r\n$4\r\nPING\r\n*2000000000\r\n$4\r\n",
        b"%200000000\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_bytes_that_are_no_command_are_answered_and_the_connection_closed(
    serve: Serve, connect: Connect, data: bytes
) -> None:
    server = serve()
    client = connect(server)
    client.send(data)
    replies = [client.read()]
    if replies == [b"PONG"]:
        replies.append(client.read())
    assert isinstance(replies[-1], hiredis.ReplyError) and "Protocol error" in str(replies[-1])
    assert client.is_closed()
    assert connect(server).ask("NEXT", "item") == b"Q1"


def test_the_header_of_a_huge_array_is_refused_when_it_comes_byte_by_byte(serve: Serve, connect: Connect) -> None:
    client = connect(serve())
    assert client.ask("PING") == b"PONG"
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for byte in b"*1000000000\r\n":
            client.send(bytes([byte]))
    assert isinstance(client.read(), hiredis.ReplyError)
    assert client.is_closed()


def test_a_command_that_never_ends_is_refused(serve: Serve, connect: Connect) -> None:
    client = connect(serve())
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        client.send(b"*2\r\n$4\r\nECHO\r\n$100000000\r\n")
        for _ in range(100):
            client.send(b"x" * 1000)
    with contextlib.suppress(ConnectionResetError):
        assert "Protocol error: command over" in str(client.read())
    assert client.is_closed()


def test_quit_is_answered_and_ends_the_connection(serve: Serve, connect: Connect) -> None:
    client = connect(serve())
    client.send(encode("QUIT") + encode("INCR", "item"))
    assert client.read() == b"OK" and client.is_closed()


def test_info_tells_what_is_left_of_each_type(serve: Serve, connect: Connect) -> None:
    client = connect(serve())
    client.ask("NEXT", "property", "10")
    lines = client.ask("INFO").decode().splitlines()
    assert "property:next=P11,left=990,taken=10,skipped=0" in lines and "connected_clients:1" in lines
    assert client.ask("COMMAND", "DOCS") == [] and client.ask("HELLO", "4").args[0].startswith("NOPROTO")


def test_attach_says_where_the_ring_is_or_why_nobody_can_map_it(serve: Serve, connect: Connect) -> None:
    server = serve(count_max=77)
    client = connect(server)
    assert str(client.ask("ATTACH")) == "NOSHM the ring of this server is in no file"
    server.attachment = "no room\r\n+OK"
    assert str(client.ask("ATTACH")) == "NOSHM no room??+OK"
    server.attachment = Attachment("/dev/shm/ids \udcff", 2**64 - 1, 2**63, 1)
    reply = client.ask("attach")
    assert dict(zip(reply[::2], reply[1::2], strict=True)) == {
        **{b"path": b"/dev/shm/ids \xff", b"device": b"%d" % (2**64 - 1), b"inode": b"%d" % 2**63},
        **{b"layout": 1, b"count_max": 77},
    }
    client.ask("HELLO", "3")
    assert client.ask("ATTACH")[b"layout"] == 1
    assert "usage: ATTACH" in str(client.ask("ATTACH", "item"))


def test_commands_are_counted_whoever_answers_them(serve: Serve, connect: Connect) -> None:
    client = connect(serve())
    client.send(encode("INCR", "item") * 100)
    assert [client.read() for _ in range(100)] == list(range(1, 101))
    client.send(encode("NEXT", "item") + encode("NEXT", "item", "3") + encode("nonsense"))
    assert [client.read(), client.read()] == [b"Q101", [b"Q102", b"Q103", b"Q104"]]
    client.read()
    # The one that got the client on the fast path, the hundred, and the three; this one is not counted yet.
    assert "total_commands_processed:104" in client.ask("INFO").decode().splitlines()


def send_and_wait(client: Client, piece: bytes) -> None:
    """Send a piece, and wait until the server has read it."""

    def is_read() -> bool:
        return fcntl.ioctl(client.socket, termios.TIOCOUTQ, bytes(4)) == bytes(4)

    client.send(piece)
    wait_until(is_read, "the server has read the piece")


PIPELINE = st.lists(
    st.sampled_from(
        [
            *(["INCR", "item"], ["INCR", "item"], ["incr", "lexeme"], ["INCRBY", "item", "1"], ["NEXT", "lexeme"]),
            *(["NEXT", "item", "3"], ["RANGE", "item", "12"], ["PING"], ["ECHO", "*2\r\n$4\r\nINCR\r\n"]),
            *(["ECHO", ""], ["nonsense"], ["NEXT", "item", "0"], []),
        ]
    ),
    max_size=12,
)


def replies(way: str, data: bytes, cuts: list[int]) -> bytes:
    """Return the replies to *data* sent in pieces, after another client sent it at once and the server remembers it."""
    with tempfile.TemporaryDirectory() as folder:
        server = IdServer(make_pool(way, 10_000), SocketFile(Path(folder) / "ids.sock"))
        assert server.start()
        try:
            for places in ([], cuts):
                client, answer = connect_to(server), b""
                for start, end in pairwise([0, *sorted({at for at in places if 0 < at < len(data)}), len(data)]):
                    send_and_wait(client, data[start:end])
                client.socket.shutdown(socket.SHUT_WR)
                while more := client.socket.recv(65536):
                    answer += more
                client.socket.close()
        finally:
            server.stop()
    return answer


@settings(max_examples=60, deadline=None)
@given(PIPELINE, st.lists(st.integers(0, 400)))
def test_replies_depend_neither_on_how_the_bytes_were_cut_nor_on_the_way_they_took(
    commands: list[list[str]], cuts: list[int]
) -> None:
    data = b"".join(encode(*command) for command in commands)
    expected = replies("slow", data, [])
    for way in WAYS:
        assert replies(way, data, cuts) == expected


@pytest.mark.parametrize("way", WAYS)
def test_replies_are_the_same_for_bytes_that_come_one_by_one(way: str) -> None:
    data = (encode("INCR", "item") + encode("NEXT", "item", "2") + encode("NEXT", "lexeme") + encode("PING")) * 3
    assert replies(way, data, list(range(len(data)))) == replies("slow", data, [])


@pytest.mark.parametrize("way", WAYS)
def test_the_rest_of_a_command_is_not_taken_for_one_that_was_seen_before(way: str) -> None:
    # Each header comes alone, and the bytes that follow are the same in both commands.
    data = b"*2\r\n$4\r\nNEXT\r\n$4\r\nitem\r\n*3\r\n$4\r\nNEXT\r\n$4\r\nitem\r\n$1\r\n2\r\n"
    assert replies(way, data, [4, 24, 28, 48]) == b"$2\r\nQ4\r\n*2\r\n$2\r\nQ5\r\n$2\r\nQ6\r\n"
