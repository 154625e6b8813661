"""Whom the id server admits, how many clients, and for how long; and how it ends their connections."""

from __future__ import annotations

import contextlib
import grp
import os
import resource
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.build.clock import SetClock
from tests.unit.id_server.conftest import DEADLINE_S, ITEM, Client, Connect, Serve, encode, wait_until
from wbd.id_server.server import IdServer
from wbd.id_server.socket_file import SocketFile
from wbd.ids.id_range import IdRange


def test_two_hundred_idle_clients_do_not_keep_one_from_being_served(serve: Serve, connect: Connect) -> None:
    server = serve()
    idle = [connect(server) for _ in range(200)]
    wait_until(lambda: len(server.clients) == 200, "all are in")
    client = connect(server)
    for number in range(1, 101):
        assert client.ask("INCR", "item") == number
    assert idle[-1].ask("PING") == b"PONG"


def test_one_client_over_the_limit_is_told_so(serve: Serve, connect: Connect) -> None:
    server = serve(clients_max=2)
    first, second = connect(server), connect(server)
    assert first.ask("PING") == second.ask("PING") == b"PONG"
    third = Client(server.address.path)
    assert "TRYAGAIN max number of clients" in str(third.read()) and third.is_closed()
    first.socket.close()
    wait_until(lambda: len(server.clients) == 1, "the first is gone")
    assert connect(server).ask("PING") == b"PONG"


@pytest.mark.parametrize("pipeline", [encode("NEXT", "item", "1000") * 50, encode("NEXT", "item") * 500])
def test_a_client_that_never_reads_stops_being_served_and_is_dropped(
    serve: Serve, connect: Connect, pipeline: bytes
) -> None:
    clock = SetClock()
    server = serve(ids=50_000_000, clock=clock)
    deaf = connect(server)
    deaf.socket.settimeout(0.2)
    with contextlib.suppress(TimeoutError, BrokenPipeError, ConnectionResetError):
        while True:
            deaf.send(pipeline)
    # The client's socket buffer is full, so the server reads no more from it.
    taken = server.pool[ITEM].state().taken
    assert taken * len(b"$9\r\nQ12345678\r\n") < 8 * 1024 * 1024, "replies that wait are bounded"
    assert connect(server).ask("INCR", "property") == 1
    for _ in range(2):
        clock.advance(server.limits.stall_s / 2)
        wait_until(lambda: server.clients.tick_mono_s == clock.mono_s(), "the server looks at its clients")
    assert server.clients.dropped == 0
    clock.advance(1.0)
    wait_until(lambda: server.clients.dropped == 1, "the deaf client is dropped")
    assert server.pool[ITEM].state().taken == taken


def test_a_client_that_says_nothing_is_closed_when_there_is_a_limit(serve: Serve, connect: Connect) -> None:
    server = serve(ids=10_000_000, idle_s=0.3)
    quiet, half, busy = connect(server), connect(server), connect(server)
    half.send(b"*2\r\n$4\r\nIN")
    while len(server.clients) > 1:
        assert isinstance(busy.ask("INCR", "item"), int)
    assert quiet.is_closed() and half.is_closed()
    assert busy.ask("PING") == b"PONG"


def test_a_stopped_server_answers_what_came_in_and_takes_nothing_more(serve: Serve, connect: Connect) -> None:
    server = serve(ids=3)
    waiting, idle = connect(server), connect(server)
    idle.ask("PING")
    waiting.send(encode("NEXT", "item", "4"))
    wait_until(lambda: server.clients.waiting == 1, "it waits")
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


def test_what_came_in_before_the_end_is_answered(serve: Serve, connect: Connect) -> None:
    server = serve()
    clients = [connect(server) for _ in range(3)]
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        go_on.wait(DEADLINE_S)

    server.loop.call_soon_threadsafe(hold)
    assert held.wait(DEADLINE_S)
    for client in clients:
        client.send(encode("INCR", "item") * 2)
    # Whether stop() or the requests reach the server first cannot be seen from here; either order is right.
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    go_on.set()
    stopping.join()
    assert sorted(client.read() for client in clients for _ in range(2)) == [1, 2, 3, 4, 5, 6]
    assert all(client.is_closed() for client in clients)
    assert not server.fast_path_clients


