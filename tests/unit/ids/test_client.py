"""The client takes ids across threads, forks and restarts of the server, and never waits without end."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from wbd.errors import BadInput, IdsUnavailable
from wbd.id_server.clients import ServerLimits
from wbd.id_server.server import IdServer
from wbd.id_server.socket_file import SocketFile
from wbd.ids import EntityType, EnumerationService, IdClient, IdRange
from wbd.ids.pool import IdPool

ITEM = EntityType.ITEM


class Restartable:
    """A server whose successors continue where it ended, as the id ranges of a database make them do."""

    def __init__(self, path: Path, wait_s: float = 5.0) -> None:
        self.path = path
        self._wait_s = wait_s
        self._first = 1
        self.server: IdServer | None = None

    def start(self, ids: int = 1_000_000) -> None:
        pool = IdPool()
        if ids:
            for entity_type in EntityType:
                pool[entity_type].add(IdRange(entity_type, self._first, self._first + ids - 1), 1)
        self._first += ids
        self.server = IdServer(pool, SocketFile(self.path), ServerLimits(wait_s=self._wait_s, count_max=1000))
        assert self.server.start()

    def stop(self) -> None:
        if self.server is not None:
            self.server.stop()
            self.server = None


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Restartable]]:
    made: list[Restartable] = []

    def one(**options: float) -> Restartable:
        made.append(Restartable(tmp_path / "ids.sock", **options))
        return made[-1]

    yield one
    for server in made:
        server.stop()


@pytest.fixture
def server(make: Callable[..., Restartable]) -> Restartable:
    made = make()
    made.start()
    return made


def test_ids_come_formatted_as_numbers_in_blocks_and_as_ranges(server: Restartable) -> None:
    with IdClient(server.path) as client:
        assert client.next("item") == "Q1"
        assert client.next_int(ITEM) == 2
        assert client.take("item", 3) == ["Q3", "Q4", "Q5"]
        assert client.range("item", 1000) == IdRange(ITEM, 6, 1005)
        assert client.next(EntityType.ENTITYSCHEMA) == "E1"
        assert client.info()["process_id"] == str(os.getpid())


def test_the_enumeration_service_allocates_ids_of_every_type(server: Restartable) -> None:
    service = EnumerationService(IdClient(server.path))
    assert [service.allocate_id(t) for t in EntityType] == ["Q1", "P1", "L1", "E1"]


def test_a_mistake_of_the_caller_is_bad_input_and_the_client_goes_on(server: Restartable) -> None:
    client = IdClient(server.path)
    for wrong in (lambda: client.next("thing"), lambda: client.take("item", 0), lambda: client.take("item", 1001)):
        with pytest.raises(BadInput):
            wrong()
    assert client.next("item") == "Q1"


def test_threads_share_a_client_and_no_id(server: Restartable) -> None:
    client = IdClient(server.path)
    with ThreadPoolExecutor(8) as threads:
        lots = list(threads.map(lambda _: [client.next("item") for _ in range(100)], range(8)))
    assert len({one for lot in lots for one in lot}) == 800
    assert server.server is not None and len(server.server.clients) == 1


def test_a_forked_child_makes_its_own_connection(server: Restartable) -> None:
    client = IdClient(server.path)
    before = client.next("item")
    reader, writer = os.pipe()
    held = threading.Event()
    let_go = threading.Event()

    def hold_the_lock() -> None:
        link = client._link()
        with link.lock:
            held.set()
            let_go.wait(20)

    thread = threading.Thread(target=hold_the_lock)
    thread.start()
    held.wait(20)
    pid = os.fork()
    if pid == 0:
        # The lock was held by a thread that does not exist here.
        try:
            os.write(writer, " ".join(client.take("item", 5)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        of_child = file.read().split()
    os.waitpid(pid, 0)
    let_go.set()
    thread.join()
    mine = [before, *client.take("item", 5)]
    assert len({*mine, *of_child}) == 11


def test_a_server_that_comes_back_within_the_deadline_is_not_noticed(server: Restartable) -> None:
    client = IdClient(server.path, timeout_s=20)
    assert client.next("item") == "Q1"
    server.stop()
    starter = threading.Timer(0.2, server.start)
    starter.start()
    first = client.next("item")
    starter.join()
    assert first == "Q1000001"


def test_without_a_server_the_error_comes_in_time_and_says_what_to_check(tmp_path: Path) -> None:
    with pytest.raises(IdsUnavailable, match=r"ids\.sock within 0\.2 s: No such file.*id_generation.*wbd status"):
        IdClient(tmp_path / "ids.sock", timeout_s=0.2).next("item")


def test_a_dry_server_ends_in_its_own_reason(make: Callable[..., Restartable]) -> None:
    server = make(wait_s=0.1)
    server.start(ids=0)
    with pytest.raises(IdsUnavailable, match=r"NOIDS no item ids.*database"):
        IdClient(server.path, timeout_s=0.3).next("item")


def test_a_server_that_never_answers_ends_the_call_in_time(tmp_path: Path) -> None:
    path = tmp_path / "mute.sock"
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(path))
        mute.listen(8)
        with pytest.raises(IdsUnavailable, match="timed out"):
            IdClient(path, timeout_s=0.2).next("item")


def test_a_late_reply_is_not_taken_for_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "late.sock"
    with socket.socket(socket.AF_UNIX) as late:
        late.bind(str(path))
        late.listen(8)
        client = IdClient(path, timeout_s=0.2, shared_memory=False)
        with pytest.raises(IdsUnavailable):
            client.next("item")
        first, _ = late.accept()
        first.recv(100)

        def answer_second() -> None:
            second, _ = late.accept()
            second.recv(100)
            second.sendall(b":2\r\n")
            second.close()

        thread = threading.Thread(target=answer_second)
        thread.start()
        client._timeout_s = 20
        assert client.next("item") == "Q2"
        thread.join()
        with pytest.raises(OSError):
            first.sendall(b":1\r\n" * 2)
            first.recv(1)
            first.sendall(b":1\r\n")
        first.close()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b":5\r\n", b"+OK\r\n"])
def test_a_server_that_is_no_id_server_is_named_so(tmp_path: Path, answer: bytes) -> None:
    path = tmp_path / "other.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen(8)

        def reply() -> None:
            connection, _ = other.accept()
            with connection:
                connection.recv(100)
                connection.sendall(answer)

        thread = threading.Thread(target=reply)
        thread.start()
        with pytest.raises(IdsUnavailable, match=r"not an id server|within"):
            IdClient(path, timeout_s=1).take("item", 2)
        thread.join()


def test_a_socket_that_is_not_ours_to_use_says_so_at_once(server: Restartable) -> None:
    server.path.chmod(0)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        # In a child: root may connect to any socket, and a process that has given up root cannot become root again.
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            IdClient(server.path, timeout_s=30).next("item")
        except IdsUnavailable as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        assert "check ids_socket_mode and ids_socket_group" in file.read()
    os.waitpid(pid, 0)
