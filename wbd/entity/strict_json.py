"""JSON text becomes values, and no key of an object is lost on the way.

orjson keeps the last of two equal keys and says nothing, so one of two "P31" groups would vanish. Counting keys in
the text and in the value shows such a loss at a fifth of the parse's cost; only then is the text read again by a
slower parser that says where it is. No I/O.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import orjson

from wbd.errors import BadInput

JsonPath = tuple[str | int, ...]

# Spellings that JSON allows and under which counting '":' does not count keys.
_SPACED_COLON = re.compile(rb'"[ \t\r\n]+:')
_ESCAPED_QUOTE_OR_COLON = (b"\\u0022", b"\\u003a", b"\\u003A")
_TEXT_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Parsed:
    """A JSON value, and the path of each key that its text holds twice."""

    value: Any
    duplicates: list[JsonPath]


def parse(raw: bytes) -> Parsed:
    """
    Read one JSON text.

    Raises:
        BadInput: not UTF-8, not JSON, a number that no double holds, or nested over 250 deep; the place is
            ``column N`` for a text of one line, else ``line M, column N``, counted from 1 in bytes.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _explain(raw, error) from None
    try:
        written = orjson.dumps(value)
    except orjson.JSONEncodeError:
        # The writer's limit is lower than the reader's, and what cannot be written cannot be stored.
        raise BadInput("JSON nested more than 250 deep") from None
    if _may_repeat_keys(raw, written):
        return Parsed(value, _find_duplicates(raw))
    return Parsed(value, [])


def show_path(path: JsonPath) -> str:
    """Write a path as ``claims.P31[0].mainsnak``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


def _may_repeat_keys(raw: bytes, written: bytes) -> bool:
    # A key ends in '":' in both texts, and a quote inside a string is written '\"' in both, so that equal counts
    # mean equal numbers of keys, unless the text uses one of the unusual spellings.
    return (
        raw.count(b'":') != written.count(b'":')
        or any(spelling in raw for spelling in _ESCAPED_QUOTE_OR_COLON)
        or _SPACED_COLON.search(raw) is not None
    )


class _Repeated(dict[str, Any]):
    """An object whose text held some key more than once."""

    keys_twice: list[str]


def _find_duplicates(raw: bytes) -> list[JsonPath]:
    is_repeated = False

    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal is_repeated
        plain = dict(pairs)
        if len(plain) == len(pairs):
            return plain
        is_repeated = True
        repeated = _Repeated(plain)
        repeated.keys_twice = [key for key, times in Counter(key for key, _ in pairs).items() if times > 1]
        return repeated

    value = json.loads(raw, object_pairs_hook=build)
    return list(_paths(value)) if is_repeated else []


def _paths(root: Any) -> list[JsonPath]:
    paths: list[JsonPath] = []
    todo: list[tuple[JsonPath, Any]] = [((), root)]
    while todo:
        path, value = todo.pop()
        if isinstance(value, dict):
            if isinstance(value, _Repeated):
                paths.extend((*path, key) for key in value.keys_twice)
            todo.extend(((*path, key), inner) for key, inner in value.items())
        elif isinstance(value, list):
            todo.extend(((*path, index), inner) for index, inner in enumerate(value))
    return sorted(paths, key=lambda path: tuple(map(str, path)))


def _explain(raw: bytes, error: orjson.JSONDecodeError) -> BadInput:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as wrong:
        shown = raw[wrong.start : wrong.start + 4].hex(" ")
        return BadInput(f"not UTF-8: bytes {shown} ({wrong.reason})", _place(raw, wrong.start))
    # orjson counts characters; a place in bytes is what tools such as head -c and cut -b take.
    position = len(error.doc[: error.pos].encode("utf-8"))
    near = error.doc[error.pos : error.pos + _TEXT_SHOWN]
    message = str(error.msg)
    if error.pos < len(error.doc) and error.doc[error.pos] == "\0":
        message = "NUL character"
    elif position >= len(raw.rstrip()):
        return BadInput(f"broken JSON: ends too early ({message})", _place(raw, position))
    return BadInput(f"broken JSON: {message}, near {near!r}", _place(raw, position))


def _place(raw: bytes, position: int) -> str:
    column = position - (raw.rfind(b"\n", 0, position) + 1) + 1
    if b"\n" not in raw:
        return f"column {column}"
    line = raw.count(b"\n", 0, position) + 1
    return f"line {line}, column {column}"
