"""The same JSON in other spellings, and JSON that is broken somewhere."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any, Final

from hypothesis import strategies as st

Path = tuple[str | int, ...]
"""Keys and indexes that lead to a place in JSON."""

DELETED: Final = object()
"""As the new value of a place: take it out."""


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


JUNK: Final[list[Any]] = [
    *(None, True, False, 0, -1, 1, 3, 10**30, -(10**400), 1.5, float("nan"), float("inf"), -1e308, 1e-320),
    *("", "x", "Q1", "q7", " Q1\n", "P1", "Q1> <x", "_:x", "//x", "$1", "%", "\ud800", "a\udfffb"),
    *('http://a b/"<>\x00\x7f\x85\u2028', "\x00\x1f", "en\ud800", "en_us", "-en", "en-", "a" * 300),
    *("+00000002013-00-00T00:00:00Z", "+99999999999999999-01-01T00:00:00Z", "-9999999999999999-12-31T23:59:61Z"),
    *("+0000-00-00T00:00:00Z", "+2013-02-31T00:00:00Z", "1e5", f"+{'9' * 200}", "9" * 126, "-0", "+\u0661"),
    *("value", "somevalue", "novalue", "string", "time", "quantity", "globecoordinate", "monolingualtext"),
    *("wikibase-entityid", "external-id", "url", "math", "commonsMedia", "item", "property", "lexeme", "preferred"),
    *([], {}, [[]], [{}], [None], ["Q1", 3], {"a": 1}, {"en": None}, {"id": "Q1"}, {"P1": [{}]}, nested(2000)),
]


def shuffled(value: Any, draw: st.DrawFn) -> Any:
    """Return the same value with the keys of its outer objects in another order; statements keep theirs."""
    names = draw(st.permutations(list(value)))
    return {
        name: shuffled(value[name], draw)
        if name in ("labels", "claims") and isinstance(value[name], dict)
        else value[name]
        for name in names
    }


@st.composite
def spelled(draw: st.DrawFn, value: dict[str, Any]) -> bytes:
    """Write an entity with spaces, escapes or keys in another order."""
    if draw(st.booleans()):
        value = shuffled(value, draw)
    ascii_only = draw(st.booleans())
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:\r\n")]))
    text = json.dumps(value, ensure_ascii=ascii_only, separators=separators, indent=draw(st.sampled_from([None, 1])))
    if draw(st.booleans()):
        text = text.replace("/", "\\/")
    if draw(st.integers(0, 4)) == 0:
        # One letter of a key or value that a reader looks at.
        word = draw(st.sampled_from(["hash", "time", "id", "type", "P3", "quantity", "external-id", "labels", "en"]))
        text = text.replace(f'"{word}"', f'"{word[:-1]}\\u{ord(word[-1]):04x}"')
    return text.encode("utf-8", "replace")


@st.composite
def broken(draw: st.DrawFn, data: bytes) -> bytes:
    """Change a few bytes: put some in, take some out, or repeat a piece."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from([0, 0, 1, 2, 30])))
        pieces = [b"", b",", b"{", b"}", b"[", b"]", b'"', b"\\", b":", b"0", b" ", b"\xff", b"\x00", b"e5", b"null"]
        piece = draw(st.sampled_from([*pieces, data[start:end] * 2, b'"id":"x",', b'"type":"item",', b'"en":{},']))
        data = data[:start] + piece + data[end:]
    return data


def nodes(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield every place in a value."""
    if path:
        yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield from nodes(member, (*path, key))


def changed(entity: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """Return a copy with another value in one place."""
    result = copy.deepcopy(entity)
    holder: Any = result
    for step in path[:-1]:
        holder = holder[step]
    if value is DELETED:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return result
