"""Servers of a wiki are opened in one place."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Besides wiki.py: the adapters themselves, provisioning, which runs before there is a schema to require, and the
# embedded engines, which ask their own server whether it answers.
MAY_OPEN = {"wiki.py", "engines", "provision", "stack"}


def opens_a_server(text: str) -> bool:
    return bool(re.search(r"\b(Database|EventProducer|open_store)\((?!Subject)", text))


def test_only_wiki_py_opens_servers_from_settings() -> None:
    openers = {
        str(path.relative_to(ROOT / "wbd"))
        for path in (ROOT / "wbd").rglob("*.py")
        if opens_a_server(path.read_text()) and path.relative_to(ROOT / "wbd").parts[0] not in MAY_OPEN
    }
    assert openers == set()


def test_the_checker_catches_a_planted_fault() -> None:
    assert opens_a_server("db = Database(settings.database_address(), max_connections=1)")
    assert opens_a_server("objects = open_store(address, bucket)")
    assert not opens_a_server("class Database(Subject):")
    assert not opens_a_server("def start(db: Database) -> None:")
