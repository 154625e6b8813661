"""Promises of the pump (pump.h), over socket pairs and a segment in private memory."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count, pairwise
from typing import TYPE_CHECKING

import hiredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.native.conftest import origin
from wbd.id_server.fast_path import hot_commands

if TYPE_CHECKING:
    from wbd.ids._segment import Pump, Segment

ITEM = 0
INCR = hiredis.pack_command(("INCR", "item"))
NEXT = hiredis.pack_command(("NEXT", "item"))
PING = hiredis.pack_command(("PING",))
# The limits of one call, from the header.
TURN_COMMANDS, CHUNK_BYTES, ROUND_SOCKETS = 8192, 16384, 32


class Bench:
    """A pump with a segment, and clients of it."""

    def __init__(self, ids: int = 1000, first: int = 1) -> None:
        origin("wbd.ids._segment")
        from wbd.ids._segment import Pump, Segment

        self.segment: Segment = Segment(publish=True)
        if ids:
            for lane in range(4):
                self.segment.publish(lane, first, first + ids - 1, 0)
        self.pump: Pump = Pump(self.segment, hot_commands())
        self._sockets: list[socket.socket] = []

    def connect(self) -> tuple[socket.socket, socket.socket]:
        """Return a client's end and the server's end, which the pump watches."""
        client, server = socket.socketpair()
        client.setblocking(False)
        server.setblocking(False)
        self._sockets += [client, server]
        self.pump.add(server.fileno())
        return client, server

    def left(self, lane: int = ITEM) -> int:
        return self.segment.look(lane)["left"]

    def close(self) -> None:
        for one in self._sockets:
            one.close()


@pytest.fixture
def make() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def one(ids: int = 1000, first: int = 1) -> Bench:
        made.append(Bench(ids, first))
        return made[-1]

    yield one
    for bench in made:
        bench.close()


def read_all(client: socket.socket) -> bytes:
    replies = b""
    with suppress(BlockingIOError):
        while data := client.recv(65536):
            replies += data
    return replies


def test_every_spelling_is_answered_with_the_next_id_of_its_type(make: Callable[..., Bench]) -> None:
    bench = make()
    client, _ = bench.connect()
    seen = dict.fromkeys(range(4), 0)
    for request, lane, letter in hot_commands():
        client.send(request)
        assert bench.pump.run() == (1, [])
        seen[lane] += 1
        text = letter + b"%d" % seen[lane]
        assert read_all(client) == (b"$%d\r\n%b\r\n" % (len(text), text) if letter else b":%b\r\n" % text)
    assert len({request for request, _, _ in hot_commands()}) == 24


@pytest.mark.parametrize("first", [1, 8, 95, 996, 10**9 - 2, 10**12, 2**63 - 7])
def test_numbers_of_any_length_are_written_whole(make: Callable[..., Bench], first: int) -> None:
    bench = make(ids=6, first=first)
    client, _ = bench.connect()
    client.send((INCR + NEXT) * 3)
    assert bench.pump.run() == (6, [])
    reader = hiredis.Reader()
    reader.feed(read_all(client))
    for number in range(first, first + 6, 2):
        assert reader.gets() == number and reader.gets() == b"Q%d" % (number + 1)


def test_a_pipeline_is_answered_in_order_and_the_socket_stays(make: Callable[..., Bench]) -> None:
    bench = make()
    client, _ = bench.connect()
    client.send(INCR * 300)
    assert bench.pump.run() == (300, [])
    assert read_all(client) == b"".join(b":%d\r\n" % n for n in range(1, 301))
    client.send(INCR)
    assert bench.pump.run() == (1, []) and read_all(client) == b":301\r\n"
    assert bench.pump.run() == (0, [])


@pytest.mark.parametrize(
    "unrun",
    [
        *(PING, PING + INCR, INCR[:1], INCR[:-1], b"\r\n", b"*2\r\n$4\r\nINCR\r\n$4\r\nitems\r\n", b"\x00" * 70),
        *(hiredis.pack_command(("INCRBY", "item", n)) for n in ("0", "2", "-1", "x", "11")),
        *(hiredis.pack_command(("NEXT", "item", n)) for n in ("0", "1", "-5", "text", "99999999999999999999")),
    ],
)
def test_what_it_does_not_know_goes_back_from_there_on_and_takes_nothing(
    make: Callable[..., Bench], unrun: bytes
) -> None:
    bench = make()
    client, server = bench.connect()
    client.send(INCR * 2 + unrun + INCR)
    assert bench.pump.run() == (2, [(server.fileno(), unrun + INCR, b"")])
    assert read_all(client) == b":1\r\n:2\r\n" and bench.left() == 998
    client.send(INCR)
    assert bench.pump.run() == (0, []), "it is not watched any more"
    assert bench.pump.heard_mono_s(server.fileno()) == 0.0
    bench.pump.add(server.fileno())
    assert bench.pump.run() == (1, []) and read_all(client) == b":3\r\n"


def test_a_dry_lane_takes_nothing_away_from_the_commands_behind_it(make: Callable[..., Bench]) -> None:
    bench = make(ids=0)
    bench.segment.publish(ITEM, 1, 3, 0)
    bench.segment.publish(1, 1, 3, 0)
    client, server = bench.connect()
    behind = INCR + hiredis.pack_command(("NEXT", "property")) + PING
    client.send(INCR * 3 + behind)
    assert bench.pump.run() == (3, [(server.fileno(), behind, b"")])
    assert read_all(client) == b":1\r\n:2\r\n:3\r\n" and bench.left(1) == 3


def test_a_damaged_lane_takes_nothing(make: Callable[..., Bench]) -> None:
    from wbd.ids._segment import SEGMENT_BYTES, Pump, Segment

    bench = make()
    with tempfile.TemporaryFile() as file:
        file.truncate(SEGMENT_BYTES)
        segment = Segment(file.fileno(), "boot", create=True, publish=True)
        segment.publish(ITEM, 1, 10, 0)
        pump = Pump(segment, hot_commands())
        client, server = bench.connect()
        bench.pump.remove(server.fileno())
        pump.add(server.fileno())
        client.send(INCR)
        assert pump.run() == (1, [])
        os.pwrite(file.fileno(), b"\xff" * 8, 256)
        client.send(INCR)
        assert pump.run() == (0, [(server.fileno(), INCR, b"")])


def test_a_client_that_went_away_goes_back(make: Callable[..., Bench]) -> None:
    bench = make()
    done, half, rude = bench.connect(), bench.connect(), bench.connect()
    done[0].close()
    half[0].send(INCR)
    half[0].shutdown(socket.SHUT_WR)
    rude[0].send(INCR)
    rude[0].close()
    answered, returned = bench.pump.run()
    # The end of a stream is read in the round after its last bytes, and a round that returns sockets ends the call.
    none, later = bench.pump.run()
    returned += later
    assert (answered, none) == (2, 0)
    assert {(fd, unrun) for fd, unrun, _ in returned} == {(one[1].fileno(), b"") for one in (done, half, rude)}
    assert read_all(half[0]) == b":1\r\n" or read_all(half[0]) == b":2\r\n"


def test_an_id_that_was_taken_is_in_the_socket_or_comes_back(make: Callable[..., Bench]) -> None:
    bench = make(ids=10_000_000, first=10**15)
    client, server = bench.connect()
    returned: list[tuple[int, bytes, bytes]] = []
    answered = 0
    while not returned:
        client.send(NEXT * 500)
        done, returned = bench.pump.run()
        answered += done
    [(fd, unrun, unsent)] = returned
    assert fd == server.fileno() and not unrun and unsent, "the client does not read"
    replies = read_all(client) + unsent
    assert replies == b"".join(b"$17\r\nQ%d\r\n" % n for n in range(10**15, 10**15 + answered))
    assert bench.left() == 10_000_000 - answered


def test_a_turn_ends_and_nobody_has_a_second_chunk_before_the_others_had_one(make: Callable[..., Bench]) -> None:
    bench = make(ids=1_000_000)
    # Complete commands, so that no socket comes back.
    chunk = INCR * 678 + hiredis.pack_command(("NEXT", "property")) * 4
    assert len(chunk) == CHUNK_BYTES
    clients = [bench.connect()[0] for _ in range(5)]
    for client in clients:
        for _ in range(6):
            assert client.send(chunk) == len(chunk)
    turns = [bench.pump.run() for _ in range(3)]
    # A turn ends with the round in which it has run enough.
    assert turns == [(15 * 682, []), (15 * 682, []), (0, [])] and 10 * 682 < TURN_COMMANDS < 15 * 682
    numbers = [[int(line[1:]) for line in read_all(client).split() if line.startswith(b":")] for client in clients]
    rounds = [[one[start : start + 678] for one in numbers] for start in range(0, 6 * 678, 678)]
    assert [sorted(n for part in parts for n in part) for parts in rounds] == [
        list(range(start + 1, start + 5 * 678 + 1)) for start in range(0, 30 * 678, 5 * 678)
    ]


def test_many_that_come_back_do_so_over_several_calls(make: Callable[..., Bench]) -> None:
    bench = make()
    ends = [bench.connect() for _ in range(3 * ROUND_SOCKETS + 4)]
    for client, _ in ends:
        client.send(INCR + PING)
    answered, returned_in_all = 0, []
    for expected in (ROUND_SOCKETS, ROUND_SOCKETS, ROUND_SOCKETS, 4, 0):
        done, returned = bench.pump.run()
        assert done == len(returned) == expected
        answered += done
        returned_in_all += returned
    assert answered == len(ends)
    assert sorted(returned_in_all) == sorted((server.fileno(), PING, b"") for _, server in ends)
    assert sorted(int(read_all(client)[1:]) for client, _ in ends) == list(range(1, len(ends) + 1))


def test_the_longest_replies_to_the_shortest_commands_fit(make: Callable[..., Bench]) -> None:
    """The replies go into the last of its buffers, whose end a sanitizer watches."""
    bench = make(ids=1000, first=2**63 - 1000)
    others = [bench.connect()[0] for _ in range(ROUND_SOCKETS - 1)]
    for other in others:
        other.send(PING)
    client, _ = bench.connect()
    client.send(NEXT * (CHUNK_BYTES // len(NEXT)))
    answered, returned = bench.pump.run()
    assert answered == CHUNK_BYTES // len(NEXT) and len(returned) == len(others)
    assert read_all(client) == b"".join(b"$20\r\nQ%d\r\n" % n for n in range(2**63 - 1000, 2**63 - 1000 + answered))


def test_its_file_is_readable_when_there_is_something_to_do(make: Callable[..., Bench]) -> None:
    import select

    bench = make()
    client, server = bench.connect()

    def ready() -> bool:
        return bool(select.select([bench.pump], [], [], 0)[0])

    assert not ready()
    client.send(INCR)
    assert ready()
    bench.pump.run()
    assert not ready()
    client.send(INCR)
    bench.pump.remove(server.fileno())
    assert not ready() and bench.pump.run() == (0, [])


def test_it_tells_when_it_last_heard_of_a_socket(make: Callable[..., Bench]) -> None:
    bench = make()
    client, server = bench.connect()
    added = bench.pump.heard_mono_s(server.fileno())
    client.send(INCR)
    bench.pump.run()
    assert bench.pump.heard_mono_s(server.fileno()) > added > 0.0
    heard = bench.pump.heard_mono_s(server.fileno())
    bench.pump.run()
    assert bench.pump.heard_mono_s(server.fileno()) == heard
    bench.pump.remove(server.fileno())
    assert bench.pump.heard_mono_s(server.fileno()) == bench.pump.heard_mono_s(10**9) == 0.0


def test_leaving_the_lane_low_wakes_the_publisher(make: Callable[..., Bench]) -> None:
    bench = make(ids=0)
    bench.segment.publish(ITEM, 1, 10, 4)
    client, _ = bench.connect()
    before = bench.segment.wait(0, 0.0)
    client.send(INCR * 6)
    bench.pump.run()
    assert bench.segment.wait(before, 0.0) == before
    client.send(INCR)
    bench.pump.run()
    assert bench.segment.wait(before, 0.0) == before + 1


def test_others_may_take_meanwhile(make: Callable[..., Bench]) -> None:
    bench = make(ids=1_000_000)
    client, _ = bench.connect()
    theirs: list[int] = []
    thread = threading.Thread(target=lambda: theirs.extend(bench.segment.take_one(ITEM) for _ in range(50_000)))
    thread.start()
    mine: list[int] = []
    while thread.is_alive() or not mine:
        client.send(INCR * 10)
        assert bench.pump.run() == (10, [])
        mine += map(int, read_all(client).replace(b":", b"").split())
    thread.join()
    assert sorted(mine + theirs) == list(range(1, len(mine) + len(theirs) + 1))
    assert mine == sorted(mine)


def test_what_cannot_be_watched_is_refused(make: Callable[..., Bench]) -> None:
    bench = make()
    _, server = bench.connect()
    with pytest.raises(FileExistsError):
        bench.pump.add(server.fileno())
    with pytest.raises(ValueError):
        bench.pump.add(-1)
    with pytest.raises(OSError, match="Bad file descriptor"):
        bench.pump.add(999)
    with pytest.raises(OSError, match="Too many open files"):
        bench.pump.add(1 << 20)
    with tempfile.TemporaryFile() as file, pytest.raises(PermissionError):
        bench.pump.add(file.fileno())
    bench.pump.remove(999)
    bench.pump.remove(1 << 20)


def test_commands_that_it_cannot_learn_are_refused() -> None:
    origin("wbd.ids._segment")
    from wbd.ids._segment import Pump, Segment

    segment = Segment(publish=True)
    one = (INCR, ITEM, b"")
    for commands in ([(b"x" * 23, 0, b"")], [(b"x" * 65, 0, b"")], [(INCR, 4, b"")], [(INCR, 0, b"QQ")], [one] * 65):
        with pytest.raises(ValueError):
            Pump(segment, commands)
    for bad in ([("INCR", 0, b"")], [(INCR, 0)], None):
        with pytest.raises(TypeError):
            Pump(segment, bad)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Pump(object(), [one])  # type: ignore[arg-type]
    with pytest.raises(RuntimeError):
        Pump.__new__(Pump).run()


REQUESTS = st.one_of(
    st.sampled_from([request for request, _, _ in hot_commands()]),
    st.sampled_from([PING, INCR[:-2], hiredis.pack_command(("RANGE", "item", "3")), b"junk"]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(REQUESTS, max_size=30), st.lists(st.integers(0, 900), max_size=4))
def test_each_chunk_is_answered_up_to_the_first_bytes_that_it_does_not_know(
    requests: list[bytes], cuts: list[int]
) -> None:
    """The same as a plain model, for any bytes cut anywhere."""
    bench = Bench()
    try:
        client, server = bench.connect()
        data = b"".join(requests)
        next_ids = [count(1) for _ in range(4)]
        for start, end in pairwise([0, *sorted({cut for cut in cuts if 0 < cut < len(data)}), len(data)]):
            chunk, expected, answered = data[start:end], b"", 0
            if not chunk:
                continue
            while request := next((hot for hot in hot_commands() if chunk.startswith(hot[0])), None):
                text = request[2] + b"%d" % next(next_ids[request[1]])
                expected += b"$%d\r\n%b\r\n" % (len(text), text) if request[2] else b":%b\r\n" % text
                chunk, answered = chunk[len(request[0]) :], answered + 1
            client.send(data[start:end])
            assert bench.pump.run() == (answered, [(server.fileno(), chunk, b"")] if chunk else [])
            assert read_all(client) == expected
            if chunk:
                bench.pump.add(server.fileno())
    finally:
        bench.close()
