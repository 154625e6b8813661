"""A ring whose file is lost moves with all its ids, though another worker stands by and the database is away."""

from __future__ import annotations

from pathlib import Path

from tests.mysql.ids_host import DEADLINE_S, Host, wait_until
from wbd.ids import EntityType, IdClient
from wbd.ids.ring import Ring
from wbd.ids.segment_file import SegmentFile
from wbd.stack.mariadb import MariaDB


def takes_from_the_ring(host: Host, ids: list[str]) -> bool:
    """Take an id with a new client; tell whether it came from the ring."""
    with IdClient(host.socket, timeout_s=DEADLINE_S) as client:
        ids.append(client.next("item"))
        return client.attached


def test_the_worker_that_serves_keeps_the_ids_of_a_lost_ring_though_another_stands_by(host: Host) -> None:
    first = host.start_worker()
    host.wait_ready(first)
    second = host.start_worker()
    wait_until(lambda: host.server(second).standing_by, "the second stands by")
    ids: list[str] = []
    for _ in range(20):
        wait_until(lambda: takes_from_the_ring(host, ids), "the ring is back")
        host.segment.unlink()
    wait_until(lambda: takes_from_the_ring(host, ids), "the ring is back")
    assert ids == [f"Q{number}" for number in range(1, len(ids) + 1)], "no gap, no repeat, in order"
    assert host.server(second).standing_by


def test_the_ids_of_every_type_move_to_the_new_ring_while_the_database_is_away(host: Host, mariadb: MariaDB) -> None:
    worker = host.start_worker()
    wait_until(
        lambda: (ids := host.server(worker).ids) and all(one.left == 2000 for one in ids.values()),
        "a range of each type lies behind",
    )
    mariadb.kill()
    try:
        client = IdClient(host.socket, timeout_s=DEADLINE_S)
        # So that the first type needs a range that it cannot get.
        client.take("item", 1500)
        host.segment.unlink()
        wait_until(host.segment.exists, "the ring is back")
        assert [client.next_int(entity_type) for entity_type in EntityType] == [1501, 1, 1, 1]
    finally:
        mariadb.start()


def test_leaving_a_ring_asks_for_no_refill(tmp_path: Path) -> None:
    asked: list[bool] = []
    ring = Ring(SegmentFile(tmp_path / "ids.segment"), lambda: asked.append(True))
    for _ in range(20):
        assert ring.acquire()
        ring.leave()
    assert not asked
