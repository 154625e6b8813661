"""Steps of the schema: each is harmless when repeated, and workers refuse a database that lacks one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.build.tables import make_tables
from wbd.engines.mysql import Database, Transaction
from wbd.errors import DatabaseError, DatabaseUnavailable
from wbd.provision import migrations, servers
from wbd.provision.migrations import AddColumn, CreateTable, Step, columns_of, missing, read_catalog, read_version
from wbd.provision.steps import STEPS, require_schema
from wbd.settings.kinds import DatabaseAddress
from wbd.settings.load import load
from wbd.settings.settings import Settings

Connect = Callable[[], Database]

HOSTS = 4


@pytest.fixture
def settings(address: DatabaseAddress, tmp_path: Path) -> Settings:
    return load(
        {
            "WBD_STATE_DIR": str(tmp_path),
            "VITESS_UNIX_SOCKET": str(address.unix_socket),
            "VITESS_USER": address.user,
            "VITESS_DATABASE": address.database,
            # Nothing listens there: check goes as far as the database.
            "KAFKA_BROKERS": "127.0.0.1:1",
        }
    ).settings


def shape(db: Database) -> list[tuple[object, ...]]:
    """The schema as the server describes it."""
    return db.query(
        "SELECT table_name, column_name, ordinal_position, column_type, is_nullable, column_default, column_key, extra"
        " FROM information_schema.columns WHERE table_schema = DATABASE() ORDER BY table_name, ordinal_position"
    )


def version(db: Database) -> int:
    return db.transaction(read_version)


def test_the_numbers_of_the_steps_count_from_one() -> None:
    assert [step.number for step in STEPS] == list(range(1, len(STEPS) + 1))


@pytest.mark.parametrize("step", STEPS, ids=lambda step: str(step.number))
def test_a_repeated_step_changes_nothing(connect: Connect, step: Step) -> None:
    db = connect()
    make_tables(db)
    before = shape(db)
    assert migrations.apply(db, step) == []
    assert shape(db) == before
    assert version(db) == len(STEPS)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: str(step.number))
def test_a_step_that_was_interrupted_after_any_of_its_changes_is_completed_by_a_repeat(
    connect: Connect, step: Step
) -> None:
    db = connect()
    for earlier in STEPS[: step.number - 1]:
        migrations.apply(db, earlier)
    for change in step.changes[: len(step.changes) // 2 + 1]:
        if not change.is_made(read_catalog(db)):
            db.execute(change.statement)
    make_tables(db)
    assert missing(db, STEPS) == []
    assert {table: set(columns) for table, columns in columns_of(STEPS).items()} == read_catalog(db)


@pytest.mark.parametrize("step", STEPS[1:], ids=lambda step: str(step.number))
def test_a_new_column_has_a_default_or_may_be_null_so_that_the_release_before_can_insert(
    db: Database, step: Step
) -> None:
    for change in step.changes:
        if isinstance(change, AddColumn):
            rows = db.query(
                "SELECT is_nullable, column_default FROM information_schema.columns"
                " WHERE table_schema = DATABASE() AND table_name = %s AND column_name = %s",
                (change.table, change.column),
            )
            (nullable, default) = rows[0]
            assert nullable == "YES" or default is not None, change


def test_a_column_that_was_asked_for_by_hand_is_added_and_the_rows_stay(connect: Connect) -> None:
    db = connect()
    migrations.apply(db, STEPS[0])
    db.execute("ALTER TABLE entity_diff_failures DROP COLUMN missing")
    db.execute("INSERT INTO entity_diff_failures (entity_id, revision_id, reason) VALUES ('Q1', 7, 'before')")
    assert [change.statement for change in migrations.apply(db, STEPS[1])] == [
        "ALTER TABLE entity_diff_failures ADD COLUMN missing BOOLEAN NOT NULL DEFAULT FALSE AFTER reason"
    ]
    assert db.query("SELECT entity_id, revision_id, reason, missing FROM entity_diff_failures") == [
        ("Q1", 7, "before", 0)
    ]


def test_several_hosts_may_apply_the_steps_at_once(connect: Connect) -> None:
    pools = [connect() for _ in range(HOSTS)]
    together = threading.Barrier(HOSTS, timeout=30)
    failures: list[BaseException] = []

    def host(db: Database) -> None:
        try:
            for step in STEPS:
                together.wait()
                migrations.apply(db, step)
        except BaseException as error:
            failures.append(error)
            together.abort()

    for drop in (False, True):
        if drop:
            pools[0].execute("ALTER TABLE entity_diff_failures DROP COLUMN missing")
        threads = [threading.Thread(target=host, args=(db,)) for db in pools]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failures == []
        assert missing(pools[0], STEPS) == []


def test_a_change_that_another_host_made_between_the_look_and_the_statement_counts_as_done(connect: Connect) -> None:
    class Late(AddColumn):
        """A change whose look at the tables comes too early."""

        def is_made(self, catalog: migrations.Catalog) -> bool:
            return False

    db = connect()
    make_tables(db)
    late = Step(len(STEPS) + 1, "late", (Late("users", "username", "INT NULL"),))
    assert migrations.apply(db, late) == []
    assert version(db) == late.number


def test_a_change_that_the_server_refuses_is_not_recorded(connect: Connect) -> None:
    db = connect()
    make_tables(db)
    bad = Step(len(STEPS) + 1, "bad", (AddColumn("users", "broken", "NO_SUCH_TYPE"),))
    with pytest.raises(DatabaseError):
        migrations.apply(db, bad)
    assert version(db) == len(STEPS)


def test_the_recorded_version_never_falls(db: Database) -> None:
    """A host of the release before knows fewer steps and applies its own again."""
    db.execute("UPDATE metadata SET value = '10' WHERE name = 'schema_version'")
    migrations.apply(db, STEPS[0])
    assert version(db) == 10
    assert missing(db, STEPS) == []


def test_a_change_lets_the_others_go_on_while_a_transaction_holds_its_table(connect: Connect) -> None:
    """ALTER TABLE that waits for one transaction would otherwise make every later statement wait as well."""
    admin, holder, reader = connect(), connect(), connect()
    make_tables(admin)
    admin.execute("ALTER TABLE entity_diff_failures DROP COLUMN missing")
    held, release = threading.Event(), threading.Event()

    def hold(tx: Transaction) -> None:
        tx.query("SELECT COUNT(*) FROM entity_diff_failures")
        held.set()
        assert release.wait(60)

    holding = threading.Thread(target=lambda: holder.transaction(hold))
    holding.start()
    assert held.wait(30)
    changing = threading.Thread(target=lambda: migrations.apply(admin, STEPS[1]))
    changing.start()
    while not admin_waits(reader):
        assert changing.is_alive()
    # Comes back although the holder still has the table: the change has let go.
    reader.query("SELECT COUNT(*) FROM entity_diff_failures")
    assert holding.is_alive() and changing.is_alive()
    release.set()
    changing.join(60)
    holding.join(60)
    assert missing(reader, STEPS) == []


def admin_waits(db: Database) -> bool:
    return bool(db.query("SELECT 1 FROM information_schema.processlist WHERE state LIKE 'Waiting for table metadata%'"))


def test_check_names_each_step_that_is_missing_and_create_tables_applies_it(
    settings: Settings, connect: Connect
) -> None:
    db = connect()
    migrations.apply(db, STEPS[0])
    db.execute("ALTER TABLE entity_diff_failures DROP COLUMN missing")

    def steps(items: object) -> dict[str, str]:
        return {item.name: item.state for item in items if item.kind == "step"}  # type: ignore[attr-defined]

    def checked() -> list[servers.Item]:
        seen = []
        for item in servers.check(settings):
            seen.append(item)
            if item.kind == "table" and item.name == "worker_leases":
                break
        return seen

    before = checked()
    assert steps(before) == {"1": "ok"} | {str(step.number): "missing" for step in STEPS[1:]}
    wrong = {item.name: item.detail for item in before if item.state == "wrong"}
    assert wrong == {
        "entity_diff_failures": "columns missing: missing",
        "worker_leases": "columns missing: token, position_text",
    }
    assert steps(servers.create_tables(settings))["2"] == "applied"
    assert set(steps(checked()).values()) == {"ok"}
    assert set(steps(servers.create_tables(settings)).values()) == {"existed"}


@pytest.mark.parametrize("recorded", [None, "", "nonsense", str(len(STEPS) - 1)])
def test_a_connection_to_a_schema_that_is_too_old_is_refused_until_the_steps_are_applied(
    db: Database, address: DatabaseAddress, recorded: str | None
) -> None:
    if recorded is None:
        db.execute("DELETE FROM metadata")
    else:
        db.execute("UPDATE metadata SET value = %s", (recorded,))
    worker = Database(address, max_connections=1, admit=require_schema)
    for _ in range(2):
        with pytest.raises(
            DatabaseUnavailable,
            match=rf"schema_version is \d+, this release needs {len(STEPS)} or later; run: wbd dev create_tables",
        ):
            worker.query("SELECT 1")
    make_tables(db)
    assert worker.query("SELECT 1") == [(1,)]
    assert worker.stats.connects == 1
    worker.close()


def test_a_database_without_tables_is_refused_with_the_same_remedy(connect: Connect, address: DatabaseAddress) -> None:
    worker = Database(address, max_connections=1, admit=require_schema)
    with pytest.raises(DatabaseUnavailable, match="table missing; run: wbd dev create_tables"):
        worker.ping()
    worker.close()


def test_a_newer_schema_is_welcome(db: Database, address: DatabaseAddress) -> None:
    """The release before keeps running after the steps of the next one are applied."""
    db.execute("UPDATE metadata SET value = %s", (str(len(STEPS) + 1),))
    worker = Database(address, max_connections=1, admit=require_schema)
    assert worker.query("SELECT 1") == [(1,)]
    worker.close()


def test_a_statement_that_is_no_create_table_is_refused() -> None:
    with pytest.raises(ValueError, match="not a CREATE TABLE"):
        CreateTable("CREATE TABLE users (\nid INT\n)")
