"""The demonstration adds up, and takes itself down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from wbd.settings.load import environment_with


def demo(*words: str, **environment: str) -> tuple[int, dict[str, object], str]:
    done = subprocess.run(
        [sys.executable, "-m", "wbd", "demo", "--json", *words],
        env=environment_with(**environment),
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def test_the_demonstration_exits_0_when_everything_adds_up_and_leaves_nothing_behind() -> None:
    before = set(Path(tempfile.gettempdir()).glob("wbd-demo-*"))
    code, report, complaint = demo("--entities", "60", "--edits", "60")
    assert code == 0, complaint
    assert report["wrong"] == []
    assert (report["entities"], report["revisions"], report["diffs"]) == (60, 120, 120)
    assert report["id_duplicates"] == 0
    assert report["triples_now"] == report["triples_added"] - report["triples_removed"]  # type: ignore[operator]
    assert set(Path(tempfile.gettempdir()).glob("wbd-demo-*")) == before


def test_the_demonstration_gives_no_advice_about_a_group_that_is_gone() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wbd", "demo", "--entities", "5", "--edits", "5"],
        env=environment_with(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all ready after" in done.stdout
    assert "everything adds up" in done.stdout
    for command in ("wbd status", "wbd down"):
        assert command not in done.stdout


def test_the_demonstration_takes_a_real_dump() -> None:
    corpus = os.environ.get("WBD_CORPUS")
    if not corpus:
        pytest.skip("WBD_CORPUS is not set")
    code, report, complaint = demo("--dump", str(Path(corpus) / "dump" / "wikidata-50-lines.json.gz"))
    assert code == 0, complaint
    assert (report["entities"], report["revisions"], report["rejected"]) == (49, 49, 0)


def test_without_java_the_mock_cluster_stands_in_for_kafka(tmp_path: Path) -> None:
    for folder in os.get_exec_path():
        for program in Path(folder).glob("*") if Path(folder).is_dir() else []:
            if program.name not in {"java", "mvn"} and not os.path.lexists(tmp_path / program.name):
                (tmp_path / program.name).symlink_to(program)
    code, report, complaint = demo("--entities", "40", "--edits", "40", PATH=str(tmp_path))
    assert code == 0, complaint
    assert (report["wrong"], report["diffs"]) == ([], 80)


def test_a_dump_that_is_not_there_is_a_clear_error() -> None:
    code, _, complaint = demo("--dump", "no-such-file.json")
    assert code == 2
    assert "no-such-file.json: no such file" in complaint
