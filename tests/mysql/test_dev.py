"""The dev worker creates what is missing, and tells what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from wbd.engines.mysql import Database
from wbd.provision import command, servers
from wbd.settings.kinds import DatabaseAddress
from wbd.settings.load import load
from wbd.settings.settings import Settings

DOCUMENTED_TABLES = [
    "id_ranges",
    "entity_head",
    "entity_revisions",
    "entity_redirects",
    "entity_backlinks",
    "statement_content",
    "users",
    "user_thanks",
    "user_statement_endorsements",
    "user_watchlist",
    "watchlist_notifications",
    "user_daily_stats",
    "general_daily_stats",
    "backlink_statistics",
    "metadata",
    "lexeme_terms",
]

DOCUMENTED_QUERIES = [
    "SELECT COUNT(*) FROM statement_content",
    "SELECT SUM(ref_count) FROM qualifiers",
    "SELECT SUM(ref_count) FROM `references`",
    "SELECT COUNT(*) FROM entity_head WHERE entity_id LIKE 'Q%'",
    "SELECT COUNT(DISTINCT sitelink_id) FROM entity_revisions",
    "SELECT COUNT(*) FROM users WHERE last_activity >= DATE_SUB(CURDATE(), INTERVAL 30 DAY)",
    "INSERT INTO backlink_statistics (entity_id, backlink_count) SELECT backlink_id, COUNT(*) AS count"
    " FROM entity_backlinks GROUP BY backlink_id ON DUPLICATE KEY UPDATE"
    " backlink_count = VALUES(backlink_count), last_updated = CURRENT_TIMESTAMP",
    "DELETE FROM backlink_statistics WHERE backlink_count = 0",
    "SELECT user_id, watched_properties FROM user_watchlist WHERE entity_id = 'Q1' AND is_enabled = TRUE",
    "INSERT INTO user_watchlist (user_id, entity_id) VALUES (1, 'Q1')",
    "DELETE FROM watchlist_notifications WHERE created_at < '2025-01-01' AND is_checked = TRUE",
    "INSERT INTO id_ranges (entity_type, current_range_start, current_range_end, next_id, range_size)"
    " VALUES ('item', 1, 1000, 1, 1000)",
]


@pytest.fixture
def settings(address: DatabaseAddress, tmp_path: Path) -> Settings:
    return load(
        {
            "WBD_STATE_DIR": str(tmp_path),
            "VITESS_UNIX_SOCKET": str(address.unix_socket),
            "VITESS_USER": address.user,
            "VITESS_DATABASE": address.database,
        }
    ).settings


def test_every_documented_table_is_created_once_and_then_found(settings: Settings) -> None:
    first = [item for item in servers.create_tables(settings) if item.kind == "table"]
    assert {item.state for item in first} == {"created"}
    assert set(DOCUMENTED_TABLES) <= {item.name for item in first}
    assert {item.state for item in servers.create_tables(settings)} == {"existed"}


@pytest.mark.parametrize("query", DOCUMENTED_QUERIES)
def test_the_queries_of_the_documents_run_on_the_tables(db: Database, query: str) -> None:
    db.transaction(lambda tx: tx.query(query) if query.startswith("SELECT") else tx.execute(query))


def test_a_table_without_one_of_its_columns_is_reported_wrong_and_not_touched(settings: Settings, db: Database) -> None:
    db.execute("ALTER TABLE users DROP COLUMN username")
    wrong = [item for item in servers.create_tables(settings) if item.is_wrong]
    assert [(item.name, item.state, item.detail) for item in wrong] == [("users", "wrong", "columns missing: username")]


def test_buckets_are_created_once_and_then_found(settings: Settings) -> None:
    assert [item.state for item in servers.create_buckets(settings)] == ["created"] * 9
    assert [item.state for item in servers.create_buckets(settings)] == ["existed"] * 9


def test_the_exit_code_tells_what_happened(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("vitess_unix_socket", "vitess_user", "vitess_database"):
        monkeypatch.setenv(name.upper(), str(getattr(settings, name)))
    monkeypatch.setenv("WBD_STATE_DIR", str(settings.state_dir))
    assert command.main(["create_tables", "create_buckets"]) == 0
    monkeypatch.setenv("VITESS_DATABASE", "not_there")
    assert command.main(["create_tables"]) == 2
    assert "database does not exist" in capsys.readouterr().err
    monkeypatch.setenv("LOG_LEVEL", "LOUD")
    assert command.main(["create_tables"]) == 78
