"""Create and check the buckets, tables and topics that wbd needs. Run by hand or by ``wbd up``.

Reads:    the settings, steps.py
Writes:   buckets, tables, columns and topics that are missing; removes nothing
Repeats:  harmless
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

from wbd.engines.kafka import MAX_MESSAGE_BYTES, Topics
from wbd.engines.mysql import Database
from wbd.engines.objects import Buckets
from wbd.provision import migrations
from wbd.provision.migrations import CreateTable
from wbd.provision.steps import STEPS
from wbd.settings.settings import Settings

State = Literal["created", "applied", "existed", "ok", "missing", "wrong"]


@dataclass(frozen=True, slots=True)
class Item:
    """The state of one bucket, step of the schema, table or topic; *detail* says what is wrong, or what a step is."""

    kind: str
    name: str
    state: State
    detail: str = ""

    @property
    def is_wrong(self) -> bool:
        return self.state in {"missing", "wrong"}


def create_buckets(settings: Settings) -> Iterator[Item]:
    """Create each bucket of the settings that is missing. Raises ObjectStoreUnavailable."""
    buckets = Buckets(settings.objects_address())
    for name in settings.buckets():
        yield Item("bucket", name, "created" if buckets.create(name) else "existed")


def create_tables(settings: Settings) -> Iterator[Item]:
    """
    Apply each step of the schema that is missing, then check every table.

    Raises:
        DatabaseUnavailable, DatabaseError: see migrations.apply; a repeat goes on where it stopped.
    """
    with closing(_open_for_changes(settings)) as db:
        created: set[str] = set()
        for step in STEPS:
            made = migrations.apply(db, step)
            created |= {change.name for change in made if isinstance(change, CreateTable)}
            yield Item("step", str(step.number), "applied" if made else "existed", step.summary)
        yield from _checked_tables(db, created, "existed")


def create_topics(settings: Settings) -> Iterator[Item]:
    """Create each topic of the settings that is missing. Raises BrokerUnavailable."""
    topics = Topics(settings.brokers())
    for name in settings.topics():
        made = topics.create(name, partitions=settings.kafka_partitions, replication=settings.kafka_replication)
        yield Item("topic", name, "created") if made else _checked_topic(topics, name, "existed")


def check(settings: Settings) -> Iterator[Item]:
    """Check every bucket, step, table and topic; create nothing."""
    buckets = Buckets(settings.objects_address())
    for name in settings.buckets():
        yield Item("bucket", name, "ok" if buckets.exists(name) else "missing")
    with closing(_open_for_changes(settings)) as db:
        missing = migrations.missing(db, STEPS)
        for step in STEPS:
            yield Item("step", str(step.number), "missing" if step in missing else "ok", step.summary)
        yield from _checked_tables(db, set(), "ok")
    topics = Topics(settings.brokers())
    existing = topics.names()
    for name in settings.topics():
        yield _checked_topic(topics, name, "ok") if name in existing else Item("topic", name, "missing")


def _open_for_changes(settings: Settings) -> Database:
    return Database(settings.database_address(), max_connections=1, read_timeout_s=migrations.CHANGE_TIMEOUT_S)


def _checked_tables(db: Database, created: set[str], good: State) -> Iterator[Item]:
    catalog = migrations.read_catalog(db)
    for name, columns in migrations.columns_of(STEPS).items():
        if name not in catalog:
            yield Item("table", name, "missing")
        elif missing := [column for column in columns if column not in catalog[name]]:
            yield Item("table", name, "wrong", f"columns missing: {', '.join(missing)}")
        else:
            yield Item("table", name, "created" if name in created else good)


def _checked_topic(topics: Topics, name: str, good: State) -> Item:
    limit = topics.max_message_bytes(name)
    if 0 < limit < MAX_MESSAGE_BYTES:
        detail = f"max.message.bytes is {limit}; large entities need {MAX_MESSAGE_BYTES}"
        return Item("topic", name, "wrong", detail)
    return Item("topic", name, good)
