"""Clients take from the ring when they may, and ask over the socket when they may not, with the same results."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import without
from wbd.errors import BadInput, IdsUnavailable
from wbd.id_server.clients import ServerLimits
from wbd.id_server.server import IdServer
from wbd.id_server.socket_file import SocketFile
from wbd.ids import AsyncIdClient, EntityType, EnumerationService, IdClient, IdRange
from wbd.ids.attachment import Attachment
from wbd.ids.pool import IdPool
from wbd.ids.segment_file import SegmentFile

ITEM = EntityType.ITEM

try:
    import wbd.ids._segment  # noqa: F401
except ModuleNotFoundError:
    without("the extension is not built")


class RingServer:
    """An id server with a ring in a file, which can move to another one as the worker does."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "ids.sock"
        self._segment = folder / "shm" / "ids.segment"
        self.start(1)

    def start(self, first: int, ids: int = 10_000) -> None:
        self._file = SegmentFile(self._segment)
        segment = self._file.acquire()
        assert segment is not None
        self.pool = IdPool(segment)
        for entity_type in EntityType:
            self.pool[entity_type].add(IdRange(entity_type, first, first + ids - 1), 1)
        self.server = IdServer(self.pool, SocketFile(self.socket), ServerLimits(wait_s=0.3, count_max=1000))
        self.attachment = self._file.attachment
        assert self.attachment is not None
        self.server.attachment = self.attachment
        assert self.server.start()

    def name(self, attachment: Attachment | str) -> None:
        """Answer ATTACH with this from now on."""
        self.server.attachment = attachment

    def stop(self) -> None:
        self.server.stop()
        self.pool.segment.close()
        self._file.release()


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[RingServer]:
    ring = RingServer(tmp_path)
    yield ring
    ring.stop()


def test_ids_of_the_ring_come_formatted_as_numbers_in_blocks_and_as_ranges(ring: RingServer) -> None:
    client = IdClient(ring.socket)
    assert client.next("item") == "Q1" and client.attached
    commands = ring.server.clients.commands
    assert client.next(ITEM) == "Q2" and client.next_int("item") == 3
    assert client.take("item", 3) == ["Q4", "Q5", "Q6"]
    assert client.range(ITEM, 4) == IdRange(ITEM, 7, 10)
    assert [client.next(one) for one in ("property", "lexeme", "entityschema")] == ["P1", "L1", "E1"]
    assert EnumerationService(client).allocate_id(ITEM) == "Q11"
    assert ring.server.clients.commands == commands, "nothing was asked over the socket"


def test_every_spelling_of_a_type_counts_one_sequence(ring: RingServer) -> None:
    client = IdClient(ring.socket)
    made_at_run_time = "".join(["it", "em"])
    assert [client.next(one) for one in ("item", "ITEM", "Item", made_at_run_time, ITEM)] == [
        f"Q{n}" for n in range(1, 6)
    ]


def test_a_client_without_the_ring_gets_the_same_sequence_over_the_socket(ring: RingServer) -> None:
    taker, asker = IdClient(ring.socket), IdClient(ring.socket, shared_memory=False)
    assert [taker.next("item"), asker.next("item"), taker.next("item"), asker.next("item")] == ["Q1", "Q2", "Q3", "Q4"]
    assert taker.attached and not asker.attached and asker.attach_problem == "switched off"


@pytest.mark.parametrize("count", [0, -1, "5", 1.5, None, True], ids=str)
@pytest.mark.parametrize("shared_memory", [True, False])
def test_a_count_that_is_no_number_of_ids_is_bad_input_and_takes_nothing(
    ring: RingServer, count: object, shared_memory: bool
) -> None:
    client = IdClient(ring.socket, shared_memory=shared_memory)
    assert client.next("item") == "Q1"
    calls: tuple[Callable[..., Any], ...] = (client.take, client.range)
    for call in calls:
        with pytest.raises(BadInput, match="count"):
            call("item", count)
    assert client.next("item") == "Q2"