_MANY = """
import resource, socket, sys
path, number, request = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode()
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
clients = []
for _ in range(number):
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    clients.append(client)
    if request:
        client.sendall(request)
        assert client.recv(100)[:1] == b":"
print("ready", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def many(server: IdServer, number: int, request: bytes) -> Iterator[None]:
    """Open *number* clients in another process; each sends *request*, reads the reply and stays silent."""
    command = [sys.executable, "-c", _MANY, str(server.address.path), str(number), request.decode()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@pytest.mark.parametrize("request_", [b"", encode("INCR", "property")], ids=["silent", "heard once"])
def test_ten_thousand_idle_clients_keep_nobody_from_being_served(
    serve: Serve, connect: Connect, request_: bytes
) -> None:
    # Each end counts against its own process's limit of files; this process has other files, too.
    number = min(10_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 200)
    server = serve(ids=20_000, clients_max=number)
    before = resident_bytes()
    with many(server, number - 1, request_):
        active = connect(server)
        assert len(server.clients) == number
        if request_ and server.fast_path_clients is not None:
            wait_until(lambda: server.fast_path_clients == number, "all are on the fast path")
        for expected in range(1, 201):
            assert active.ask("INCR", "item") == expected
        over = Client(server.address.path)
        assert "TRYAGAIN max number of clients" in str(over.read()) and over.is_closed()
        assert active.ask("NEXT", "item", "2") == [b"Q201", b"Q202"]
        assert resident_bytes() - before < number * 16 * 1024
    wait_until(lambda: len(server.clients) == 1, "the others are gone")
    assert active.ask("INCR", "item") == 203


_ASK_AS = """
import contextlib, os, socket, sys
path, uid, gid, groups = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
os.setgroups([int(one) for one in groups.split()])
os.setgid(gid)
os.setuid(uid)
client = socket.socket(socket.AF_UNIX)
client.connect(path)
with contextlib.suppress(BrokenPipeError):
    client.sendall(b"*1\\r\\n$4\\r\\nPING\\r\\n")
print(client.recv(1000).decode(), end="")
"""


def ask_as(server: IdServer, uid: int, gid: int, *groups: int) -> str:
    """Return the reply of the server to a process of that user and those groups."""
    arguments = [str(server.address.path), str(uid), str(gid), " ".join(map(str, groups))]
    # Without site packages, which would measure coverage and could not write it as that user.
    done = subprocess.run([sys.executable, "-S", "-c", _ASK_AS, *arguments], capture_output=True, timeout=30)
    return (done.stdout or done.stderr.splitlines()[-1]).decode()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may enter, unlike those of pytest."""
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


STRANGER = 54321


def test_a_stranger_is_refused_though_the_file_was_opened_to_all(serve: Serve, open_folder: Path) -> None:
    server = serve(address=SocketFile(open_folder / "ids.sock"))
    assert "Permission denied" in ask_as(server, STRANGER, STRANGER)
    server.address.path.chmod(0o666)
    refused = ask_as(server, STRANGER, STRANGER, 1, 2)
    assert refused.startswith("-NOPERM process ") and refused.endswith("\r\n") and "uid 54321" in refused
    assert ask_as(server, 0, STRANGER) == "+PONG\r\n"
    assert server.clients.refused_peers == 1 and server.clients.accepted == 1
    assert "refused_peers:1" in Client(server.address.path).ask("INFO").decode().splitlines()


def test_members_of_the_group_may_ask_by_whichever_of_their_groups(serve: Serve, open_folder: Path) -> None:
    group = next(one for one in grp.getgrall() if one.gr_gid > 0)
    server = serve(address=SocketFile(open_folder / "ids.sock", mode=0o660, group=group.gr_name))
    assert ask_as(server, STRANGER, group.gr_gid) == "+PONG\r\n"
    assert ask_as(server, STRANGER, STRANGER, 999, group.gr_gid) == "+PONG\r\n"
    server.address.path.chmod(0o666)
    assert ask_as(server, STRANGER, STRANGER, 999).startswith("-NOPERM")


def test_everybody_may_ask_where_the_mode_says_so(serve: Serve, open_folder: Path) -> None:
    server = serve(address=SocketFile(open_folder / "ids.sock", mode=0o666))
    assert ask_as(server, STRANGER, STRANGER) == "+PONG\r\n" and server.clients.refused_peers == 0
