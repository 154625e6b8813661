"""One process a host has ring and socket; without a database it serves the ids that it has, and says what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.build.clock import SetClock
from wbd.engines.mysql import Database
from wbd.errors import DatabaseUnavailable, IdsUnavailable
from wbd.id_server.host import IdHost
from wbd.id_server.socket_file import SocketFile
from wbd.ids import IdClient
from wbd.ids.segment_file import SegmentFile
from wbd.runtime import logs
from wbd.runtime.worker import Run
from wbd.settings.kinds import DatabaseAddress

Make = Callable[[], tuple[IdHost, Run]]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Hosts of one socket and one ring, whose database does not answer."""
    hosts: list[IdHost] = []
    address = DatabaseAddress(database="x", user="root", unix_socket=str(tmp_path / "no"))

    def one() -> tuple[IdHost, Run]:
        clock = SetClock()
        run = Run("id_generation", "w", logs.get_log("test"), clock)
        db = Database(address, max_connections=1, connect_timeout_s=1)
        hosts.append(IdHost(db, SocketFile(tmp_path / "ids.sock"), SegmentFile(tmp_path / "ring" / "ids"), clock))
        hosts[-1].begin(run)
        return hosts[-1], run

    yield one
    for host in hosts:
        host.stop()


def test_one_serves_and_the_other_stands_by_until_it_ends(make: Make) -> None:
    (first, first_run), (second, second_run) = make(), make()
    assert first.serve(first_run) and not second.serve(second_run)
    assert [one.health()["standing_by"] for one in (first, second)] == [False, True]
    assert first.serve(first_run), "a second call is harmless"
    first.stop()
    assert second.serve(second_run) and not first.serve(first_run)


def test_a_socket_that_was_removed_is_made_again(make: Make) -> None:
    host, run = make()
    assert host.serve(run)
    Path(host.socket).unlink()
    assert host.serve(run)
    assert IdClient(host.socket).info()["server_name"] == "wbd-ids"


def test_without_a_database_it_serves_is_not_ready_and_says_why(make: Make) -> None:
    host, run = make()
    assert host.serve(run) and host.health()["database"] == "ok"
    with pytest.raises(DatabaseUnavailable):
        host.supply(run)
    assert "not reachable" in host.health()["database"] and not run.is_ready
    assert IdClient(host.socket).info()["item"] == "next=none,left=0,taken=0,skipped=0"


def test_a_ring_that_was_given_up_is_replaced_by_a_new_one(make: Make) -> None:
    pytest.importorskip("wbd.ids._segment")
    host, run = make()
    assert host.serve(run)
    client = IdClient(host.socket, timeout_s=0.2)
    with pytest.raises(IdsUnavailable):
        client.next("item")
    assert client.attached
    host.abandon_ring()
    assert not client.attached and host.health()["standing_by"]
    assert host.serve(run)
    with pytest.raises(IdsUnavailable):
        client.next("item")
    assert client.attached
    client.close()
