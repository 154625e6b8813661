"""What `wbd import` tells whoever runs it."""

from __future__ import annotations

import gzip
from pathlib import Path

import orjson
import pytest

from tests.build.wikibase import by_property, datavalue, item, labelled_item, snak, statement
from tests.mysql.import_cases import generated, start_import, write_lines
from wbd.engines.mysql import Database
from wbd.settings.kinds import DatabaseAddress


def run(address: DatabaseAddress, folder: Path, *arguments: str) -> tuple[int | None, str, str]:
    process = start_import(address, folder, "--quiet", *arguments)
    out, err = process.communicate(timeout=60)
    return process.returncode, out.decode(), err.decode()


def test_a_missing_file_is_an_error_and_no_table(db: Database, address: DatabaseAddress, tmp_path: Path) -> None:
    missing = tmp_path / "missing.json"
    code, out, err = run(address, tmp_path, str(missing))
    assert (code, out) == (2, "")
    assert err == f"wbd import: {missing}: not readable: No such file or directory\n"


def test_a_missing_file_beside_another_does_not_hide_what_went_in(
    db: Database, address: DatabaseAddress, tmp_path: Path
) -> None:
    path = write_lines(tmp_path / "one.jsonl", [labelled_item(1)])
    code, out, err = run(address, tmp_path, str(tmp_path / "missing.json"), str(path))
    assert code == 2
    assert out.startswith("READ")
    assert "missing.json: not readable" in err


@pytest.mark.parametrize("content", [b"", b"[\n]\n", gzip.compress(b"", mtime=0)], ids=["empty", "array", "gzip"])
def test_an_import_of_nothing_warns(db: Database, address: DatabaseAddress, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "nothing.json"
    path.write_bytes(content)
    code, _, err = run(address, tmp_path, str(path))
    assert code == 0
    assert err == f"wbd import: warning: no entity in {path}\n"


def test_an_empty_file_among_others_is_named(db: Database, address: DatabaseAddress, tmp_path: Path) -> None:
    empty = tmp_path / "empty.json"
    empty.touch()
    path = write_lines(tmp_path / "one.jsonl", [labelled_item(1)])
    code, _, err = run(address, tmp_path, str(path), str(empty))
    assert (code, err) == (0, f"wbd import: warning: no entity in {empty}\n")


def test_the_summary_says_that_an_input_ended_early(db: Database, address: DatabaseAddress, tmp_path: Path) -> None:
    packed = gzip.compress(b"".join(orjson.dumps(entity) + b"\n" for entity in generated(100, 0)))
    path = tmp_path / "dump.gz"
    path.write_bytes(packed[: len(packed) * 4 // 5])
    code, out, err = run(address, tmp_path, str(path))
    assert code == 1
    assert f"rejected lines, with reasons: {path}.rejected.jsonl" in out
    assert err.startswith(f"wbd import: {path}: not read to its end: around byte ")
    assert "gzip data ends too early (truncated)" in err
    cut = orjson.loads(run(address, tmp_path, "--json", str(path))[1])["cut_short"]
    assert [(one["file"], "gzip data ends too early" in one["reason"]) for one in cut] == [(str(path), True)]
    path.write_bytes(packed)
    assert run(address, tmp_path, str(path))[2] == ""


def test_a_broken_snak_is_counted_and_does_not_cost_its_entity(
    db: Database, address: DatabaseAddress, tmp_path: Path
) -> None:
    claims = by_property(statement("Q1$1", snak("P1", datavalue("time", {"time": "no time"}))))
    path = write_lines(tmp_path / "dump.jsonl", [labelled_item(1, claims=claims), labelled_item(2)])
    code, out, err = run(address, tmp_path, "--json", str(path))
    report = orjson.loads(out)
    assert (code, err, report["broken_snaks"], report["created"], report["rejected"]) == (0, "", 1, 2, 0)
    code, out, err = run(address, tmp_path, str(path))
    assert "1 broken snaks, stored and mapped without their values; the first:\n" in out


def test_the_words_of_an_entity_are_not_taken_for_damage(
    db: Database, address: DatabaseAddress, tmp_path: Path
) -> None:
    path = write_lines(tmp_path / "dump.jsonl", [item("of the compressed file"), labelled_item(1)])
    code, out, err = run(address, tmp_path, "--json", str(path))
    report = orjson.loads(out)
    assert (code, err, report["rejected"], report["cut_short"]) == (1, "", 1, [])
