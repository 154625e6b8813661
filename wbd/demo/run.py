"""Run the demonstration in a group: import entities, take ids meanwhile, follow the diffs, compare the results.

Reads:   a dump, or the entities that entities.py generates
Writes:  a state folder of its own, which is removed at the end
Repeats: harmless
"""

from __future__ import annotations

import gzip
import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from wbd.demo.entities import EntityGenerator
from wbd.demo.replay import Replay, lag_percentiles_s
from wbd.demo.takers import Taken, Takers
from wbd.engines.mysql import Database
from wbd.settings.settings import Settings
from wbd.wiki import Wiki

TAKERS = 4
# Long enough for a broker that starts on a slow machine; the diffs of a batch take well below a second.
_STALLED_S = 60.0


@dataclass(slots=True)
class DemoReport:
    """The figures of one run, and the contradictions among them (empty when the run is correct)."""

    entities: int = 0
    revisions: int = 0
    import_seconds: float = 0.0
    ids_taken: int = 0
    id_duplicates: int = 0
    ids_per_s: float = 0.0
    diffs: int = 0
    repeated_events: int = 0
    triples_added: int = 0
    triples_removed: int = 0
    triples_now: int | None = None
    lag_p50_s: float = 0.0
    lag_p99_s: float = 0.0
    rejected: int = 0
    wrong: list[str] = field(default_factory=list)


def make_dump(folder: Path, entities: int, edits: int, seed: int) -> Path:
    """Write generated revisions as a gzipped dump, an array with one revision per line, and return its path."""
    path = folder / "generated.json.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"[\n")
        for number, entity in enumerate(EntityGenerator(entities, edits, seed).revisions()):
            file.write((b",\n" if number else b"") + orjson.dumps(entity))
        file.write(b"\n]\n")
    return path


def state_folder() -> Path:
    """Make a new state folder whose path is short enough for Unix sockets."""
    return Path(tempfile.mkdtemp(prefix="wbd-demo-"))


def free_port() -> int:
    """Return a TCP port that nothing listens on, so that a group that runs already is not disturbed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(
    settings: Settings, dump: Path, import_dump: Callable[[Path], dict[str, Any]], echo: Callable[[str], None]
) -> DemoReport:
    """
    Import *dump* into the running group of *settings* while takers take ids, and follow the diffs to the last one.

    Args:
        import_dump: imports a file and returns the counts of its report.
    """
    report = DemoReport()
    wiki = Wiki(settings, connections=2)
    db = wiki.database
    replay = Replay(settings.brokers(), settings.kafka_entity_diff_topic)
    takers = Takers(_taker_folder(settings), settings.ids_socket_path, TAKERS)
    try:
        echo(f"{TAKERS} processes take ids; importing {dump.name}")
        begun_mono_s = time.monotonic()
        counts = import_dump(dump)
        report.import_seconds = time.monotonic() - begun_mono_s
        report.rejected = int(counts["rejected"])
        expected = set(db.query("SELECT entity_id, revision_id FROM entity_revisions"))
        report.revisions = len(expected)
        report.entities = int(db.query("SELECT COUNT(*) FROM entity_head")[0][0])
        echo(f"imported; waiting for the diffs of {report.revisions} revisions")
        missing = replay.wait_for(expected, _STALLED_S)
        _record_ids(report, takers.stop())
        replay.stop()
        _record_diffs(report, replay, missing)
        context = wiki.mapping(settings.entity_diff_flavour)
        for entity_id in replay.differing(db, wiki.snapshots, context):
            report.wrong.append(f"{entity_id}: the triples after all events are not those of its head")
        _check_outbox(report, db)
    finally:
        takers.kill()
        replay.stop()
        wiki.close()
    return report


def remove(folder: Path) -> None:
    """Remove the demonstration's state folder."""
    shutil.rmtree(folder, ignore_errors=True)


def _taker_folder(settings: Settings) -> Path:
    folder = settings.state_dir / "demo"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _record_ids(report: DemoReport, taken: Taken) -> None:
    report.ids_taken, report.id_duplicates, report.ids_per_s = taken.ids, taken.duplicates, taken.per_s
    report.wrong += [f"id taker: {error}" for error in taken.errors]
    if taken.duplicates:
        report.wrong.append(f"{taken.duplicates} ids were given twice")
    if not taken.ids:
        report.wrong.append("no ids were taken")


def _record_diffs(report: DemoReport, replay: Replay, missing: set[tuple[str, int]]) -> None:
    result = replay.result
    report.diffs, report.repeated_events = len(result.seen), result.repeats
    report.triples_added, report.triples_removed = result.added, result.removed
    if result.lags_s:
        report.lag_p50_s, report.lag_p99_s = lag_percentiles_s(result.lags_s)
    if replay.trouble:
        report.wrong.append(f"diff topic: {replay.trouble}")
    if result.malformed:
        report.wrong.append(f"{len(result.malformed)} messages are not events, first {result.malformed[0]}")
    if missing:
        some = ", ".join(f"{entity} r{revision}" for entity, revision in sorted(missing)[:5])
        report.wrong.append(f"{len(missing)} revisions did not come through, among them {some}")
    if result.out_of_order:
        report.wrong.append(f"{len(result.out_of_order)} events out of order, first {result.out_of_order[0]}")
    report.triples_now = replay.triples
    net = report.triples_added - report.triples_removed
    if report.triples_now is not None and net != report.triples_now:
        report.wrong.append(f"triples: added less removed is {net}, but a consumer holds {report.triples_now}")


def _check_outbox(report: DemoReport, db: Database) -> None:
    """Wait until another worker has published the change events of the outbox."""
    deadline_mono_s = time.monotonic() + _STALLED_S
    while (left := int(db.query("SELECT COUNT(*) FROM event_outbox")[0][0])) and time.monotonic() < deadline_mono_s:
        time.sleep(0.1)
    if left:
        report.wrong.append(f"{left} change events were not published")
