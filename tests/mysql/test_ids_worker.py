"""Real id_generation processes on a real database are killed, doubled and cut off from it; no id comes twice."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from tests.mysql.ids_host import DEADLINE_S, Host, item_row, wait_until
from wbd.engines.mysql import Database
from wbd.ids import EntityType, IdClient
from wbd.ids.refill import SupplyReport
from wbd.stack.mariadb import MariaDB

ITEM = EntityType.ITEM


def test_a_clean_stop_gives_the_unused_ids_back(host: Host, db: Database) -> None:
    worker = host.start_worker()
    host.wait_ready(worker)
    wait_until(lambda: host.left(worker) == 2000, "a range lies behind")
    server = host.server(worker)
    assert server.ids["item"] == SupplyReport(
        left=2000, taken=0, range_size=1000, next=1, range_first=1001, range_last=2000, refills=2
    )
    assert server.last_reservation_at and server.database == "ok" and not server.standing_by
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
        host.wait_taken(before + 500)
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
    # Each kill loses at most the ids in the pool: two ranges and a tenth, of at most the largest size.
    lost = next_id - 1 - sum(one[0] == "Q" for one in ids)
    assert lost <= 7 * 2.1 * 2 * item_row(db).range_size + 4 * 7 * 6


def test_a_second_worker_stands_by_and_takes_over_when_the_first_is_killed(host: Host) -> None:
    first = host.start_worker()
    host.wait_ready(first)
    second = host.start_worker()
    wait_until(lambda: host.server(second).standing_by, "the second stands by")
    client = IdClient(host.socket, timeout_s=DEADLINE_S)
    assert client.next("item") == "Q1"
    host.end(first, signal.SIGKILL)
    assert client.next("item") == "Q2", "what the killed one had reserved is taken over"
    host.wait_ready(second)
    assert not host.server(second).standing_by


def test_ids_keep_coming_without_a_database_and_health_says_so(host: Host, mariadb: MariaDB, db: Database) -> None:
    worker = host.start_worker()
    wait_until(lambda: host.left(worker) == 2000, "a range lies behind")
    client = IdClient(host.socket, timeout_s=DEADLINE_S)
    mariadb.kill()
    try:
        ids = client.take("item", 1500)
        trouble = wait_until(lambda: host.report(worker).trouble, "health names the database")
        assert trouble.dependency == "database"
        report, server = host.report(worker), host.server(worker)
        assert report.status == "degraded" and report.ready and server.database != "ok"
        assert server.ids["item"].left == 500 and server.ids["item"].supply_s is not None
        ids += client.take("item", 500)
        impatient = IdClient(host.socket, timeout_s=3)
        with pytest.raises(Exception, match="NOIDS no item ids"):
            impatient.next("item")
        assert impatient.next("lexeme") == "L1"
    finally:
        mariadb.start()
    ids.append(client.next("item"))
    assert ids == [f"Q{n}" for n in range(1, 2002)]
    wait_until(lambda: (r := host.report(worker)).status == "running" and r.ready, "it recovers")
    assert host.end(worker) == 0


def test_a_worker_that_starts_before_its_database_serves_once_it_is_there(host: Host, mariadb: MariaDB) -> None:
    mariadb.stop()
    try:
        worker = host.start_worker()
        wait_until(lambda: host.server(worker).database != "ok", "health names the database")
        assert not host.report(worker).ready
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
    wait_until(lambda: host.left(worker) == 2000, "a range lies behind")
    client = IdClient(host.socket, timeout_s=3)
    client.take("item", 500)
    db.execute("UPDATE id_ranges SET next_id = 1 WHERE entity_type = 'item'")
    ids = client.take("item", 1500)
    assert ids[-1] == "Q2000"
    trouble = wait_until(lambda: host.report(worker).trouble, "the alarm")
    assert "moved back" in trouble.message
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
