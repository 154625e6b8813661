"""The commands of `wbd` that need no server: what they print, and how they refuse."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from wbd.cli import main
from wbd.runtime.process import run_worker
from wbd.runtime.table import WORKERS

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of a machine where nothing is set and nothing runs."""
    monkeypatch.setenv("WBD_STATE_DIR", str(tmp_path))


@pytest.mark.parametrize("name", [worker.name for worker in WORKERS])
def test_every_worker_module_shows_what_it_does_and_how_it_is_configured(name: str, capsys: Captured) -> None:
    module = importlib.import_module(f"wbd.workers.{name}")
    with pytest.raises(SystemExit) as ended:
        run_worker(name, module.build, ["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: python -m wbd.workers.{name}")
    assert str(module.__doc__).splitlines()[0] in text
    for word in (
        "Reads:",
        "Writes:",
        "wbd config",
        "SIGTERM",
        f"example: LOG_FORMAT=simple python -m wbd.workers.{name}",
    ):
        assert word in text


def test_a_worker_takes_no_argument(capsys: Captured) -> None:
    module = importlib.import_module("wbd.workers.user_stats")
    with pytest.raises(SystemExit) as ended:
        run_worker("user_stats", module.build, ["now"])
    assert ended.value.code == 2
    assert "unrecognized arguments: now" in capsys.readouterr().err


def test_a_part_that_no_setting_has_is_an_error_with_what_was_meant(capsys: Captured) -> None:
    assert main(["config", "log_", "kafak"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "no setting's name contains 'kafak'; did you mean kafka?" in err
    assert main(["config", "--json", "qqqqqq"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "no setting's name contains 'qqqqqq'; all: wbd config" in err


def test_a_part_of_a_setting_s_name_shows_those_that_hold_it(capsys: Captured) -> None:
    assert main(["config", "--json", "LOG_"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["log_level", "log_format"]


def test_no_line_of_a_table_ends_in_blanks(capsys: Captured) -> None:
    assert main(["config"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 50
    assert lines == [line.rstrip() for line in lines]


@pytest.mark.parametrize("commands", [["check"], ["create_buckets", "create_tables"]])
def test_dev_refuses_missing_settings_before_it_looks_at_anything(
    commands: list[str], capsys: Captured, tmp_path: Path
) -> None:
    assert main(["dev", *commands]) == 78
    out, err = capsys.readouterr()
    assert out == ""
    assert "vitess_host missing" in err
    assert not (tmp_path / "objects").exists()


def test_up_refuses_half_a_database_before_it_starts_anything(
    capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITESS_HOST", "db.example")
    assert main(["up", "--detach"]) == 78
    assert "vitess_database, vitess_user missing" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["up", "--detach"], ["import", "x.json"], ["dev", "create_buckets"]])
def test_a_state_folder_that_cannot_be_made_is_a_wrong_setting(
    command: list[str], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WBD_STATE_DIR", "/proc/nowhere")
    assert main(command) == 78
    assert "wbd_state_dir '/proc/nowhere' cannot be used" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["status", "down"])
def test_what_only_looks_takes_a_state_folder_that_cannot_be_for_one_where_nothing_runs(
    command: str, capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("WBD_STATE_DIR", str(tmp_path / "file"))
    assert main([command]) == (2 if command == "status" else 0)
    out, err = capsys.readouterr()
    assert "no supervisord answers" in err or "nothing runs" in out
