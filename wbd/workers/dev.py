"""Create and check what wbd needs on its servers: buckets, tables, topics. Run by hand or by ``wbd up``.

Reads:    the settings, schema.sql
Writes:   buckets, tables, topics that are missing; never changes or removes one that is there
Repeats:  harmless
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Literal

import orjson

from wbd.engines.kafka import MAX_MESSAGE_BYTES, Topics
from wbd.engines.mysql import Database
from wbd.engines.objects import Buckets
from wbd.errors import ConfigError, WbdError
from wbd.settings import Settings, load

State = Literal["created", "existed", "ok", "missing", "wrong"]
SCHEMA_VERSION = "1"
_EXIT_OK, _EXIT_WRONG, _EXIT_TROUBLE = 0, 1, 2


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


COMMANDS: dict[str, Callable[[Settings], Iterator[Item]]] = {
    "create_buckets": create_buckets,
    "create_tables": create_tables,
    "create_topics": create_topics,
    "check": check,
}


def schema() -> dict[str, str]:
    """Return table name -> CREATE TABLE statement, in the order of schema.sql."""
    text = resources.files("wbd.engines").joinpath("schema.sql").read_text()
    bare = re.sub(r"^--.*$", "", text, flags=re.MULTILINE)
    statements = [part.strip() for part in bare.split(";") if part.strip()]
    return {_table_name(statement): statement for statement in statements}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line of the dev worker."""
    parser.add_argument("command", nargs="+", choices=list(COMMANDS), metavar="COMMAND", help=", ".join(COMMANDS))
    parser.add_argument("--json", action="store_true", help="one JSON object an item")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """
    Run the commands in order and print one line an item.

    Returns:
        0 all is well, 1 something is missing or wrong, 2 a server does not answer.
    """
    code = _EXIT_OK
    for command in args.command:
        try:
            for item in COMMANDS[command](settings):
                print_item(item, as_json=args.json)
                code = max(code, _EXIT_WRONG if item.is_wrong else _EXIT_OK)
        except ConfigError:
            raise
        except WbdError as error:
            sys.stderr.write(f"wbd dev {command}: {error}\n")
            code = _EXIT_TROUBLE
    return code


def print_item(item: Item, *, as_json: bool) -> None:
    """Write one item to standard output, for people or for programs."""
    if as_json:
        sys.stdout.write(orjson.dumps(asdict(item)).decode() + "\n")
    else:
        sys.stdout.write(f"{item.state:8} {item.kind:7} {item.name}{'  ' + item.detail if item.detail else ''}\n")
    sys.stdout.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """The body of ``python -m wbd.workers.dev``."""
    parser = argparse.ArgumentParser(
        prog="python -m wbd.workers.dev",
        description="Create or check the buckets, tables and topics that wbd needs.",
        epilog="example: python -m wbd.workers.dev create_buckets create_tables create_topics",
    )
    add_arguments(parser)
    args = parser.parse_args(argv)
    try:
        return run(args, load().settings)
    except ConfigError as error:
        sys.stderr.write(f"wbd: {error}\n")
        return error.exit_code


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


if __name__ == "__main__":
    sys.exit(main())
