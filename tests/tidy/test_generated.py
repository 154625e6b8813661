"""The generated files against their sources, and the table of workers against the settings and the workers."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest

from scripts.generate import ROOT, differing, generated, with_block
from wbd.group.supervisord import promised_stop_s, worker_programs
from wbd.runtime.table import WORKERS, WorkerSpec
from wbd.settings.settings import Settings

FILES = sorted(generated())


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with copies of the generated files."""
    for path in FILES:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    return tmp_path


def test_the_committed_files_are_what_their_sources_give() -> None:
    assert differing(ROOT) == [], "run: make generate"


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("supervisord.conf", "stopwaitsecs=20", "stopwaitsecs=21"),
        ("docs/settings.md", "`0 2 * * *`", "`0 4 * * *`"),
        ("docs/workers.md", "15 s", "16 s"),
        ("docs/commands.md", "`--detach`", "`--detached`"),
        ("ARCHITECTURE.md", "commands\ndemo\n", "demo\ncommands\n"),
        ("README.md", "| `user_stats` |", "| `users_stats` |"),
    ],
)
def test_a_planted_drift_is_caught(copy: Path, path: str, old: str, new: str) -> None:
    assert differing(copy) == []
    text = (copy / path).read_text()
    assert old in text
    (copy / path).write_text(text.replace(old, new, 1))
    assert differing(copy) == [Path(path)]


def test_a_missing_file_is_caught(copy: Path) -> None:
    (copy / "docs/workers.md").unlink()
    assert differing(copy) == [Path("docs/workers.md")]


def test_only_the_block_of_the_readme_is_replaced(copy: Path) -> None:
    readme = copy / "README.md"
    readme.write_text("before\n<!-- workers: begin -->\nold\n<!-- workers: end -->\nafter\n")
    text = generated(copy)[Path("README.md")]
    assert text.startswith("before\n<!-- workers: begin -->\n| worker |")
    assert text.endswith("|\n<!-- workers: end -->\nafter\n")


@pytest.mark.parametrize("text", ["none", "<!-- workers: begin -->", "<!-- workers: begin --><!-- workers: begin -->"])
def test_a_readme_without_its_markers_is_refused(text: str) -> None:
    with pytest.raises(SystemExit, match="needed once each"):
        with_block(text, "table")


def test_supervisord_conf_tells_how_long_the_group_may_take_to_stop() -> None:
    assert f"{promised_stop_s(worker_programs())} seconds" in (ROOT / "supervisord.conf").read_text()


@pytest.mark.parametrize("spec", WORKERS, ids=lambda spec: spec.name)
def test_the_settings_that_a_worker_names_exist(spec: WorkerSpec) -> None:
    named = (spec.enabled_setting, spec.schedule_setting, spec.poll_setting, spec.processes_setting)
    assert {name for name in named if name is not None} <= set(Settings.model_fields)


@pytest.mark.parametrize("spec", WORKERS, ids=lambda spec: spec.name)
def test_the_docstring_of_a_worker_names_the_settings_that_time_it(spec: WorkerSpec) -> None:
    source = ROOT.joinpath(*spec.module.split(".")).with_suffix(".py").read_text()
    docstring = ast.get_docstring(ast.parse(source)) or ""
    (schedule,) = [line for line in docstring.splitlines() if line.startswith("Schedule:")]
    for name in (spec.schedule_setting, spec.poll_setting):
        assert name is None or name in schedule
