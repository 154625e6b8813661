"""The id server over a real Unix socket: what Redis clients send, and what hostile or broken ones do."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import hiredis
import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from wbd.errors import ConfigError
from wbd.ids.connection import Connection
from wbd.ids.entity_id import MAX_ID, EntityType
from wbd.ids.id_range import IdRange
from wbd.ids.pool import IdPool
from wbd.ids.server import IdServer, ServerLimits
from wbd.ids.socket_file import SocketFile

ITEM = EntityType.ITEM
DEADLINE_S = 10.0

Serve = Callable[..., IdServer]


def wait_until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.005)


class Client:
    """A plain socket that speaks RESP, so that a test says exactly which bytes go when."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE_S)
        self.socket.connect(str(path))
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


def encode(*parts: str) -> bytes:
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p.encode()), p.encode()) for p in parts)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start a server with a pool of 1,000 ids of each type; stopped after the test."""
    servers: list[IdServer] = []

    def start(ids: int = 1000, address: SocketFile | None = None, **limits: Any) -> IdServer:
        pool = IdPool()
        for entity_type in EntityType:
            if ids:
                pool[entity_type].add(IdRange(entity_type, 1, ids), 1)
        server = IdServer(pool, address or SocketFile(tmp_path / "ids.sock"), ServerLimits(**limits))
        servers.append(server)
        assert server.start()
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def connect() -> Iterator[Callable[[IdServer], Client]]:
    opened: list[Client] = []

    def open_one(server: IdServer) -> Client:
        opened.append(Client(server.address.path))
        return opened[-1]

    yield open_one
    for client in opened:
        client.socket.close()


Connect = Callable[[IdServer], Client]


def test_next_incr_and_range_count_one_sequence_a_type(serve: Serve, connect: Connect) -> None:
    client = connect(serve())
    assert client.ask("NEXT", "item") == b"Q1"
    assert client.ask("NEXT", "item", "3") == [b"Q2", b"Q3", b"Q4"]
    assert client.ask("INCR", "item") == 5
    assert client.ask("RANGE", "item", "10") == [6, 15]
    assert client.ask("NEXT", "item", "1") == [b"Q16"]
    assert client.ask("INCRBY", "item", "4") == 20, "as Redis: the last of the four"
    assert [client.ask("NEXT", t) for t in ("property", "lexeme", "entityschema")] == [b"P1", b"L1", b"E1"]


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


class Written:
    """A transport that keeps what is written and does nothing else."""

    def __init__(self) -> None:
        self.data = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.data += data

    def close(self) -> None:
        self.closed = True

    def set_write_buffer_limits(self, high: int) -> None: ...


PIPELINE = st.lists(
    st.sampled_from(
        [
            *(["INCR", "item"], ["INCR", "item"], ["INCRBY", "item", "1"], ["NEXT", "lexeme"], ["NEXT", "item", "3"]),
            *(["RANGE", "item", "12"], ["PING"], ["ECHO", "*2\r\n$4\r\nINCR\r\n"], ["ECHO", ""], ["nonsense"], []),
        ]
    ),
    max_size=12,
)


def replies(data: bytes, cuts: list[int]) -> bytes:
    """What a client gets for *data* sent in pieces, after another has sent it whole and the server remembers it."""
    pool = IdPool()
    for entity_type in EntityType:
        pool[entity_type].add(IdRange(entity_type, 1, 10_000), 1)
    server = IdServer(pool, SocketFile(Path("not-used")))
    for number, places in enumerate(([], cuts)):
        connection, written = Connection(server, number), Written()
        connection.connection_made(written)
        for start, end in pairwise([0, *sorted({place for place in places if 0 < place < len(data)}), len(data)]):
            if start < end:
                connection.data_received(data[start:end])
        assert not written.closed
    return written.data


@settings(max_examples=80, deadline=None)
@given(PIPELINE, st.lists(st.integers(0, 400)))
def test_replies_do_not_depend_on_how_the_bytes_were_cut(commands: list[list[str]], cuts: list[int]) -> None:
    data = b"".join(encode(*command) for command in commands)
    assert replies(data, cuts) == replies(data, []) == replies(data, list(range(len(data))))


def test_the_rest_of_a_command_is_not_taken_for_one_that_was_seen_before() -> None:
    # Each header comes alone, and what follows is the same bytes in both commands.
    data = b"*2\r\n$4\r\nNEXT\r\n$4\r\nitem\r\n*3\r\n$4\r\nNEXT\r\n$4\r\nitem\r\n$1\r\n2\r\n"
    assert replies(data, [4, 24, 28, 48]) == b"$2\r\nQ4\r\n*2\r\n$2\r\nQ5\r\n$2\r\nQ6\r\n"


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
    asked: list[EntityType] = []
    server.pool.on_low = asked.append
    client = connect(server)
    assert client.ask("NEXT", "item", "1") == [b"Q1"]
    client.send(encode("NEXT", "item") + encode("RANGE", "item", "5") + encode("NEXT", "lexeme"))
    for _ in range(2):
        reply = client.read()
        assert str(reply).startswith("NOIDS no item ids") and "database" in str(reply)
    assert client.read() == b"L1"
    assert asked.count(ITEM) > 2


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


def test_quit_is_answered_and_ends_the_connection(serve: Serve, connect: Connect) -> None:
    client = connect(serve())
    client.send(encode("QUIT") + encode("INCR", "item"))
    assert client.read() == b"OK" and client.is_closed()


def test_two_hundred_idle_clients_do_not_keep_one_from_being_served(serve: Serve, connect: Connect) -> None:
    server = serve()
    idle = [connect(server) for _ in range(200)]
    wait_until(lambda: server.clients == 200, "all are in")
    client = connect(server)
    for number in range(1, 101):
        assert client.ask("INCR", "item") == number
    assert idle[-1].ask("PING") == b"PONG"


def test_one_client_over_the_limit_is_told_so(serve: Serve, connect: Connect) -> None:
    server = serve(clients_max=2)
    first, second = connect(server), connect(server)
    assert first.ask("PING") == second.ask("PING") == b"PONG"
    third = connect(server)
    assert "TRYAGAIN max number of clients" in str(third.read()) and third.is_closed()
    first.socket.close()
    wait_until(lambda: server.clients == 1, "the first is gone")
    assert connect(server).ask("PING") == b"PONG"


def test_a_client_that_never_reads_stops_being_served_and_is_dropped(serve: Serve, connect: Connect) -> None:
    server = serve(ids=50_000_000, stall_s=0.3)
    deaf = connect(server)
    deaf.socket.settimeout(0.2)
    with contextlib.suppress(TimeoutError, BrokenPipeError, ConnectionResetError):
        while True:
            deaf.send(encode("NEXT", "item", "1000") * 50)
    # It sent until nothing more went in, so nothing of it is taken any more.
    taken = server.pool[ITEM].state().taken
    assert taken * len(b"$9\r\nQ12345678\r\n") < 8 * 1024 * 1024, "replies that wait are bounded"
    assert connect(server).ask("INCR", "property") == 1
    wait_until(lambda: server.dropped == 1, "the deaf client is dropped")
    assert server.pool[ITEM].state().taken == taken


def test_a_client_that_says_nothing_is_closed_when_there_is_a_limit(serve: Serve, connect: Connect) -> None:
    server = serve(idle_s=0.3)
    quiet, half = connect(server), connect(server)
    half.send(b"*2\r\n$4\r\nIN")
    assert quiet.is_closed() and half.is_closed()
    assert connect(server).ask("PING") == b"PONG"


def test_a_stopped_server_answers_what_came_in_and_takes_nothing_more(serve: Serve, connect: Connect) -> None:
    server = serve(ids=3)
    waiting, idle = connect(server), connect(server)
    idle.ask("PING")
    waiting.send(encode("NEXT", "item", "4"))
    wait_until(lambda: server.waiting == 1, "it waits")
    server.stop()
    assert "NOIDS the id server is stopping" in str(waiting.read())
    assert waiting.is_closed() and idle.is_closed()
    assert not server.address.path.exists()
    assert server.pool[ITEM].drain() == [IdRange(ITEM, 1, 3)]


def test_a_server_can_be_started_again(serve: Serve, connect: Connect) -> None:
    server = serve()
    assert connect(server).ask("INCR", "item") == 1
    server.stop()
    assert server.start()
    assert connect(server).ask("INCR", "item") == 2


def test_redis_py_works_as_it_is(serve: Serve) -> None:
    server = serve()
    for protocol in (2, 3):
        path = str(server.address.path)
        with redis.Redis(unix_socket_path=path, protocol=protocol, client_name="test") as client:
            assert client.ping() is True
            first = client.incr("item")
            assert client.execute_command("NEXT", "item", 2) == [f"Q{first + 1}".encode(), f"Q{first + 2}".encode()]
            with client.pipeline(transaction=False) as pipeline:
                for _ in range(5):
                    pipeline.incr("item")
                assert pipeline.execute() == list(range(first + 3, first + 8))
            assert client.info()["item"]["left"] == 1000 - first - 7
            assert client.client_getname() in ("test", b"test") and client.client_id() > 0
            assert client.echo("x") == b"x" and client.config_get("save") in ({"save": ""}, {b"save": b""})
            with pytest.raises(redis.ResponseError, match="unknown entity type"):
                client.incr("thing")


def need(program: str) -> None:
    """Skip without a client of Debian's redis-tools; fail where CI=true, since every client is promised there."""
    if shutil.which(program) is None:
        missing = f"{program} not found; install it with: apt-get install redis-tools"
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)


