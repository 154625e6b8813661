"""Whatever dies, and whenever: nothing is half-visible, and a second run gives what an undisturbed one gives."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from subprocess import Popen, TimeoutExpired

import orjson
import pytest

from tests.build.wikibase import item
from tests.mysql.conftest import Connect
from tests.mysql.import_cases import Dump, check_laws, dump, generated, start_import, write_lines
from wbd.engines.mysql import Database
from wbd.engines.objects import ObjectStore, open_store
from wbd.entity.check import check_entity
from wbd.errors import DatabaseError
from wbd.revisions.store import RevisionStore
from wbd.settings.kinds import DatabaseAddress, ObjectsAddress
from wbd.stack.mariadb import MariaDB

_DEADLINE_S = 60.0
_KILLS = 8


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    return open_store(ObjectsAddress(f"file://{tmp_path}/objects"), "revisions")


def wait_for(condition: Callable[[], bool], process: Popen[bytes]) -> bool:
    """Wait until *condition* holds, True, or the process is over, False."""
    deadline = time.monotonic() + _DEADLINE_S
    while time.monotonic() < deadline:
        if condition():
            return True
        try:
            process.wait(0.005)
        except TimeoutExpired:
            continue
        return False
    raise AssertionError("deadline passed")


def revisions_in(db: Database) -> int:
    return int(db.query("SELECT COUNT(*) FROM entity_revisions")[0][0])


def clear(db: Database, dumped: Dump) -> None:
    for table in dumped:
        db.execute(f"DELETE FROM {table}")


def test_kill_9_at_any_moment_leaves_whole_entities_and_a_second_run_completes_them(
    db: Database, address: DatabaseAddress, objects: ObjectStore, tmp_path: Path
) -> None:
    path = write_lines(tmp_path / "history.jsonl", generated(500, 700))
    process = start_import(address, tmp_path, "--json", "--quiet", str(path))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    total = revisions_in(db)
    assert orjson.loads(out)["created"] + orjson.loads(out)["updated"] == total
    undisturbed = dump(db)
    clear(db, undisturbed)
    seed = random.randrange(1000)
    chance = random.Random(seed)
    kills = 0
    for _ in range(_KILLS):
        before = revisions_in(db)
        goal = before + chance.randint(0, max(1, (total - before) // 3))
        process = start_import(address, tmp_path, "--quiet", str(path))
        if wait_for(lambda goal=goal: revisions_in(db) > goal, process):  # type: ignore[misc]
            process.kill()
            kills += 1
        process.communicate(timeout=60)
        check_laws(db, objects)
    process = start_import(address, tmp_path, "--json", "--quiet", str(path))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    assert dump(db) == undisturbed, f"seed {seed}"
    check_laws(db, objects)
    assert kills >= 3, f"seed {seed}: only {kills} imports were killed"


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_database_that_goes_away_in_the_middle_is_waited_for_and_nothing_is_lost(
    mariadb: MariaDB,
    connect: Connect,
    db: Database,
    address: DatabaseAddress,
    objects: ObjectStore,
    tmp_path: Path,
    end: str,
) -> None:
    history = generated(500, 500)
    path = write_lines(tmp_path / "history.jsonl", history)
    process = start_import(address, tmp_path, "--json", str(path))
    assert wait_for(lambda: revisions_in(db) > 100, process)
    getattr(mariadb, end)()
    try:
        # The process lives on without its database, and says so.
        assert process.stderr is not None
        line = process.stderr.readline().decode()
        while "retry in" not in line:
            assert line
            line = process.stderr.readline().decode()
        assert "not reachable" in line or "unknown" in line
    finally:
        mariadb.start()
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    report = orjson.loads(out)
    assert report["read"] == len(history)
    assert report["rejected"] == report["stale"] == 0
    assert check_laws(db, objects) == len({revision["id"] for revision in history})
    heads: dict[str, int] = dict(db.query("SELECT entity_id, head_revision_id FROM entity_head"))
    # An edit that changed nothing makes no revision, so the head may be an earlier one of equal content.
    for entity_id, head in heads.items():
        last = [revision for revision in history if revision["id"] == entity_id][-1]
        (known,) = [r for r in history if r["id"] == entity_id and r["lastrevid"] == head]
        assert check_entity(known).content_hash == check_entity(last).content_hash


def test_a_connection_that_is_killed_in_the_middle_is_replaced(
    db: Database, address: DatabaseAddress, objects: ObjectStore, tmp_path: Path
) -> None:
    history = generated(300, 300)
    path = write_lines(tmp_path / "history.jsonl", history)
    process = start_import(address, tmp_path, "--json", "--quiet", str(path))
    goal = 0
    while wait_for(lambda least=goal: revisions_in(db) > least, process):  # type: ignore[misc]
        goal = revisions_in(db) + 60
        own = db.query("SELECT CONNECTION_ID()")[0][0]
        for (connection,) in db.query(
            "SELECT id FROM information_schema.processlist WHERE db = %s AND id <> %s", (address.database, own)
        ):
            # It may be gone already.
            with suppress(DatabaseError):
                db.execute("KILL CONNECTION %s", (connection,))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err.decode()
    assert orjson.loads(out)["rejected"] == 0
    assert check_laws(db, objects) == len({revision["id"] for revision in history})


def test_without_a_database_an_import_gives_up_when_told_to(tmp_path: Path) -> None:
    nowhere = DatabaseAddress(database="x", user="x", unix_socket=str(tmp_path / "no.sock"))
    path = write_lines(tmp_path / "x.jsonl", generated(30, 0))
    process = start_import(nowhere, tmp_path, "--give-up", "1", "--json", str(path))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "gave up after" in err.decode()
    assert "run the import again to complete it" in orjson.loads(out)["trouble"][0]


def test_missing_tables_are_named_with_what_to_do(address: DatabaseAddress, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "x.jsonl", generated(30, 0))
    process = start_import(address, tmp_path, "--give-up", "0", str(path))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "wbd dev create_tables" in err.decode()


def test_objects_that_cannot_be_written_are_waited_for(
    db: Database, address: DatabaseAddress, objects: ObjectStore, tmp_path: Path
) -> None:
    """A file in the place of the bucket's folder stands for a full or broken disk."""
    history = generated(60, 0)
    path = write_lines(tmp_path / "x.jsonl", history)
    bucket = tmp_path / "objects" / "revisions"
    for revision in history:
        (bucket / revision["id"]).write_text("in the way")
    process = start_import(address, tmp_path, "--json", str(path))
    assert process.stderr is not None
    line = process.stderr.readline().decode()
    assert "retry in" in line
    assert revisions_in(db) == 0
    for revision in history:
        (bucket / revision["id"]).unlink()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err.decode()
    assert orjson.loads(out)["created"] == 60
    check_laws(db, objects)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_finishes_what_is_under_way_reports_and_a_second_run_completes_it(
    db: Database, address: DatabaseAddress, objects: ObjectStore, tmp_path: Path, number: int
) -> None:
    history = generated(600, 600)
    path = write_lines(tmp_path / "history.jsonl", history)
    process = start_import(address, tmp_path, "--json", str(path))
    assert wait_for(lambda: revisions_in(db) > 50, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    report = orjson.loads(out)
    assert report["interrupted"]
    assert report["created"] + report["updated"] == revisions_in(db) < len(history)
    assert "run it again to complete it" in err.decode()
    check_laws(db, objects)
    process = start_import(address, tmp_path, "--json", str(path))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err.decode()
    assert orjson.loads(out)["read"] == len(history)
    assert check_laws(db, objects) == len({revision["id"] for revision in history})


def test_ctrl_c_ends_a_wait_for_standard_input(db: Database, address: DatabaseAddress, tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, json.dumps(item()).encode() + b"\n{}\n")
    process = start_import(address, tmp_path, "--json", "--rejects", str(tmp_path), "-", stdin=read_end)
    os.close(read_end)
    assert wait_for(lambda: revisions_in(db) == 1, process)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    os.close(write_end)
    assert process.returncode == 130
    assert orjson.loads(out)["created"] == 1
    (entry,) = [orjson.loads(line) for line in (tmp_path / "stdin.rejected.jsonl").read_bytes().splitlines()]
    assert "entity without id" in entry["reason"]


def test_standard_input_goes_in_and_exit_code_1_says_that_something_was_rejected(
    db: Database, address: DatabaseAddress, objects: ObjectStore, tmp_path: Path
) -> None:
    read_end, write_end = os.pipe()
    process = start_import(address, tmp_path, "--rejects", str(tmp_path), "-", stdin=read_end)
    os.close(read_end)
    with os.fdopen(write_end, "wb") as pipe:
        pipe.write(b"[\n" + b",\n".join(orjson.dumps(entity) for entity in generated(50, 0)) + b",\nbroken\n]\n")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, err.decode()
    assert "stdin.rejected.jsonl" in out.decode()
    assert out.decode().splitlines()[0].split()[:3] == ["READ", "CREATED", "UPDATED"]
    assert out.decode().splitlines()[1].split()[:6] == ["51", "50", "0", "0", "0", "1"]
    assert check_laws(db, objects) == 50


def test_the_laws_catch_planted_faults(db: Database, objects: ObjectStore) -> None:
    """The check that the tests above rest on is not blind."""
    store = RevisionStore(db, objects)
    store.write_many([check_entity(entity) for entity in generated(30, 0)])
    check_laws(db, objects)
    for fault in (
        "DELETE FROM terms ORDER BY entity_id LIMIT 1",
        "UPDATE qualifiers SET ref_count = ref_count + 1 ORDER BY entity_id LIMIT 1",
        "DELETE FROM event_outbox ORDER BY id LIMIT 1",
        "UPDATE entity_head SET head_revision_id = head_revision_id + 1 ORDER BY entity_id LIMIT 1",
        "DELETE FROM entity_revisions ORDER BY entity_id LIMIT 1",
        "UPDATE entity_head SET shard = (shard + 1) % 64 ORDER BY entity_id LIMIT 1",
        "DELETE FROM entity_head ORDER BY entity_id LIMIT 1",
        "UPDATE entity_revisions SET snapshot_key = 'elsewhere' ORDER BY entity_id LIMIT 1",
    ):
        clear(db, dump(db))
        store.write_many([check_entity(entity) for entity in generated(30, 0)])
        assert db.execute(fault) == 1, fault
        with pytest.raises((AssertionError, KeyError, ValueError)):
            check_laws(db, objects)