@pytest.mark.parametrize("shared_memory", [True, False])
def test_a_count_over_the_server_s_limit_and_an_unknown_type_are_bad_input(
    ring: RingServer, shared_memory: bool
) -> None:
    client = IdClient(ring.socket, shared_memory=shared_memory)
    assert len(client.take("item", 1000)) == 1000
    for wrong in (1001, 2**70):
        with pytest.raises(BadInput, match="1000"):
            client.take("item", wrong)
    for call in (client.next, client.next_int):
        with pytest.raises(BadInput, match="unknown entity type"):
            call("form")
    with pytest.raises(BadInput, match="unknown entity type"):
        client.next(5)  # type: ignore[arg-type]
    assert client.next("item") == "Q1001"


def test_a_dry_ring_is_asked_for_over_the_socket_which_says_why_there_is_none(ring: RingServer) -> None:
    client = IdClient(ring.socket)
    client.next("item")
    ring.pool[ITEM].take_up_to(10_000)
    with pytest.raises(IdsUnavailable, match=r"NOIDS no item ids.*check the database"):
        IdClient(ring.socket, timeout_s=0.6).next("item")

    def refill() -> None:
        ring.pool[ITEM].add(IdRange(ITEM, 20_001, 20_500), 1)
        ring.server.refilled(ITEM)

    timer = threading.Timer(0.05, refill)
    timer.start()
    assert client.next("item") == "Q20001"
    timer.join()
    assert client.next("item") == "Q20002" and client.attached


def test_a_ring_that_moved_is_found_when_the_old_one_is_dry(ring: RingServer) -> None:
    client = IdClient(ring.socket, timeout_s=20)
    assert client.next("item") == "Q1"
    where = client._where
    ring.stop()
    assert not client.attached
    ring.start(5001)
    ids = [client.next("item")]
    while not client.attached:
        ids.append(client.next("item"))
    assert ids == [f"Q{5001 + n}" for n in range(len(ids))] and client._where != where


def test_without_a_server_the_ring_goes_on_and_then_the_error_says_what_to_check(ring: RingServer) -> None:
    client = IdClient(ring.socket, timeout_s=0.3)
    client.next("item")
    ring.server.stop()
    assert len(client.take("item", 999)) == 999
    ring.pool[ITEM].take_up_to(10_000)
    with pytest.raises(IdsUnavailable, match="id_generation worker"):
        client.next("item")
    assert client.next("lexeme") == "L1"


@pytest.mark.parametrize(
    ("lie", "problem"),
    [
        ("no room", "NOSHM no room"),
        (lambda truth: replace(truth, path="/dev/null"), "another file"),
        (lambda truth: replace(truth, path="/nowhere"), "No such file"),
        (lambda truth: replace(truth, inode=truth.inode + 1), "another file"),
        (lambda truth: replace(truth, layout=99), "layout 99"),
    ],
    ids=["none", "device", "missing", "replaced", "version"],
)
def test_a_ring_that_cannot_be_attached_is_named_and_the_socket_serves(
    ring: RingServer, lie: str | Callable[[Attachment], Attachment], problem: str
) -> None:
    assert ring.attachment is not None
    ring.name(lie if isinstance(lie, str) else lie(ring.attachment))
    client = IdClient(ring.socket)
    assert client.take("item", 2) == ["Q1", "Q2"] and client.next_int("item") == 3
    assert not client.attached and problem in client.attach_problem


@pytest.mark.parametrize(
    "answer", [b"*0\r\n", b"*2\r\n:1\r\n:2\r\n", b"*1\r\n$4\r\npath\r\n", b"-ERR unknown command\r\n"]
)
def test_a_server_that_knows_no_attach_is_asked_over_the_socket(tmp_path: Path, answer: bytes) -> None:
    path = tmp_path / "old.sock"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
        old.listen(1)

        def serve() -> None:
            connection, _ = old.accept()
            with connection:
                for reply in (answer, b":7\r\n"):
                    connection.recv(100)
                    connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        client = IdClient(path, timeout_s=20)
        assert client.next("item") == "Q7" and not client.attached and client.attach_problem
        thread.join()


def test_a_closed_client_lets_go_of_the_ring_and_takes_it_again(ring: RingServer) -> None:
    with IdClient(ring.socket) as client:
        assert client.next("item") == "Q1"
        client.close()
        assert not client.attached
        assert client.next("item") == "Q2" and client.attached