def test_redis_cli_works_as_it_is(serve: Serve) -> None:
    need("redis-cli")
    server = serve()

    def cli(*words: str, typed: str | None = None) -> list[str]:
        done = subprocess.run(
            ["redis-cli", "-s", str(server.address.path), *words],
            input=typed,
            stdin=subprocess.DEVNULL if typed is None else None,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
        assert not done.stderr
        return done.stdout.splitlines()

    assert cli("NEXT", "item", "5") == ["Q1", "Q2", "Q3", "Q4", "Q5"]
    assert cli("INCR", "item") == ["6"] and cli("-3", "PING") == ["PONG"]
    assert cli(typed="NEXT lexeme\nRANGE item 3\nNEXT thing\n") == [
        *("L1", "7", "9"),
        "ERR unknown entity type 'thing'; there are: item, property, lexeme, entityschema",
        "",
    ]


def test_redis_benchmark_runs_without_an_error_reply(serve: Serve) -> None:
    need("redis-benchmark")
    server = serve(ids=1_000_000)
    for pipeline in ("1", "32"):
        done = subprocess.run(
            ["redis-benchmark", "-s", str(server.address.path), *f"-n 2000 -c 20 -P {pipeline} -q INCR item".split()],
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.returncode == 0 and not done.stderr and "requests per second" in done.stdout
        assert "rror" not in done.stdout
    # It stops at a whole pipeline, so it may take a few more than it was told to.
    assert 4000 <= server.pool[ITEM].state().taken < 4000 + 20 * 32


def test_info_tells_what_is_left_of_each_type(serve: Serve, connect: Connect) -> None:
    client = connect(serve())
    client.ask("NEXT", "property", "10")
    lines = client.ask("INFO").decode().splitlines()
    assert "property:next=P11,left=990,taken=10,skipped=0" in lines and "connected_clients:1" in lines
    assert client.ask("COMMAND", "DOCS") == [] and client.ask("HELLO", "4").args[0].startswith("NOPROTO")


def test_a_second_server_stands_by_until_the_first_ends(serve: Serve, connect: Connect) -> None:
    first = serve()
    second = IdServer(IdPool(), SocketFile(first.address.path))
    assert not second.start()
    assert connect(first).ask("INCR", "item") == 1, "the socket of the first was left alone"
    first.stop()
    assert second.start() and not first.start()
    second.stop()


def test_a_socket_that_a_dead_process_left_is_replaced_and_a_served_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "ids.sock"
    foreign = socket.socket(socket.AF_UNIX)
    foreign.bind(str(path))
    foreign.listen()
    address = SocketFile(path)
    assert address.listen() is None
    foreign.close()
    listener = address.listen()
    assert listener is not None and address.is_in_place()
    listener.close()
    address.release()
    assert not path.exists()


def test_the_socket_has_the_mode_asked_for_and_a_missing_folder_is_private(tmp_path: Path) -> None:
    address = SocketFile(tmp_path / "new" / "ids.sock", mode=0o660)
    listener = address.listen()
    assert listener is not None
    assert stat.S_IMODE(address.path.stat().st_mode) == 0o660
    assert stat.S_IMODE(address.path.parent.stat().st_mode) == 0o700
    listener.close()
    address.release()


def test_an_address_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a socket")
    for address, why in [
        (SocketFile(tmp_path / ("x" * 120)), "at most"),
        (SocketFile(tmp_path / "file"), "not a socket"),
        (SocketFile(tmp_path / "file" / "ids.sock"), "ids_socket"),
        (SocketFile(tmp_path / "ids.sock", group="no-such-group"), "no such group"),
    ]:
        with pytest.raises(ConfigError, match=why):
            address.listen()
    assert (tmp_path / "file").read_text() == "not a socket"
