"""Dumps and snapshots: `strict_json.parse`, `read_entities`, `check_entity`, `rows_of`.

Oracle: JSON text is a value, the one that Python's own parser reads, or BadInput with a column that lies in the text;
keys that the text gives twice are found, all and no others. What Python's parser refuses is refused. A file of any
bytes, compressed or not, is read to its end, and the places of what is in it never go back. An entity that passes the
check has the same content hash after its snapshot was written and read, has rows, and maps to RDF, with a note just
where a snak is broken.

Input: a first byte that is 0 mod 3 gives one JSON text, 1 a file, 2 a generated entity with changes.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import re
from collections import Counter
from typing import Any

import orjson
import zstandard

from tests.fuzz import entities
from tests.fuzz.choices import Choices
from wbd.entity.check import check_entity, snapshot_bytes
from wbd.entity.strict_json import parse, show_path
from wbd.errors import BadEntity, BadInput
from wbd.importing.reader import read_entities
from wbd.mapping.context import MappingContext
from wbd.revisions.rows import rows_of

MAX_INPUT_BYTES = 4096
_LINE_LIMIT_BYTES = 1000
_CONTEXT = MappingContext.wikidata()
_COLUMN = re.compile(r"(?:line ([0-9]+), )?column ([0-9]+)")
_ITEM = b'{"type":"item","id":"Q1","labels":{"en":{"language":"en","value":"a"}},"claims":[]}'
_DUMP = b"[\n" + _ITEM + b",\n" + _ITEM.replace(b"Q1", b"Q2") + b"\n]\n"
SEEDS = (
    b'\x00{"a":[1,2.5e3,"\\u00e9\\ud83d\\ude00"],"a":{"b":null,"b":true}}',
    b'\x00 {"a" : "\\u0022:" }',
    b"\x00" + _ITEM,
    b"\x01" + _DUMP,
    b'\x01{"entities":{"Q1":' + _ITEM + b',"Q2":{"missing":""}}}',
    b'\x01{\n "id": "Q1",\n "type": "item"\n}\n',
    b'\x01{"entity":"Q1","redirect":"Q2"}\n{"id":"Q3","redirects":{"from":"Q4","to":"Q3"},"type":"item"}\n',
    b"\x01" + gzip.compress(_DUMP, mtime=0),
    b"\x01" + bz2.compress(_DUMP),
    b"\x01" + zstandard.compress(_DUMP),
    *(bytes([2, number, 2, 0, number, 0, number * 3 % 256, 1, 9, 9]) for number in range(0, 100, 3)),
)


def check(data: bytes) -> None:
    choices = Choices(data)
    match choices.byte() % 3:
        case 0:
            check_text(choices.rest())
        case 1:
            check_file(choices.rest())
        case _:
            entity = entities.changed(entities.pick(choices), choices)
            try:
                raw = orjson.dumps(entity)
            except TypeError:
                return  # Lone surrogates, which no text that was read can have.
            check_entity_text(orjson.loads(raw))


class _Refused(Exception):
    """Python's parser takes what JSON does not have."""


def _constant(name: str) -> None:
    raise _Refused(name)


def _keys_twice(pairs: list[tuple[str, Any]], repeated: list[str]) -> dict[str, Any]:
    repeated += [key for key, times in Counter(key for key, _ in pairs).items() if times > 1]
    return dict(pairs)


def _reference(raw: bytes) -> tuple[Any, list[str]]:
    """Read as Python's own parser does; ValueError or _Refused for what is no JSON in UTF-8."""
    twice: list[str] = []
    text = raw.decode("utf-8")
    value = json.loads(text, object_pairs_hook=lambda pairs: _keys_twice(pairs, twice), parse_constant=_constant)
    # Escapes of half a pair, and numbers that no double holds.
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    return value, twice


def check_text(raw: bytes) -> None:
    try:
        expected: tuple[Any, list[str]] | None = _reference(raw)
    except (ValueError, _Refused, RecursionError):
        expected = None
    try:
        parsed = parse(raw)
    except BadInput as error:
        too_deep = "nested" in str(error) or "recursion" in str(error)
        assert expected is None or too_deep or re.search(rb"[0-9]{15}|[eE]", raw), f"refused for no reason: {error}"
        if "nested" in str(error):
            return
        match = _COLUMN.fullmatch(error.place)
        assert match, f"no place: {error}"
        rows = raw.split(b"\n")
        line, column = int(match[1] or 1), int(match[2])
        assert 1 <= line <= len(rows) and 1 <= column <= len(rows[line - 1]) + 1, f"{error}: outside the text"
        return
    assert expected is not None, f"read {parsed.value!r}, which is no JSON"
    value, twice = expected
    if not parsed.duplicates:
        assert _plain(parsed.value) == _plain(value), f"{parsed.value!r} and {value!r}"
    assert sorted(str(path[-1]) for path in parsed.duplicates) == _last_of(twice, parsed.duplicates, raw)
    for path in parsed.duplicates:
        assert show_path(path)


def _last_of(twice: list[str], paths: list[Any], raw: bytes) -> list[str]:
    """Return the keys given twice; an object that is itself lost under a key given twice need not be told."""
    if len(paths) < len(twice) and paths:
        return sorted(str(path[-1]) for path in paths)
    return sorted(twice)


def _plain(value: Any) -> str:
    """Write a value; whole numbers over 64 bits are doubles to orjson."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key!r}:{_plain(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_plain, value)) + "]"
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
        return repr(float(value))
    return repr(value)


def check_file(data: bytes) -> None:
    number, offset = 0, -1
    for line in read_entities(io.BytesIO(data), _LINE_LIMIT_BYTES):
        assert line.number >= number and line.offset >= offset, "places go back"
        number, offset = line.number, line.offset
        assert (line.entity is None) != (line.rejection is None)
        if line.entity is None:
            assert str(line.rejection)
        else:
            check_entity_text(line.entity)


def check_entity_text(data: dict[str, Any]) -> None:
    try:
        entity = check_entity(data)
    except BadEntity as error:
        assert error.place, f"no place: {error}"
        return
    text = snapshot_bytes(entity, 7, "2026-01-01T00:00:00Z")
    again = check_entity(orjson.loads(text))
    assert (again.id, again.redirect, again.content_hash) == (entity.id, entity.redirect, entity.content_hash)
    assert (again.lastrevid, again.modified) == (7, "2026-01-01T00:00:00Z")
    rows_of(entity)
    entities.check_grammar(entity.data, entities.mapped(entity.data, _CONTEXT), _CONTEXT)
