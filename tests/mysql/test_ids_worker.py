"""Real id_generation processes on a real database: killed, doubled, cut off from it; never an id twice."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from wbd.engines.mysql import Database
from wbd.ids import EntityType, IdClient
from wbd.ids.ranges import RangeRow, RangeTable
from wbd.runtime import health
from wbd.setting_types import DatabaseAddress
from wbd.stack.mariadb import MariaDB

ITEM = EntityType.ITEM
DEADLINE_S = 60.0

# Takes ids until it is told to stop, and writes each down before it asks for the next.
TAKER = """
import signal, sys
from wbd.errors import IdsUnavailable
from wbd.ids import IdClient
going = True
def stop(*_):
    global going
    going = False
signal.signal(signal.SIGTERM, stop)
client = IdClient(sys.argv[1], timeout_s=30)
turn = 0
while going:
    turn += 1
    kind = ("item", "lexeme")[turn % 5 == 0]
    ids = client.take(kind, 7) if turn % 3 else [client.next(kind)]
    print("\\n".join(ids), flush=True)
"""


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + DEADLINE_S
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {DEADLINE_S:.0f} s: {what}"
        time.sleep(0.02)
    return found


class Host:
    """The id workers of one host: one state folder, one socket, any number of processes."""

    def __init__(self, folder: Path, address: DatabaseAddress) -> None:
        self.run_dir = folder / "run"
        self.socket = self.run_dir / "ids.sock"
        self._log = (folder / "worker.log").open("ab")
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.upper().startswith(("WBD_", "VITESS_"))},
            "WBD_STATE_DIR": str(folder),
            "VITESS_UNIX_SOCKET": str(address.unix_socket),
            "VITESS_USER": address.user,
            "VITESS_DATABASE": address.database,
            "IDS_WAIT_S": "2",
        }
        self.workers: list[subprocess.Popen[bytes]] = []
        self.takers: list[tuple[subprocess.Popen[bytes], Path]] = []

    def start_worker(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "wbd.workers.id_generation"]
        process = subprocess.Popen(command, env=self._environment, stdout=self._log, stderr=self._log)
        self.workers.append(process)
        return process

    def health(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        path = health.socket_path(self.run_dir, "id_generation", process.pid)
        return health.Process("id_generation", process.pid, path).health() or {}

    def wait_ready(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        return wait_until(lambda: (found := self.health(process)).get("ready") and found, "the worker is ready")

    def metrics(self, process: subprocess.Popen[bytes]) -> str:
        path = health.socket_path(self.run_dir, "id_generation", process.pid)
        return (health.Process("id_generation", process.pid, path).ask("metrics") or b"").decode()

    def end(self, process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGTERM) -> int:
        process.send_signal(number)
        return process.wait(timeout=DEADLINE_S)

    def start_taker(self) -> None:
        path = self.run_dir.parent / f"taken-{len(self.takers)}"
        with path.open("wb") as file:
            command = [sys.executable, "-c", TAKER, str(self.socket)]
            process = subprocess.Popen(command, env=self._environment, stdout=file, stderr=self._log)
        self.takers.append((process, path))

    def taken(self) -> list[str]:
        return [line for _, path in self.takers for line in path.read_text().split()]

    def close(self) -> None:
        for process in [*(taker for taker, _ in self.takers), *self.workers]:
            if process.poll() is None:
                process.kill()
                process.wait()
        self._log.close()


@pytest.fixture
def host(tmp_path: Path, address: DatabaseAddress, db: Database) -> Iterator[Host]:
    found = Host(tmp_path, address)
    found.run_dir.mkdir(mode=0o700)
    yield found
    found.close()


def item_row(db: Database) -> RangeRow:
    return next(row for row in RangeTable(db).read() if row.entity_type is ITEM)


def test_a_clean_stop_gives_the_unused_ids_back(host: Host, db: Database) -> None:
    worker = host.start_worker()
    host.wait_ready(worker)
    found = wait_until(lambda: (h := host.health(worker))["ids"]["item"]["left"] == 2000 and h, "a range lies behind")
    assert found["ids"]["item"] == {
        **{"range_first": 1001, "range_last": 2000, "next": 1, "left": 2000, "taken": 0, "skipped": 0, "refills": 2},
        **{"contention": 0, "range_size": 1000, "supply_s": None},
    }
    assert found["last_reservation_at"] and found["database"] == "ok" and not found["standing_by"]
    assert IdClient(host.socket).take("item", 5) == ["Q1", "Q2", "Q3", "Q4", "Q5"]
    wait_until(lambda: 'wbd_ids_taken_total{entity_type="item"} 5.0' in host.metrics(worker), "metrics count")
    assert 'wbd_ids_left{entity_type="item"} 1995.0' in host.metrics(worker)
    assert host.end(worker) == 0
    assert item_row(db).next_id == 6 and not host.socket.exists()
    host.wait_ready(host.start_worker())
    assert IdClient(host.socket).next("item") == "Q6"


def test_no_id_comes_twice_while_the_worker_is_killed_again_and_again(host: Host, db: Database) -> None:
    host.wait_ready(host.start_worker())
    for _ in range(4):
        host.start_taker()
    for _ in range(6):
        before = len(host.taken())
        wait_until(lambda before=before: len(host.taken()) > before + 500, "ids are taken")
        host.end(host.workers[-1], signal.SIGKILL)
        host.wait_ready(host.start_worker())
    before = len(host.taken())
    wait_until(lambda: len(host.taken()) > before + 500, "ids are taken")
    for taker, _ in host.takers:
        assert host.end(taker) == 0, "no taker ever saw an error"
    ids = host.taken()
    assert len(ids) == len(set(ids)) > 3500
    for _, path in host.takers:
        of_one = [int(one[1:]) for one in path.read_text().split() if one[0] == "Q"]
        assert of_one == sorted(of_one), "ids of one host increase"
    highest = max(int(one[1:]) for one in ids if one[0] == "Q")
    next_id = item_row(db).next_id
    assert highest < next_id
    # Each kill loses at most what was in the pool, which is two ranges and a tenth, of at most the largest size.
    lost = next_id - 1 - sum(one[0] == "Q" for one in ids)
    assert lost <= 7 * 2.1 * 2 * item_row(db).range_size + 4 * 7 * 6


def test_a_second_worker_stands_by_and_takes_over_when_the_first_is_killed(host: Host) -> None:
    first = host.start_worker()
    host.wait_ready(first)
    second = host.start_worker()
    wait_until(lambda: host.health(second).get("standing_by"), "the second stands by")
    client = IdClient(host.socket, timeout_s=DEADLINE_S)
    assert client.next("item") == "Q1"
    host.end(first, signal.SIGKILL)
    assert client.next("item") == "Q2001", "the pool of the killed one is lost, and nothing else"
    assert host.wait_ready(second)["standing_by"] is False


def test_ids_keep_coming_without_a_database_and_health_says_so(host: Host, mariadb: MariaDB, db: Database) -> None:
    worker = host.start_worker()
    wait_until(lambda: host.health(worker).get("ids", {}).get("item", {}).get("left") == 2000, "a range lies behind")
    client = IdClient(host.socket, timeout_s=DEADLINE_S)
    mariadb.kill()
    try:
        ids = client.take("item", 1500)
        found = wait_until(
            lambda: (h := host.health(worker)).get("database", "ok") != "ok" and h, "health names the database"
        )
        assert found["status"] == "degraded" and found["ready"] and found["trouble"]["dependency"] == "database"
        assert found["ids"]["item"]["left"] == 500 and found["ids"]["item"]["supply_s"] is not None
        ids += client.take("item", 500)
        impatient = IdClient(host.socket, timeout_s=3)
        with pytest.raises(Exception, match="NOIDS no item ids"):
            impatient.next("item")
        assert impatient.next("lexeme") == "L1"
    finally:
        mariadb.start()
    ids.append(client.next("item"))
    assert ids == [f"Q{n}" for n in range(1, 2002)]
    wait_until(lambda: (h := host.health(worker)).get("status") == "running" and h.get("ready"), "it recovers")
    assert host.end(worker) == 0


def test_a_worker_that_starts_before_its_database_serves_once_it_is_there(host: Host, mariadb: MariaDB) -> None:
    mariadb.stop()
    try:
        worker = host.start_worker()
        found = wait_until(
            lambda: (h := host.health(worker)).get("database", "ok") != "ok" and h, "health names the database"
        )
        assert not found["ready"]
        with pytest.raises(Exception, match="NOIDS"):
            IdClient(host.socket, timeout_s=3).next("item")
    finally:
        mariadb.start()
    assert IdClient(host.socket, timeout_s=DEADLINE_S).next("item") == "Q1"
    host.wait_ready(worker)


def test_a_database_that_hangs_does_not_hold_up_the_end(host: Host, mariadb: MariaDB, db: Database) -> None:
    worker = host.start_worker()
    host.wait_ready(worker)
    assert mariadb.pid is not None
    os.kill(mariadb.pid, signal.SIGSTOP)
    try:
        assert host.end(worker) == 0
    finally:
        os.kill(mariadb.pid, signal.SIGCONT)
    host.wait_ready(host.start_worker())
    assert int(IdClient(host.socket, timeout_s=DEADLINE_S).next("item")[1:]) in (1, 1001, 2001), "given back or a gap"


def test_a_next_id_moved_back_by_hand_raises_the_alarm_and_is_never_reissued(host: Host, db: Database) -> None:
    worker = host.start_worker()
    wait_until(lambda: host.health(worker).get("ids", {}).get("item", {}).get("left") == 2000, "a range lies behind")
    client = IdClient(host.socket, timeout_s=3)
    client.take("item", 500)
    db.execute("UPDATE id_ranges SET next_id = 1 WHERE entity_type = 'item'")
    ids = client.take("item", 1500)
    assert ids[-1] == "Q2000"
    found = wait_until(lambda: (h := host.health(worker)).get("trouble") and h, "the alarm")
    assert "moved back" in found["trouble"]["message"]
    with pytest.raises(Exception, match="NOIDS"):
        client.next("item")
    assert client.take("property", 1500)[-1] == "P1500", "other types are refilled all the same"
    db.execute("UPDATE id_ranges SET next_id = 2001 WHERE entity_type = 'item'")
    assert IdClient(host.socket, timeout_s=DEADLINE_S).next("item") == "Q2001"


def test_a_socket_file_that_was_removed_comes_back(host: Host) -> None:
    host.wait_ready(host.start_worker())
    host.socket.unlink()
    assert IdClient(host.socket, timeout_s=DEADLINE_S).next("item") == "Q1"


def test_a_client_that_asks_for_more_than_a_range_gets_it(host: Host, db: Database) -> None:
    host.wait_ready(host.start_worker())
    client = IdClient(host.socket, timeout_s=DEADLINE_S)
    assert len(client.take("item", 10_000)) == 10_000
    block = client.range("item", 10_000)
    assert len(block) == 10_000 and block.first == 10_001
    assert item_row(db).next_id > block.last


def test_clients_that_come_and_go_while_the_worker_stops_lose_nothing_but_their_connection(host: Host) -> None:
    worker = host.start_worker()
    host.wait_ready(worker)
    with socket.socket(socket.AF_UNIX) as half:
        half.connect(str(host.socket))
        half.sendall(b"*2\r\n$4\r\nNEXT\r\n$4\r\nit")
        assert host.end(worker) == 0
        half.settimeout(DEADLINE_S)
        assert half.recv(100) == b""
