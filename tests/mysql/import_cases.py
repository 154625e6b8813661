"""What the import tests share: entities, a store in a folder, dumps of tables, and the laws of a store's state."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import Any

import orjson

from wbd.demo.entities import EntityGenerator
from wbd.engines.mysql import Database
from wbd.engines.objects import ObjectStore
from wbd.entity.check import check_entity
from wbd.revisions.revision import shard_of
from wbd.revisions.rows import TABLES, rows_of
from wbd.settings.kinds import DatabaseAddress

Json = dict[str, Any]
Dump = dict[str, list[tuple[Any, ...]]]

_COLUMNS = {
    "entity_head": "entity_id, head_revision_id, content_hash, shard, is_deleted, is_redirect",
    "entity_revisions": "entity_id, revision_id, parent_revision_id, operation, content_hash, snapshot_key,"
    " snapshot_bytes, sitelink_id, editor_id, edit_summary",
} | {table.name: ", ".join(("entity_id", *table.key, *table.values)) for table in TABLES}


def generated(entities: int, edits: int) -> list[Json]:
    """Revisions as Wikidata has them: creations, then edits spread over the entities."""
    return list(EntityGenerator(entities, edits).revisions())


def write_lines(path: Path, entities: Iterable[Json]) -> Path:
    """Write one entity a line."""
    path.write_text("".join(json.dumps(entity) + "\n" for entity in entities))
    return path


def dump(db: Database) -> Dump:
    """Every row that an import writes, but for times and the outbox's numbers; events as their fields."""
    tables = {
        table: sorted(db.query(f"SELECT {columns} FROM {table}"), key=repr) for table, columns in _COLUMNS.items()
    }
    tables["event_outbox"] = sorted(events(db))
    return tables


def events(db: Database) -> list[tuple[Any, ...]]:
    """The events that wait in the outbox, in its order: topic, key, entity, revision, operation."""
    rows = db.query("SELECT topic, event_key, payload FROM event_outbox ORDER BY id")
    parsed = [(topic, key, orjson.loads(bytes(payload))) for topic, key, payload in rows]
    return [(topic, key, e["entity_id"], e["revision_id"], e["operation"]) for topic, key, e in parsed]


def check_laws(db: Database, objects: ObjectStore) -> int:
    """
    Check that nothing is half-visible; return the number of heads.

    Every head has its revision, every revision its parent, its object and one event, in order; and the tables of
    rows hold exactly what the heads' snapshots say.
    """
    dumped = db.transaction(
        lambda tx: {table: tx.query(f"SELECT {columns} FROM {table}") for table, columns in _COLUMNS.items()}
    )
    revisions = {(row[0], row[1]): row for row in dumped["entity_revisions"]}
    snapshots = dict(
        zip(revisions, objects.get_many([row[5] for row in revisions.values()]), strict=True),
    )
    expected: dict[str, set[tuple[Any, ...]]] = {table.name: set() for table in TABLES}
    for entity_id, revision_id, content_hash, shard, _, is_redirect in dumped["entity_head"]:
        assert max(number for other, number in revisions if other == entity_id) == revision_id
        assert shard == shard_of(entity_id)
        snapshot = snapshots[entity_id, revision_id]
        assert snapshot is not None
        entity = check_entity(orjson.loads(snapshot))
        assert (entity.content_hash, entity.lastrevid) == (content_hash, revision_id)
        assert bool(is_redirect) == (entity.redirect is not None)
        for table, rows in rows_of(entity).tables.items():
            expected[table.name] |= {(entity_id, *key, *values) for key, values in rows.items()}
    for name, rows_expected in expected.items():
        assert set(dumped[name]) == rows_expected
    for (entity_id, _), row in revisions.items():
        assert row[2] is None or (entity_id, row[2]) in revisions
        assert len(snapshots[row[0], row[1]] or b"") == row[6]
    heads = {row[0] for row in dumped["entity_head"]}
    assert {entity_id for entity_id, _ in revisions} == heads
    published = [(entity, revision) for _, _, entity, revision, _ in events(db)]
    assert sorted(published) == sorted(revisions)
    for entity_id in heads:
        numbers = [revision for entity, revision in published if entity == entity_id]
        assert numbers == sorted(numbers)
    return len(heads)


def start_import(address: DatabaseAddress, folder: Path, *arguments: str, stdin: int = DEVNULL) -> Popen[bytes]:
    """Start ``wbd import`` on a database and the objects in *folder*/objects."""
    env = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")} | {
        "VITESS_UNIX_SOCKET": address.unix_socket or "",
        "VITESS_USER": address.user,
        "VITESS_DATABASE": address.database,
        "OBJECTS_URL": f"file://{folder / 'objects'}",
        "WBD_STATE_DIR": str(folder / "s"),
    }
    command = [sys.executable, "-m", "wbd", "import", *arguments]
    return Popen(command, stdin=stdin, stdout=PIPE, stderr=PIPE, env=env, cwd=Path(__file__).parents[2])