def test_threads_and_forked_children_share_the_ring_and_no_id(ring: RingServer) -> None:
    client = IdClient(ring.socket)
    reader, writer = os.pipe()
    with ThreadPoolExecutor(4) as threads:
        lots = list(threads.map(lambda _: [client.next("item") for _ in range(500)], range(4)))
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, " ".join(client.take("item", 500)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        theirs = file.read().split()
    os.waitpid(pid, 0)
    everything = [*theirs, *(one for lot in lots for one in lot), *client.take("item", 500)]
    assert len(everything) == len(set(everything)) == 3000
    assert all(lot == sorted(lot, key=lambda one: int(one[1:])) for lot in lots), "increasing"


def test_the_async_client_has_the_same_methods_and_holds_up_nobody(ring: RingServer) -> None:
    async def work() -> None:
        async with AsyncIdClient(ring.socket, timeout_s=20) as client:
            assert await client.next("item") == "Q1" and await client.next_int(ITEM) == 2
            assert await client.take("item", 2) == ["Q3", "Q4"] and await client.range("item", 2) == IdRange(ITEM, 5, 6)
            many = await asyncio.gather(*(client.next("item") for _ in range(200)))
            assert sorted(many, key=lambda one: int(one[1:])) == [f"Q{n}" for n in range(7, 207)]
            with pytest.raises(BadInput, match="unknown entity type"):
                await client.next("form")
            with pytest.raises(BadInput, match="count"):
                await client.take("item", 0)
            ring.pool[ITEM].take_up_to(10_000)
            waiting = asyncio.create_task(client.next("item"))
            assert await client.next("lexeme") == "L1", "while another task waits for a refill"
            ring.pool[ITEM].add(IdRange(ITEM, 30_001, 30_100), 1)
            ring.server.refilled(ITEM)
            assert await waiting == "Q30001"
        assert await AsyncIdClient(ring.socket, shared_memory=False).next("item") == "Q30002"

    asyncio.run(work())


def test_a_task_that_is_cancelled_while_it_waits_leaves_the_client_usable(ring: RingServer) -> None:
    async def work() -> None:
        client = AsyncIdClient(ring.socket, timeout_s=20)
        await client.next("item")
        ring.pool[ITEM].take_up_to(10_000)
        waiting = asyncio.create_task(client.next("item"))
        while not ring.server.clients.waiting:
            await asyncio.sleep(0.005)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        ring.pool[ITEM].add(IdRange(ITEM, 40_001, 40_100), 1)
        ring.server.refilled(ITEM)
        assert int((await client.next("item"))[1:]) > 40_000

    asyncio.run(work())


def test_tasks_that_wait_for_a_dry_ring_all_end_in_time(ring: RingServer) -> None:
    async def work() -> None:
        client = AsyncIdClient(ring.socket, timeout_s=0.4)
        await client.next("item")
        ring.pool[ITEM].take_up_to(10_000)
        begun = asyncio.get_running_loop().time()
        results = await asyncio.gather(*(client.next("item") for _ in range(20)), return_exceptions=True)
        assert all(isinstance(one, IdsUnavailable) for one in results)
        # One after the other they would take 20 times as long.
        assert asyncio.get_running_loop().time() - begun < 4

    asyncio.run(work())


def test_interrupts_at_any_moment_leave_a_client_that_works(ring: RingServer) -> None:
    """A handler that raises may run between any two steps, also right after the lock was acquired."""

    class Interrupt(BaseException):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupt

    def settle() -> None:
        """Python runs handlers when a function begins, so the handler of an earlier signal has run after this call."""

    client = IdClient(ring.socket, timeout_s=20, shared_memory=False)
    before = signal.signal(signal.SIGALRM, interrupt)
    interrupts = 0
    try:
        for turn in range(2000):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.00001 + turn % 100 * 0.000002)
                client.next("item")
                signal.setitimer(signal.ITIMER_REAL, 0)
                settle()
            except Interrupt:
                interrupts += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupts > 100
    assert IdClient(ring.socket).next_int("item") < client.next_int("item")
