"""How many revisions a second go in by one import, and how many diffs one worker process publishes, on real engines?

MariaDB on a Unix socket, objects in files, Apache Kafka with acks=all; everything on one machine. The import runs
first, alone; then one diff worker, alone, from an empty state to the last revision. Checked before a figure counts:
every revision has one event.

    python -m bench.pipeline [--entities 2000] [--edits 2000] [--runs 3]

bench.diff measures the same, beside its own figures.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson

from bench.machine import RESULTS, facts, spread
from wbd.demo.run import make_dump
from wbd.engines.kafka import end_offsets
from wbd.engines.mysql import Database
from wbd.engines.objects import open_store
from wbd.importing.importer import import_files
from wbd.provision import servers
from wbd.revisions.store import RevisionStore
from wbd.runtime import logs
from wbd.runtime.worker import Run
from wbd.settings.load import load
from wbd.settings.settings import Settings
from wbd.stack.kafka import KafkaBroker
from wbd.stack.mariadb import MariaDB
from wbd.workers.entity_diff import build


def one_run(folder: Path, dump: Path, number: int, engines: dict[str, str]) -> tuple[float, float, int]:
    """Return revisions a second imported, revisions a second published, and revisions."""
    names = {"KAFKA_ENTITY_DIFF_TOPIC": f"diff-{number}", "KAFKA_TOPIC": f"change-{number}"}
    env = {**engines, "WBD_STATE_DIR": str(folder / f"run-{number}"), "VITESS_DATABASE": f"bench{number}", **names}
    settings = load(env).settings
    for command in (servers.create_buckets, servers.create_tables, servers.create_topics):
        for _ in command(settings):
            pass
    db = Database(settings.database_address(), max_connections=8)
    objects = open_store(settings.objects_address(), settings.s3_revisions_bucket)
    begun = time.perf_counter()
    report = import_files([dump], RevisionStore(db, objects), threads=settings.import_threads)
    import_s = time.perf_counter() - begun
    revisions = report.created + report.updated
    publish_s = publish_all(settings, revisions)
    published = sum(end_offsets(settings.brokers(), settings.kafka_entity_diff_topic).values())
    assert published == revisions, f"{published} events for {revisions} revisions"
    db.close()
    return revisions / import_s, revisions / publish_s, revisions


def publish_all(settings: Settings, revisions: int) -> float:
    """Run one diff worker until it has published every revision; return the seconds of its steps."""
    worker = build(settings)
    run = Run("entity_diff", "bench", logs.get_log("bench"))
    worker.start(run)
    begun = time.perf_counter()
    while worker.health()["diffs_computed"] < revisions:
        worker.step(run)
    took_s = time.perf_counter() - begun
    worker.stop()
    return took_s


def why_missing() -> str | None:
    """Return which engine is not there and why, None if all are."""
    return MariaDB.why_missing() or KafkaBroker.why_missing(load(with_stack=False).settings.wbd_cache_dir)


def measure(entities: int, edits: int, runs: int) -> dict[str, Any]:
    """Start the engines, import and publish *runs* times, end the engines."""
    machine = facts()
    imported, published = [], []
    revisions = 0
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="wbd-b-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        engines: dict[str, str] = {}
        for engine in (MariaDB(folder), KafkaBroker(folder, load(with_stack=False).settings.wbd_cache_dir)):
            stack.callback(engine.stop)
            engines.update((name.upper(), value) for name, value in engine.start().items())
        dump = make_dump(folder, entities, edits, seed=1)
        admin = Database(load({**engines, "WBD_STATE_DIR": str(folder)}).settings.database_address())
        stack.callback(admin.close)
        for number in range(runs):
            admin.execute(f"CREATE DATABASE bench{number} CHARACTER SET utf8mb4")
            import_per_s, publish_per_s, revisions = one_run(folder, dump, number, engines)
            imported.append(import_per_s)
            published.append(publish_per_s)
            text = f"pipeline, run {number + 1}: imported {import_per_s:,.0f}/s, diffs {publish_per_s:,.0f}/s"
            print(text, file=sys.stderr, flush=True)
    return {
        "question": "revisions/s imported, and diffs/s published, one process each",
        "revisions": revisions,
        "imported_per_s": spread(imported),
        "diffs_per_s": spread(published),
        "machine": machine,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entities", type=int, default=2000)
    parser.add_argument("--edits", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    logs.configure("WARNING", "structured")
    result = measure(args.entities, args.edits, args.runs)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "pipeline.json").write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2) + b"\n")
    imported, published = result["imported_per_s"]["median"], result["diffs_per_s"]["median"]
    print(f"median: imported {imported:,.0f}/s, diffs {published:,.0f}/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
