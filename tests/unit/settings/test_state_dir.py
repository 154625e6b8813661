"""The state folder: one rule for its place, its length and its owner."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wbd.errors import ConfigError
from wbd.settings.load import load
from wbd.settings.state_dir import StateDir

TOO_LONG = "/" + "x" * 67


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose path is short enough for a state folder below it."""
    return tmp_path_factory.mktemp("s")


def test_the_same_length_is_refused_by_a_worker_and_by_the_group() -> None:
    message = re.escape(f"wbd_state_dir '{TOO_LONG}': 68 bytes; allowed: at most 67")
    with pytest.raises(ConfigError, match=message):
        load({"WBD_STATE_DIR": TOO_LONG})
    with pytest.raises(ConfigError, match=message):
        StateDir.at(Path(TOO_LONG))
    assert StateDir.at(Path(TOO_LONG[:-1])).root == load({"WBD_STATE_DIR": TOO_LONG[:-1]}).settings.state_dir


@pytest.mark.parametrize("name", ["a'b", 'a"b', "a%b", "a\\b", "a\nb", "a ;b", "a #b"])
def test_a_name_that_supervisord_cannot_read_is_refused_for_the_group_only(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be written to supervisord's configuration"):
        StateDir.at(tmp_path / name)
    assert load({"WBD_STATE_DIR": str(tmp_path / name)}).settings.state_dir == tmp_path / name


def test_the_default_follows_the_environment_that_is_read(tmp_path: Path) -> None:
    loaded = load({"XDG_STATE_HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "c")})
    assert loaded.settings.wbd_state_dir == tmp_path / "wbd"
    assert loaded.settings.wbd_cache_dir == tmp_path / "c" / "wbd"
    assert loaded.origins["wbd_state_dir"] == loaded.origins["wbd_cache_dir"] == "default"
    assert load({}).settings.wbd_state_dir == Path.home() / ".local/state/wbd"


def test_a_relative_folder_is_taken_from_the_working_directory_and_a_tilde_from_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load({"WBD_STATE_DIR": "state"}).settings.state_dir == tmp_path / "state"
    assert load({"WBD_STATE_DIR": "~/state"}).settings.state_dir == Path.home() / "state"
    with pytest.raises(ConfigError, match="wbd_state_dir '~nobody-of-this-name/x' not allowed; allowed: a path"):
        load({"WBD_STATE_DIR": "~nobody-of-this-name/x"})


def test_the_group_uses_the_folder_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert StateDir.at(tmp_path / "link").root == tmp_path / "real"
    assert load({"WBD_STATE_DIR": str(tmp_path / "link")}).settings.state_dir == tmp_path / "link"


def test_the_folders_are_made_for_the_owner_alone(tmp_path: Path) -> None:
    places = StateDir.at(tmp_path / "s")
    places.run.parent.mkdir(mode=0o700)
    places.run.mkdir(mode=0o755)
    places.create()
    places.create()
    assert [path.stat().st_mode & 0o777 for path in (places.root, places.run, places.log)] == [0o700] * 3


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = tmp_path.stat().st_uid
    monkeypatch.setattr("os.geteuid", lambda: owner + 1)
    with pytest.raises(ConfigError, match=f"belongs to uid {owner}, this process is uid {owner + 1}"):
        StateDir.at(tmp_path).create()
