"""An entity goes in once, whatever the form of its file; bad lines are set aside and the others go in."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard

from tests.build.wikibase import by_property, datavalue, labelled_item, redirect, snak, statement
from tests.mysql.conftest import Connect
from tests.mysql.import_cases import Json, check_laws, dump, events, generated, start_import, write_lines
from wbd.engines.mysql import Database
from wbd.engines.objects import ObjectStore, open_store
from wbd.errors import ObjectStoreUnavailable
from wbd.importing.importer import ImportProgress, ImportReport, import_files
from wbd.revisions.store import RevisionStore
from wbd.settings.kinds import DatabaseAddress, ObjectsAddress


@dataclass(frozen=True)
class World:
    """A database, a bucket, and a folder for files."""

    db: Database
    objects: ObjectStore
    folder: Path

    @property
    def store(self) -> RevisionStore:
        return RevisionStore(self.db, self.objects)

    def load(self, *files: Any, **more: Any) -> ImportReport:
        return import_files(files, self.store, **more)

    def rejected(self, name: str) -> list[Json]:
        return [orjson.loads(line) for line in (self.folder / f"{name}.rejected.jsonl").read_bytes().splitlines()]


@pytest.fixture
def world(db: Database, tmp_path: Path) -> Iterator[World]:
    objects = open_store(ObjectsAddress(f"file://{tmp_path}/objects"), "revisions")
    yield World(db, objects, tmp_path)


def counts(report: ImportReport) -> tuple[int, int, int, int, int]:
    assert report.trouble == ()
    assert report.read == (report.created + report.updated + report.unchanged + report.stale + report.rejected)
    return (report.created, report.updated, report.unchanged, report.stale, report.rejected)


def corpus() -> Path:
    folder = os.environ.get("WBD_CORPUS")
    if not folder:
        pytest.skip("WBD_CORPUS is not set")
    return Path(folder)


def test_a_history_goes_in_whole_and_a_second_run_changes_nothing(world: World) -> None:
    history = generated(120, 180)
    path = write_lines(world.folder / "history.jsonl", history)
    report = world.load(path)
    entities = len({revision["id"] for revision in history})
    assert report.created == entities
    assert report.created + report.updated + report.unchanged == len(history)
    assert check_laws(world.db, world.objects) == entities
    before = dump(world.db)
    again = world.load(path)
    assert counts(again) == (0, 0, len(history), 0, 0)
    assert dump(world.db) == before


def test_every_form_of_a_file_gives_the_same_rows(world: World, connect: Connect) -> None:
    entities = generated(40, 0)
    lines = b"".join(orjson.dumps(entity) + b",\n" for entity in entities)
    packed = b"[\n" + lines[:-2] + b"\n]\n"
    forms = {
        "array.json": packed,
        "dump.gz": gzip.compress(packed),
        "dump.bz2": bz2.compress(packed),
        "dump.zst": zstandard.ZstdCompressor().compress(packed),
        "named-wrong.gz": packed,
        "data.json": json.dumps({"entities": {entity["id"]: entity for entity in entities}}, indent=1).encode(),
    }
    first, *others = forms
    (world.folder / first).write_bytes(forms[first])
    assert counts(world.load(world.folder / first)) == (40, 0, 0, 0, 0)
    before = dump(world.db)
    for name in others:
        (world.folder / name).write_bytes(forms[name])
        assert counts(world.load(world.folder / name)) == (0, 0, 40, 0, 0), name
    assert counts(world.load(io.BytesIO(packed))) == (0, 0, 40, 0, 0)
    assert dump(world.db) == before


def test_revisions_of_one_entity_keep_the_order_of_the_file(world: World) -> None:
    """Hundreds of revisions of two entities, interleaved, by eight writers."""
    revisions = [labelled_item(number, f"label {n}") for n in range(150) for number in (1, 2)]
    path = write_lines(world.folder / "edits.jsonl", revisions)
    assert counts(world.load(path, threads=8)) == (2, 298, 0, 0, 0)
    for key in ("Q1", "Q2"):
        assert [number for _, key_, _, number, _ in events(world.db) if key_ == key] == list(range(1, 151))
    assert {row[0] for row in world.db.query("SELECT value FROM terms")} == {"label 149"}


def test_two_files_of_one_entity_are_taken_in_their_order(world: World) -> None:
    first = write_lines(world.folder / "first.jsonl", [labelled_item(1, "a", lastrevid=5)])
    second = write_lines(world.folder / "second.jsonl", [labelled_item(1, "b", lastrevid=9)])
    assert counts(world.load(first, second)) == (1, 1, 0, 0, 0)
    assert counts(world.load(second, first)) == (0, 0, 2, 0, 0)


def test_a_changed_entity_makes_the_next_revision_each_time(world: World) -> None:
    path = world.folder / "Q1.json"
    for number, label in enumerate(["a", "b", "c"]):
        path.write_text(json.dumps(labelled_item(1, label, lastrevid=5), indent=2))
        assert counts(world.load(path)) == (int(number == 0), int(number > 0), 0, 0, 0)
    assert [number for _, _, _, number, _ in events(world.db)] == [5, 6, 7]


def test_bad_lines_are_set_aside_with_line_reason_and_place_and_the_rest_goes_in(world: World) -> None:
    good = [orjson.dumps(labelled_item(number)) for number in range(1, 6)]
    bad = {
        b'{"type":"item","id":"Q91",}': "broken JSON",
        b'{"type":"item","id":"Q92","labels":{"en":{"language":"en","value":"\xff"}}}': "not UTF-8",
        b'{"type":"item","labels":{}}': "entity without id",
        b'{"type":"item","id":93}': "is a number (93), expected text such as Q42",
        b'{"type":"item","id":["Q94"]}': "is a list",
        b'{"type":"property","id":"Q95"}': "but the id Q95 is of type item",
        b'{"type":"item","id":"Q96","claims":{"P1":[],"P1":[]}}': "given twice",
        b'{"type":"item","id":"Q97\x00"}': "broken JSON",
        b'{"type":"item","id":"Q98","claims":{"P1":[{"id":"Q98$a"}]}}': "statement without mainsnak",
        b'{"type":"item","id":"Q99","x":"' + b"y" * 3000 + b'"}': "over import_max_line_bytes 2048",
    }
    lines = [b"["]
    for number, line in enumerate(bad):
        lines += [line + b",", b"", good[number % 5] + b","]
    path = world.folder / "mixed.json"
    path.write_bytes(b"\n".join([*lines, b"]"]))
    report = world.load(path, max_line_bytes=2048)
    assert counts(report) == (5, 0, 5, 0, 10)
    rejected = world.rejected("mixed.json")
    assert [entry["line"] for entry in rejected] == [2 + 3 * number for number in range(10)]
    for entry, (line, reason) in zip(rejected, bad.items(), strict=True):
        assert reason in entry["reason"]
        assert set(entry) == {"line", "offset", "reason", "place", "entity_id", "text"}
        assert path.read_bytes()[entry["offset"] :].startswith(line)
        assert entry["text"] == line[:1001].decode(errors="replace")[:1000]
    assert rejected[8]["entity_id"] == "Q98"
    assert rejected[8]["place"] == "claims.P1[0].mainsnak"
    assert report.rejected_files == (f"{path}.rejected.jsonl",)
    mode = stat.S_IMODE(Path(report.rejected_files[0]).stat().st_mode)
    assert mode == 0o600
    assert check_laws(world.db, world.objects) == 5


def test_a_broken_snak_costs_only_itself_and_is_counted_with_its_place(world: World) -> None:
    no_unit = snak("P1", datavalue("quantity", {"amount": "+5"}))
    claims = by_property(*(statement(f"Q2${number}", no_unit) for number in range(7)))
    path = write_lines(world.folder / "broken.jsonl", [labelled_item(1), labelled_item(2, claims=claims)])
    report = world.load(path)
    assert counts(report) == (2, 0, 0, 0, 0)
    assert (report.broken_snaks, len(report.broken_examples)) == (7, 5)
    assert report.broken_examples[0] == (f"{path}: line 2: Q2: claims.P1[0].mainsnak.datavalue.value.unit: is missing")
    assert check_laws(world.db, world.objects) == 2


def test_a_rejected_line_that_was_put_right_goes_in_at_the_next_run(world: World) -> None:
    path = write_lines(world.folder / "one.jsonl", [labelled_item(1), {"type": "item"}])
    assert counts(world.load(path)) == (1, 0, 0, 0, 1)
    write_lines(path, [labelled_item(1), labelled_item(2)])
    assert counts(world.load(path)) == (1, 0, 1, 0, 0)
    assert not (world.folder / "one.jsonl.rejected.jsonl").exists()


def test_what_the_database_refuses_is_set_aside_like_a_bad_line(world: World) -> None:
    world.db.execute(
        "INSERT INTO entity_revisions (entity_id, revision_id, operation, content_hash, snapshot_key, snapshot_bytes)"
        " VALUES ('Q2', 1, 'create', '', '', 0)"
    )
    path = write_lines(world.folder / "three.jsonl", [labelled_item(1), labelled_item(2), labelled_item(3)])
    assert counts(world.load(path)) == (2, 0, 0, 0, 1)
    (entry,) = world.rejected("three.jsonl")
    assert (entry["line"], entry["entity_id"]) == (2, "Q2")
    assert "Duplicate entry" in entry["reason"]


def test_rejected_lines_go_to_a_folder_when_one_is_named_each_input_to_its_own_file(world: World) -> None:
    for name in ("a", "b", "rejects"):
        (world.folder / name).mkdir()
    files = [write_lines(world.folder / name / "x.jsonl", [{"type": "item"}]) for name in ("a", "b")]
    report = world.load(*files, rejects_folder=world.folder / "rejects")
    assert report.rejected == 2
    names = sorted(path.name for path in (world.folder / "rejects").iterdir())
    assert names == ["x.jsonl.rejected.2.jsonl", "x.jsonl.rejected.jsonl"]
    assert sorted(report.rejected_files) == [str(world.folder / "rejects" / name) for name in names]


def test_an_import_that_cannot_set_rejected_lines_aside_stops_and_says_so(world: World) -> None:
    """A link in the place of the file could lead anywhere, so it is not followed."""
    path = write_lines(world.folder / "x.jsonl", [{"type": "item"}, *[labelled_item(n) for n in range(1, 50)]])
    target = world.folder / "precious"
    target.write_text("keep")
    (world.folder / "x.jsonl.rejected.jsonl").symlink_to(target)
    report = world.load(path)
    assert "cannot set rejected lines aside" in report.trouble[0]
    assert "--rejects" in report.trouble[0]
    assert target.read_text() == "keep"


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, zstandard.ZstdCompressor().compress])
def test_of_a_truncated_file_what_came_before_goes_in_and_the_whole_file_completes_it(world: World, pack: Any) -> None:
    entities = generated(300, 0)
    packed = pack(b"".join(orjson.dumps(entity) + b"\n" for entity in entities))
    path = world.folder / "dump"
    path.write_bytes(packed[: len(packed) * 4 // 5])
    report = world.load(path)
    assert report.rejected == 1
    assert 0 < report.created < 300 or pack is bz2.compress
    (entry,) = world.rejected("dump")
    assert "truncated" in entry["reason"] and "of the compressed file" in entry["reason"]
    assert check_laws(world.db, world.objects) == report.created
    path.write_bytes(packed)
    second = world.load(path)
    assert counts(second) == (300 - report.created, 0, report.created, 0, 0)


def test_a_file_that_is_not_there_is_trouble_and_the_others_go_in(world: World) -> None:
    path = write_lines(world.folder / "one.jsonl", [labelled_item(1)])
    report = world.load(world.folder / "missing.json", world.folder, path)
    assert report.created == 1
    assert [str(world.folder / "missing.json") in report.trouble[0], "folder" in report.trouble[1]] == [True, True]


def test_redirects_come_and_go(world: World) -> None:
    moved = world.folder / "redirect.json"
    moved.write_text(json.dumps(redirect("Q2", "Q1")))
    path = write_lines(world.folder / "items.jsonl", [labelled_item(1), labelled_item(2)])
    assert counts(world.load(path, moved)) == (2, 1, 0, 0, 0)
    assert world.db.query("SELECT entity_id, redirects_to FROM entity_redirects") == [("Q2", "Q1")]
    asked = {"entities": {"Q2": {**labelled_item(1), "redirects": {"from": "Q2", "to": "Q1"}}}}
    moved.write_text(json.dumps(asked))
    assert counts(world.load(moved)) == (0, 0, 2, 0, 0)
    check_laws(world.db, world.objects)


def test_progress_tells_bytes_and_counts_and_ends_with_all(world: World) -> None:
    path = write_lines(world.folder / "many.jsonl", [*generated(200, 0), {"type": "item"}])
    seen: list[ImportProgress] = []
    world.load(path, on_progress=seen.append)
    last = seen[-1]
    assert (last.done, last.rejected, last.waiting) == (200, 1, None)
    assert last.bytes_read == last.bytes_total == path.stat().st_size
    assert [now.bytes_read for now in seen] == sorted(now.bytes_read for now in seen)


def test_an_import_that_is_asked_to_stop_leaves_whole_entities_and_a_second_run_completes_it(world: World) -> None:
    history = generated(400, 100)
    path = write_lines(world.folder / "history.jsonl", history)
    stop = threading.Event()

    def stop_soon(now: ImportProgress) -> None:
        if now.done:
            stop.set()

    report = world.load(path, stop=stop, on_progress=stop_soon)
    assert report.interrupted
    assert 0 < report.read < len(history)
    assert check_laws(world.db, world.objects) == report.created
    world.load(path)
    assert check_laws(world.db, world.objects) == len({revision["id"] for revision in history})


def test_two_importers_of_one_file_at_once_give_what_one_gives(
    world: World, address: DatabaseAddress, connect: Connect
) -> None:
    """Real processes that race for every entity."""
    history = generated(300, 300)
    path = write_lines(world.folder / "history.jsonl", history)
    processes = [
        start_import(address, world.folder, "--json", "--rejects", str(folder), str(path))
        for folder in (world.folder, world.folder / "objects")
    ]
    reports = []
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err.decode()
        reports.append(orjson.loads(out))
    assert sum(report["created"] for report in reports) == len({revision["id"] for revision in history})
    assert all(report["rejected"] == 0 for report in reports)
    check_laws(world.db, world.objects)
    heads: dict[str, int] = dict(world.db.query("SELECT entity_id, head_revision_id FROM entity_head"))
    assert heads == {revision["id"]: revision["lastrevid"] for revision in history}


def test_the_real_dump_goes_in_and_a_second_run_changes_nothing(world: World) -> None:
    path = corpus() / "dump" / "wikidata-50-lines.json.gz"
    assert counts(world.load(path, rejects_folder=world.folder)) == (49, 0, 0, 0, 0)
    assert check_laws(world.db, world.objects) == 49
    before = dump(world.db)
    assert counts(world.load(path, rejects_folder=world.folder)) == (0, 0, 49, 0, 0)
    assert dump(world.db) == before


def test_two_real_revisions_of_one_item_are_two_revisions_that_differ_in_one_label(world: World) -> None:
    folder = corpus() / "wikidata" / "revisions"
    for name, expected in (("Q1_110652822", (1, 0, 0, 0, 0)), ("Q1_110652868", (0, 1, 0, 0, 0))):
        before = set(dump(world.db)["terms"])
        assert counts(world.load(folder / f"{name}.json", rejects_folder=world.folder)) == expected
        changed = before ^ set(dump(world.db)["terms"])
    assert {row[4] for row in changed} == {"universe", "el mundo de teeabithia"}
    assert [event[3:] for event in events(world.db)] == [(110652822, "create"), (110652868, "update")]
    assert world.db.query("SELECT parent_revision_id FROM entity_revisions ORDER BY revision_id") == [
        (None,),
        (110652822,),
    ]
    check_laws(world.db, world.objects)


def test_the_other_real_entities_go_in(world: World) -> None:
    files = sorted((corpus() / "wikidata" / "json").glob("*.json"))
    assert counts(world.load(*files, rejects_folder=world.folder)) == (len(files), 0, 0, 0, 0)
    assert check_laws(world.db, world.objects) == len(files)


def test_an_error_that_nobody_expects_ends_the_import_though_other_writers_wait_for_a_server(world: World) -> None:
    class Broken(ObjectStore):
        """A bucket that is away, and for one entity breaks in a way that no code foresees."""

        def put_many(self, items: Any) -> None:
            if any(key.startswith("Q7/") for key, _ in items):
                raise ZeroDivisionError("unforeseen")
            raise ObjectStoreUnavailable("away")

    path = write_lines(world.folder / "x.jsonl", [labelled_item(number) for number in range(1, 40)])
    broken = RevisionStore(world.db, Broken(world.objects._store, "revisions"))
    with pytest.raises(ZeroDivisionError, match="unforeseen"):
        import_files([path], broken)
