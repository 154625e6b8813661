"""The ring outlives its worker, moves when its file is lost, and never gives an id twice meanwhile."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.build.tables import make_tables
from tests.conftest import without
from tests.mysql.ids_host import DEADLINE_S, Host, item_row, wait_until
from wbd.engines.mysql import Database
from wbd.errors import IdsUnavailable
from wbd.ids import EntityType, IdClient
from wbd.ids.high_water import HighWater
from wbd.stack.mariadb import MariaDB

ITEM = EntityType.ITEM
ROOT = Path(__file__).parents[2]

try:
    import wbd.ids._segment  # noqa: F401
except ModuleNotFoundError:
    without("the extension is not built")


def attached(host: Host, timeout_s: float = DEADLINE_S) -> IdClient:
    """Return a client that has taken Q1 from the ring."""
    client = IdClient(host.socket, timeout_s=timeout_s)
    assert client.next("item") == "Q1"
    assert client.attached, client.attach_problem
    return client


def numbers(ids: list[str]) -> list[int]:
    return [int(one[1:]) for one in ids]


def test_ids_come_from_the_ring_while_no_worker_lives_and_the_next_one_goes_on_with_it(
    host: Host, db: Database
) -> None:
    worker = host.start_worker()
    wait_until(lambda: host.left(worker) == 2000, "a range lies behind")
    client = attached(host)
    host.end(worker, signal.SIGKILL)
    ids = numbers(client.take("item", 1000))
    second = host.start_worker()
    host.wait_ready(second)
    ids += numbers(client.take("item", 2000))
    assert ids == list(range(2, 3002)), "no gap, no repeat"
    assert client.attached
    wait_until(lambda: 'wbd_ids_taken_total{entity_type="item"}' in host.metrics(second), "metrics")
    line = next(
        one for one in host.metrics(second).splitlines() if one.startswith('wbd_ids_taken_total{entity_type="item"')
    )
    assert float(line.split()[-1]) <= 2000, "what the first one's ring had counted is not counted again"


def test_a_stop_without_a_database_leaves_the_ring_to_the_next_worker(
    host: Host, mariadb: MariaDB, db: Database
) -> None:
    worker = host.start_worker()
    wait_until(lambda: host.left(worker) == 2000, "a range lies behind")
    client = attached(host)
    mariadb.kill()
    try:
        wait_until(lambda: host.server(worker).database != "ok", "health names the database")
        assert host.end(worker) == 0
        assert numbers(client.take("item", 100)) == list(range(2, 102))
        host.start_worker()
        assert client.next("item") == "Q102"
    finally:
        mariadb.start()
    assert numbers(client.take("item", 2000)) == list(range(103, 2103))


@pytest.mark.parametrize("by", ["nothing", "garbage", "an empty file"])
def test_a_ring_whose_file_is_gone_or_replaced_moves_to_a_new_one_with_its_ids(
    host: Host, db: Database, by: str
) -> None:
    worker = host.start_worker()
    wait_until(lambda: host.left(worker) == 2000, "a range lies behind")
    client = attached(host)
    inode = host.segment.stat().st_ino
    keep = host.segment.with_name("kept")
    host.segment.rename(keep)
    if by != "nothing":
        host.segment.write_bytes(b"garbage" if by == "garbage" else b"")
    given: list[int] = []

    def moved() -> bool:
        given.append(client.next_int("item"))
        return bool(client.attached and client._where and client._where.inode != inode)

    wait_until(
        moved,
        "the client takes from the new ring",
    )
    given += numbers(client.take("item", 500))
    assert given == list(range(2, 2 + len(given))), "every id went with the ring, in order"
    assert keep.exists() and host.server(worker).shared_memory.segment == str(host.segment)


def test_a_ring_that_somebody_wrote_into_is_given_up_and_its_ids_are_a_gap(host: Host, db: Database) -> None:
    worker = host.start_worker()
    wait_until(lambda: host.left(worker) == 2000, "a range lies behind")
    client = attached(host)
    ids = numbers(client.take("item", 700))
    # The worker notices a cursor that went back only below the place where it saw it last.
    for taken in (701, 702):
        # Twice, since the worker counts after it has checked.
        line = f'wbd_ids_taken_total{{entity_type="item"}} {taken}.0'
        wait_until(functools.partial(host.has_metric, worker, line), "the worker has looked")
        ids.append(client.next_int("item"))
    inode = host.segment.stat().st_ino
    with host.segment.open("r+b") as file:
        # The cursor of the lane of items, set back to the beginning: all its ids would come again.
        file.seek(256)
        file.write(b"\0" * 8)
    wait_until(lambda: host.segment.exists() and host.segment.stat().st_ino != inode, "a new ring")
    host.wait_ready(worker)
    fresh = IdClient(host.socket, timeout_s=DEADLINE_S)
    after = numbers(fresh.take("item", 100))
    assert fresh.attached and not set(after) & set(ids) and min(after) > 2000
    wait_until(lambda: not client.attached or client.next_int("item") > 2000, "the client leaves the damaged ring")


def test_without_a_place_for_the_ring_ids_come_over_the_socket_and_health_says_why(host: Host, tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    host.segment = folder / "ids.segment"
    worker = host.start_worker()
    host.wait_ready(worker)
    client = IdClient(host.socket, timeout_s=DEADLINE_S)
    assert client.take("item", 3) == ["Q1", "Q2", "Q3"]
    assert not client.attached and "others may write" in client.attach_problem
    shared = host.server(worker).shared_memory
    assert shared.segment == "private memory" and "others may write" in (shared.problem or "")


def test_reserved_ids_that_an_import_brings_are_dropped_from_the_ring(host: Host, db: Database) -> None:
    worker = host.start_worker()
    wait_until(lambda: host.left(worker) == 2000, "a range lies behind")
    client = attached(host)
    HighWater(db).raise_imported({ITEM: 42})
    wait_until(lambda: host.server(worker).ids["item"].skipped == 41, "Q2 to Q42 are dropped")
    assert client.next("item") == "Q43"
    HighWater(db).raise_imported({ITEM: 50_000})
    wait_until(lambda: host.server(worker).ids["item"].next == 50_001, "the rest is dropped, and more comes")
    assert client.next("item") == "Q50001"


def test_takers_in_many_processes_and_a_worker_that_ends_cleanly_share_no_id(host: Host, db: Database) -> None:
    """Takes race the drain of a clean stop; ids given back are given out once."""
    host.wait_ready(host.start_worker())
    for _ in range(4):
        host.start_taker()
    for _ in range(6):
        seen = len(host.taken())
        host.wait_taken(seen + 500)
        assert host.end(host.workers[-1]) == 0
        host.wait_ready(host.start_worker())
    for process, _ in host.takers:
        process.terminate()
        process.wait(timeout=DEADLINE_S)
    taken = host.taken()
    assert len(taken) == len(set(taken)) > 3000
    host.end(host.workers[-1])
    assert item_row(db).next_id > max(int(one[1:]) for one in taken if one.startswith("Q"))


def test_forked_children_and_threads_go_on_with_the_ring(host: Host) -> None:
    host.wait_ready(host.start_worker())
    client = attached(host)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, " ".join(client.take("item", 200)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    mine: list[str] = []
    threads = [threading.Thread(target=lambda: mine.extend(client.next("item") for _ in range(100))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with os.fdopen(reader) as file:
        theirs = file.read().split()
    os.waitpid(pid, 0)
    assert len({*mine, *theirs}) == 600 and client.attached


@pytest.mark.parametrize("page", ["README.md", "docs/ids.md"])
def test_what_the_documents_tell_python_programs_to_do_works(host: Host, page: str) -> None:
    host.wait_ready(host.start_worker())
    # A block in a list is indented.
    blocks = map(textwrap.dedent, re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL))
    block = next(one for one in blocks if "IdClient(" in one)
    block = re.sub(r'"/[^"]*/ids\.sock"', repr(str(host.socket)), block)
    assert len(block.splitlines()) >= 4
    script = block + "\nassert ids.attached, ids.attach_problem\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0, done.stderr


def test_status_and_watch_show_people_and_programs_what_the_server_has(host: Host) -> None:
    nobody = host.command("ids", "status")
    assert nobody.returncode != 0 and "wbd up" in nobody.stderr
    worker = host.start_worker()
    wait_until(lambda: host.left(worker) == 2000, "a range lies behind")
    host.start_worker()
    shown = host.command("ids", "status")
    assert shown.returncode == 0 and str(host.segment) in shown.stdout
    assert re.search(r"^item +Q1 +2,000 +- +0 ", shown.stdout, re.MULTILINE), shown.stdout
    assert json.loads(host.command("ids", "status", "--json").stdout)["ids"]["item"]["next"] == 1
    assert host.command("ids", "take", "item", "-n", "3").stdout == "Q1\nQ2\nQ3\n"
    looks = [
        json.loads(line)
        for line in host.command("ids", "watch", "--times", "2", "--interval", "0.1", "--json").stdout.splitlines()
    ]
    assert [one["ids"]["item"]["next"] for one in looks] == [4, 4]
    assert [one["rates"]["item"] for one in looks] == [None, 0.0]
    assert host.command("ids", "watch", "--interval", "0").returncode == 2


def test_a_ring_of_another_database_is_set_aside(host: Host, db: Database) -> None:
    """There other hosts have reserved the same numbers."""
    worker = host.start_worker()
    host.wait_ready(worker)
    client = attached(host)
    host.end(worker, signal.SIGKILL)
    other = f"{host.database}_other"
    db.execute(f"CREATE DATABASE {other} CHARACTER SET utf8mb4")
    try:
        with closing(Database(replace(db.address, database=other))) as other_db:
            make_tables(other_db)
        db.execute(
            f"INSERT INTO {other}.id_ranges (entity_type, current_range_start, current_range_end, next_id) "
            "VALUES ('item', 1, 3000, 3001)"
        )
        second = host.start_worker(VITESS_DATABASE=other)
        host.wait_ready(second)
        assert "database" in (host.server(second).shared_memory.set_aside or "")
        assert IdClient(host.socket, timeout_s=DEADLINE_S).next("item") == "Q3001"
        assert client.next("item") == "Q2", "those who have the old ring go on with its ids, of the old database"
        assert host.end(second) == 0
    finally:
        db.execute(f"DROP DATABASE {other}")


def test_what_a_database_has_forgotten_is_not_given_out_and_raises_the_alarm(host: Host, db: Database) -> None:
    """A backup was restored: other hosts may reserve the ids in the ring again."""
    worker = host.start_worker()
    wait_until(lambda: host.left(worker) == 2000, "a range lies behind")
    client = attached(host, timeout_s=3)
    db.execute("UPDATE id_ranges SET next_id = 1, current_range_start = 1 WHERE entity_type = 'item'")
    db.execute("UPDATE id_high_water SET reserved_to = 0 WHERE entity_type = 'item'")
    trouble = wait_until(lambda: host.report(worker).trouble, "the alarm")
    assert "moved back below 2001" in trouble.message
    with pytest.raises(IdsUnavailable, match="NOIDS"):
        client.next("item")
    db.execute("UPDATE id_ranges SET next_id = 2001 WHERE entity_type = 'item'")
    assert IdClient(host.socket, timeout_s=DEADLINE_S).next("item") == "Q2001"


def test_floors_and_reserved_ids_of_today_hold_for_a_ring_of_yesterday(host: Host, db: Database) -> None:
    worker = host.start_worker()
    wait_until(lambda: host.left(worker) == 2000, "a range lies behind")
    client = attached(host)
    host.end(worker, signal.SIGKILL)
    host.wait_ready(host.start_worker(ID_FLOOR_ITEM="500", ID_RESERVED_ITEM="502-600, 605"))
    assert numbers(client.take("item", 8)) == [500, 501, 601, 602, 603, 604, 606, 607]
    assert client.next("lexeme") == "L1"


def test_an_alarm_of_one_type_does_not_keep_imported_ids_of_another_in_the_ring(host: Host, db: Database) -> None:
    worker = host.start_worker()
    wait_until(lambda: host.left(worker) == 2000, "a range lies behind")
    db.execute("UPDATE id_ranges SET next_id = 1 WHERE entity_type = 'property'")
    wait_until(lambda: host.report(worker).trouble, "the alarm")
    HighWater(db).raise_imported({ITEM: 1500})
    wait_until(lambda: host.server(worker).ids["item"].next == 1501, "imported ids are dropped")


def test_a_number_of_imports_that_no_id_has_does_not_end_the_worker(host: Host, db: Database) -> None:
    worker = host.start_worker()
    wait_until(lambda: host.left(worker) == 2000, "a range lies behind")
    db.execute("UPDATE id_high_water SET imported_to = 18446744073709551615 WHERE entity_type = 'item'")
    trouble = wait_until(lambda: host.report(worker).trouble, "the alarm")
    assert "item" in trouble.message and worker.poll() is None
    assert IdClient(host.socket, timeout_s=DEADLINE_S).next("lexeme") == "L1"


def test_a_ring_that_moves_while_the_database_is_away_takes_every_type_with_it(
    host: Host, mariadb: MariaDB, db: Database
) -> None:
    worker = host.start_worker()
    wait_until(lambda: host.left(worker, "property") == 2000, "the last is full")
    client = attached(host)
    mariadb.kill()
    try:
        client.take("item", 1500)
        wait_until(lambda: host.server(worker).database != "ok", "health names the database")
        host.segment.unlink()
        wait_until(host.segment.exists, "a new ring")
        assert client.take("property", 2000)[-1] == "P2000" and client.take("lexeme", 2000)[-1] == "L2000"
    finally:
        mariadb.start()


def test_reserved_ids_so_dense_that_ranges_fill_the_ring_keep_nobody_from_their_ids(host: Host, db: Database) -> None:
    dense = ",".join(str(number) for number in range(100, 9000, 100))
    worker = host.start_worker(ID_RESERVED_ITEM=dense)
    host.wait_ready(worker)
    client = attached(host, timeout_s=3)
    with pytest.raises(IdsUnavailable, match="NOIDS"):
        client.range("item", 500)
    wait_until(lambda: host.server(worker).ids["item"].left > 5000, "the ring is full of short ranges")
    taken = numbers(client.take("item", 1000))
    assert taken[0] == 2 and not any(number % 100 == 0 for number in taken)
    wait_until(lambda: 'wbd_ids_taken_total{entity_type="item"} 1001.0' in host.metrics(worker), "steps go on")
