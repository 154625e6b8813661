"""`wbd entity` by hand: what it prints, and its exit codes, on a real database and real entities."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from tests.build.wikibase import labelled_item, redirect
from tests.mysql.import_cases import dump, events
from wbd.cli import main
from wbd.engines.mysql import Database
from wbd.settings.kinds import DatabaseAddress

Run = Callable[..., "Ran"]

# Read once, because the fixture below clears the environment.
CORPUS = os.environ.get("WBD_CORPUS")


@dataclass(frozen=True)
class Ran:
    """What one command gave."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(
    db: Database,
    address: DatabaseAddress,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Run ``wbd entity ...`` on the test's database, with objects in a folder."""
    for name in set(os.environ) - {"PATH", "HOME", "LANG", "TMPDIR"}:
        monkeypatch.delenv(name)
    monkeypatch.setenv("VITESS_UNIX_SOCKET", address.unix_socket or "")
    monkeypatch.setenv("VITESS_USER", address.user)
    monkeypatch.setenv("VITESS_DATABASE", address.database)
    monkeypatch.setenv("WBD_STATE_DIR", str(tmp_path / "s"))
    monkeypatch.setenv("OBJECTS_URL", f"file://{tmp_path / 'objects'}")

    def run(*arguments: str, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main(["entity", *arguments])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "entity.json"
    path.write_text(json.dumps(labelled_item(1, "one")))
    return path


def test_put_get_and_history_of_one_item(run: Run, file: Path) -> None:
    assert run("put", str(file), "--user", "5", "--summary", "[new]") == Ran(0, "Q1 created: r1\n", "")
    file.write_text(json.dumps(labelled_item(1, "uno")))
    assert run("put", str(file), "--base", "1") == Ran(0, "Q1 updated: r2, replaces r1\n", "")
    assert run("put", str(file)) == Ran(0, "Q1 unchanged: r2\n", "")
    got = orjson.loads(run("get", "Q1").out)
    assert (got["labels"]["en"]["value"], got["lastrevid"]) == ("uno", 2)
    assert orjson.loads(run("get", "Q1", "--revision", "1").out)["labels"]["en"]["value"] == "one"
    rows = [line.split() for line in run("history", "Q1").out.splitlines()]
    assert rows[0] == ["REVISION", "PARENT", "OPERATION", "USER", "BYTES", "RECORDED", "SUMMARY"]
    assert [row[:3] for row in rows[1:]] == [["2", "1", "update"], ["1", "create", "5"]]
    assert rows[2][-1] == "[new]"
    (older,) = orjson.loads(run("history", "Q1", "--before", "2", "--json").out)
    assert (older["revision_id"], older["editor_id"], older["edit_summary"]) == (1, 5, "[new]")
    assert older["created_at"].endswith("Z")


def test_what_get_prints_can_be_put_again(run: Run, file: Path) -> None:
    run("put", str(file))
    printed = run("get", "Q1").out.encode()
    assert run("put", "-", stdin=printed).out == "Q1 unchanged: r1\n"
    edited = printed.replace(b'"one"', b'"other"')
    assert run("put", "-", "--json", stdin=edited).out == (
        '{\n  "entity_id": "Q1",\n  "outcome": "updated",\n  "revision_id": 2,\n  "parent_revision_id": 1\n}\n'
    )


def test_a_conflict_is_refused_with_1(run: Run, file: Path, db: Database) -> None:
    run("put", str(file))
    file.write_text(json.dumps(labelled_item(1, "b")))
    run("put", str(file))
    before = dump(db)
    message = "wbd entity: Q1: edit of r1, but the head is r2; read the entity again\n"
    file.write_text(json.dumps(labelled_item(1, "c")))
    assert run("put", str(file), "--base", "1") == Ran(1, "", message)
    assert run("delete", "Q1", "--base", "1") == Ran(1, "", message)
    assert dump(db) == before


def test_an_entity_that_is_not_there_is_refused_with_1(run: Run, file: Path) -> None:
    assert run("get", "Q9") == Ran(1, "", "wbd entity: Q9: no such entity\n")
    assert run("history", "Q9") == Ran(1, "", "wbd entity: Q9: no such entity\n")
    assert run("delete", "Q9") == Ran(1, "", "wbd entity: Q9: no such entity\n")
    run("put", str(file))
    assert run("get", "Q1", "--revision", "2") == Ran(1, "", "wbd entity: Q1: no such revision: r2\n")
    assert run("redirect", "Q1", "Q9").code == 1


def test_a_deleted_entity_is_refused_until_it_is_put_again(run: Run, file: Path) -> None:
    run("put", str(file))
    assert run("delete", "Q1", "--summary", "spam").out == "Q1 updated: r2, replaces r1\n"
    assert run("delete", "Q1").out == "Q1 unchanged: r2\n"
    assert run("get", "Q1") == Ran(1, "", "wbd entity: Q1: deleted in r2\n")
    assert run("get", "Q1", "--revision", "1").code == 0
    assert run("put", str(file)).out == "Q1 updated: r3, replaces r2\n"
    assert run("get", "Q1").code == 0


def test_a_redirect_leads_to_an_entity_and_not_to_another_redirect(run: Run, tmp_path: Path, db: Database) -> None:
    for number in (1, 2, 3):
        path = tmp_path / f"Q{number}.json"
        path.write_text(json.dumps(labelled_item(number)))
        run("put", str(path))
    assert run("redirect", "Q2", "Q1").out == "Q2 updated: r2, replaces r1\n"
    assert orjson.loads(run("get", "Q2").out)["redirect"] == "Q1"
    refused = "wbd entity: Q2 is a redirect itself; redirect to its target instead\n"
    assert run("redirect", "Q3", "Q2") == Ran(1, "", refused)
    path.write_text(json.dumps(redirect("Q3", "Q2")))
    assert run("put", str(path)) == Ran(1, "", refused)
    assert [event[2:] for event in events(db)][-1] == ("Q2", 2, "update")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"type":"item",}', "{file}: line 1: column 15: broken JSON: trailing comma"),
        (b"", "{file}: holds no entity"),
        (
            json.dumps([labelled_item(1), labelled_item(2)]).encode(),
            "{file}: holds more than one entity; wbd import takes such files",
        ),
        (
            b'{"type":"item","id":"Q1","labels":{"en":{"language":"en","value":5}}}',
            "{file}: line 1: labels.en.value: is a number, expected text",
        ),
        (b'{"type":"item","id":"Q1","id":"Q2"}', "{file}: line 1: id: the key 'id' is given twice"),
    ],
)
def test_a_bad_file_is_named_with_the_place_of_the_fault(run: Run, file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)
    ran = run("put", str(file))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"wbd: {message.format(file=file)}"), ran.err
    if content:
        assert run("put", "-", stdin=content).err.startswith(f"wbd: {message.format(file='standard input')}")


