"""Create and check what wbd needs on its servers: buckets, tables, topics. Run by hand or by ``wbd up``.

Reads:    the settings, schema.sql
Writes:   buckets, tables, topics that are missing; never changes or removes one that is there
Repeats:  harmless
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Literal

from wbd.engines.kafka import MAX_MESSAGE_BYTES, Topics
from wbd.engines.mysql import Database
from wbd.engines.objects import Buckets
from wbd.settings.settings import Settings

State = Literal["created", "existed", "ok", "missing", "wrong"]
SCHEMA_VERSION = "1"


@dataclass(frozen=True, slots=True)
class Item:
    """What one bucket, table or topic turned out to be; *detail* says what is wrong with it."""

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
    """Create each table of schema.sql that is missing, and check those that exist. Raises DatabaseUnavailable."""
    db = Database(settings.database_address(), max_connections=1)
    try:
        present = _columns(db)
        for name, statement in schema().items():
            if name in present:
                yield _checked_table(name, statement, present[name], "existed")
            else:
                # IF NOT EXISTS keeps two first runs at the same moment from failing each other.
                db.execute(statement)
                yield Item("table", name, "created")
        db.execute(
            "INSERT INTO metadata (name, value) VALUES ('schema_version', %s) ON DUPLICATE KEY UPDATE name = name",
            (SCHEMA_VERSION,),
        )
    finally:
        db.close()


def create_topics(settings: Settings) -> Iterator[Item]:
    """Create each topic of the settings that is missing. Raises BrokerUnavailable."""
    topics = Topics(settings.brokers())
    for name in settings.topics():
        made = topics.create(name, partitions=settings.kafka_partitions, replication=settings.kafka_replication)
        yield Item("topic", name, "created") if made else _checked_topic(topics, name, "existed")


def check(settings: Settings) -> Iterator[Item]:
    """Look at every bucket, table and topic; create nothing."""
    buckets = Buckets(settings.objects_address())
    for name in settings.buckets():
        yield Item("bucket", name, "ok" if buckets.exists(name) else "missing")
    db = Database(settings.database_address(), max_connections=1)
    try:
        present = _columns(db)
    finally:
        db.close()
    for name, statement in schema().items():
        yield (
            _checked_table(name, statement, present[name], "ok") if name in present else Item("table", name, "missing")
        )
    topics = Topics(settings.brokers())
    existing = topics.names()
    for name in settings.topics():
        yield _checked_topic(topics, name, "ok") if name in existing else Item("topic", name, "missing")


def schema() -> dict[str, str]:
    """Return table name -> CREATE TABLE statement, in the order of schema.sql."""
    text = resources.files("wbd.provision").joinpath("schema.sql").read_text()
    bare = re.sub(r"^--.*$", "", text, flags=re.MULTILINE)
    statements = [part.strip() for part in bare.split(";") if part.strip()]
    return {_table_name(statement): statement for statement in statements}


def _columns(db: Database) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    rows = db.query("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = DATABASE()")
    for table, column in rows:
        found.setdefault(str(table), set()).add(str(column))
    return found


def _checked_table(name: str, statement: str, present: set[str], good: State) -> Item:
    missing = [column for column in _column_names(statement) if column not in present]
    if missing:
        return Item("table", name, "wrong", f"columns missing: {', '.join(missing)}")
    return Item("table", name, good)


def _checked_topic(topics: Topics, name: str, good: State) -> Item:
    limit = topics.max_message_bytes(name)
    if 0 < limit < MAX_MESSAGE_BYTES:
        detail = f"max.message.bytes is {limit}; large entities need {MAX_MESSAGE_BYTES}"
        return Item("topic", name, "wrong", detail)
    return Item("topic", name, good)


def _table_name(statement: str) -> str:
    match = re.match(r"CREATE TABLE IF NOT EXISTS `?(\w+)`?", statement)
    if match is None:
        raise ValueError(f"schema.sql: not a CREATE TABLE statement: {statement[:60]}")
    return match[1]


def _column_names(statement: str) -> list[str]:
    lines = statement.splitlines()[1:-1]
    names = [line.split()[0] for line in lines]
    return [name for name in names if name not in {"PRIMARY", "UNIQUE", "INDEX"}]
