"""A wiki for each test: a database of its own, objects in a folder, topics of its own on a real broker."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.build.clock import SetClock
from tests.build.tables import make_tables
from tests.build.topics import read_topic
from wbd.engines.kafka import EventProducer, Topics, end_offsets
from wbd.engines.mysql import Database
from wbd.engines.objects import ObjectStore, open_store
from wbd.entity.check import check_entity
from wbd.events.entity_diff import EntityDiff
from wbd.revisions import Revisions, RevisionStore, WriteResult
from wbd.runtime import logs
from wbd.runtime.clock import Clock
from wbd.runtime.worker import Run
from wbd.settings.kinds import DatabaseAddress
from wbd.settings.load import load
from wbd.settings.settings import Settings
from wbd.stack.kafka import KafkaBroker
from wbd.stack.mariadb import MariaDB
from wbd.wiki import Wiki as OpenWiki
from wbd.workers.entity_change import EntityChangeWorker
from wbd.workers.entity_diff import EntityDiffWorker, pace_of

logs.configure("INFO", "structured")


@dataclass
class Wiki:
    """The parts with which a test writes revisions and reads the events that follow."""

    settings: Settings
    db: Database
    objects: ObjectStore
    store: RevisionStore

    def write(self, entity: dict[str, Any]) -> WriteResult:
        """Store one revision of an entity."""
        return self.store.write(check_entity(entity))

    def diff_worker(
        self, pace: dict[str, Any] | None = None, objects: ObjectStore | None = None, **overrides: Any
    ) -> EntityDiffWorker:
        """
        Make a diff worker with connections of its own.

        Args:
            pace: fields of Pace that differ from those of the settings.
            objects: the wiki's own when not given.
            overrides: settings.
        """
        settings = self.settings.model_copy(update=overrides)
        return EntityDiffWorker(
            Database(settings.database_address(), max_connections=2),
            objects or open_store(settings.objects_address(), settings.s3_revisions_bucket),
            EventProducer(settings.brokers(), delivery_timeout_s=3.0),
            OpenWiki(settings).mapping(settings.entity_diff_flavour),
            settings,
            replace(pace_of(settings), **(pace or {})),
        )

    def delete(self, entity_id: str) -> None:
        """Delete an entity, as the API would."""
        Revisions(self.store).delete(entity_id)

    def drop_snapshot(self, entity_id: str, revision_id: int) -> tuple[str, bytes]:
        """Delete a snapshot; return its key and its bytes."""
        revision = self.store.revision(entity_id, revision_id)
        assert revision is not None
        data = self.store.snapshot(revision)
        self.objects.delete(revision.snapshot_key)
        return revision.snapshot_key, data

    def change_worker(self) -> EntityChangeWorker:
        """Make a worker that publishes the outbox."""
        return EntityChangeWorker(
            Database(self.settings.database_address(), max_connections=2),
            EventProducer(self.settings.brokers(), delivery_timeout_s=3.0),
        )

    def diffs(self) -> list[EntityDiff]:
        """Read the diff topic from its beginning; the events of each entity are in their order."""
        return [EntityDiff.from_bytes(value) for value in self.messages(self.settings.kafka_entity_diff_topic)]

    def messages(self, topic: str) -> list[bytes]:
        """Read every message that a topic has now; fail when the broker does not return them within 30 s."""
        brokers = self.settings.brokers()
        left = sum(end_offsets(brokers, topic).values())
        values: list[bytes] = []
        if left:
            for message in read_topic(brokers, topic, idle_s=30.0):
                values.append(message.value())
                if len(values) == left:
                    break
        assert len(values) == left, f"{len(values)} of {left} messages within 30 s"
        return values


# Longer than each wait of the diff worker but those for polls and sweeps: retries, requests, snapshots that reappear.
A_MINUTE_S = 61.0
# Longer than the interval between sweeps.
AN_HOUR_S = 3601.0


def clock_of_today() -> SetClock:
    """Return a clock that stands at the present, as the database's does, until the test advances it."""
    return SetClock(datetime.now(UTC))


def run_of(name: str, worker_id: str, clock: Clock | None = None) -> Run:
    """Return the Run that the runtime would hand to a worker; time stands still unless a clock is given."""
    return Run(name, worker_id, logs.get_log("test", worker=worker_id), clock or clock_of_today())


def started(
    wiki: Wiki, worker_id: str = "w1", clock: Clock | None = None, **options: Any
) -> tuple[EntityDiffWorker, Run]:
    """Start a diff worker; *options* are those of Wiki.diff_worker."""
    worker, run = wiki.diff_worker(**options), run_of("entity_diff", worker_id, clock)
    worker.start(run)
    return worker, run


def until_idle(worker: Any, run: Run, steps: int = 200) -> None:
    """Take steps until the worker has nothing to do; fail after *steps*."""
    for _ in range(steps):
        if worker.step(run) > 0:
            return
    raise AssertionError(f"still busy after {steps} steps")


@pytest.fixture
def wiki(mariadb: MariaDB, kafka: KafkaBroker, tmp_path: Path) -> Iterator[Wiki]:
    """A wiki whose tables and topics belong to this test alone."""
    tag = uuid.uuid4().hex[:12]
    server = DatabaseAddress(database=mariadb.database, user=mariadb.user, unix_socket=mariadb.unix_socket)
    admin = Database(server, max_connections=1)
    admin.execute(f"CREATE DATABASE w_{tag} CHARACTER SET utf8mb4")
    settings = load(
        {
            "WBD_STATE_DIR": str(tmp_path),
            "VITESS_UNIX_SOCKET": mariadb.unix_socket,
            "VITESS_USER": mariadb.user,
            "VITESS_DATABASE": f"w_{tag}",
            "KAFKA_BROKERS": kafka.brokers,
            "KAFKA_ENTITY_DIFF_TOPIC": f"diff-{tag}",
            "KAFKA_TOPIC": f"change-{tag}",
        }
    ).settings
    db = Database(settings.database_address(), max_connections=4)
    make_tables(db)
    for topic in settings.topics():
        Topics(kafka.brokers).create(topic, partitions=2, replication=1)
    objects = open_store(settings.objects_address(), settings.s3_revisions_bucket)
    yield Wiki(settings, db, objects, RevisionStore(db, objects, change_topic=settings.kafka_entitychange_json_topic))
    db.close()
    admin.execute(f"DROP DATABASE w_{tag}")
    admin.close()