def test_bad_ids_files_and_settings_have_exit_codes_of_their_own(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("get", "x42").code == 2
    missing = run("put", str(tmp_path / "missing.json"))
    assert (missing.code, "not readable" in missing.err) == (2, True)
    monkeypatch.setenv("VITESS_PORT", "no number")
    assert run("get", "Q1").code == 78
    monkeypatch.delenv("VITESS_PORT")
    monkeypatch.setenv("VITESS_UNIX_SOCKET", str(tmp_path / "nobody.sock"))
    away = run("get", "Q1")
    assert (away.code, away.err.startswith("wbd: database ")) == (2, True)


def test_an_item_of_wikidata_goes_in_by_its_entity_data_and_comes_out_whole(run: Run) -> None:
    if not CORPUS:
        pytest.skip("WBD_CORPUS is not set")
    path = next(Path(CORPUS).rglob("Q42*.json"))
    given = orjson.loads(path.read_bytes())
    entity = next(iter(given["entities"].values())) if "entities" in given else given
    assert run("put", str(path)).out == "Q42 created: r1\n"
    got = orjson.loads(run("get", "Q42").out)
    own = {"lastrevid", "modified"}
    assert {k: v for k, v in got.items() if k not in own} == {k: v for k, v in entity.items() if k not in own}
    assert run("put", str(path)).out == "Q42 unchanged: r1\n"
