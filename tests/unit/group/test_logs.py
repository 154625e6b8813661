"""Logs of programs: their last lines, and new lines as they come."""

from __future__ import annotations

import threading
from pathlib import Path

from wbd.group.logs import follow, last_lines, tail


def test_a_followed_log_goes_on_across_rotation(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("one\ntwo\nthree\n")
    lines = follow(log, lines=2, interval_s=0.01)
    assert [next(lines), next(lines)] == ["two", "three"]
    followed: list[str] = []
    enough = threading.Event()

    def collect() -> None:
        for line in lines:
            followed.append(line)
            if line == "seven":
                enough.set()
                return

    reader = threading.Thread(target=collect, daemon=True)
    reader.start()
    with log.open("a") as file:
        file.write("four\nfi")
        file.flush()
        file.write("ve\n")
    log.rename(tmp_path / "x.log.1")
    log.write_text("six\nseven\n")
    assert enough.wait(10)
    reader.join(10)
    assert followed == ["four", "five", "six", "seven"]


def test_the_last_lines_are_those_of_this_run(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("earlier\n")
    since = log.stat().st_size
    assert last_lines(log, since) == f"{log} holds nothing of this run"
    with log.open("a") as file:
        file.write("one\ntwo\n")
    assert last_lines(log, since).splitlines() == [f"last lines of {log}:", "    one", "    two"]
    log.write_text("x\n")
    assert last_lines(log, since).splitlines()[1:] == ["    x"], "a smaller file was rotated since"
    assert last_lines(tmp_path / "none.log") == f"{tmp_path / 'none.log'} holds nothing"


def test_a_tail_has_as_many_lines_as_asked_for(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("one\ntwo\nthree\n")
    assert tail(log, 2) == ["two", "three"]
    assert tail(log, 9) == ["one", "two", "three"]
    assert tail(log, 0) == []
    assert tail(tmp_path / "none.log", 2) == []
