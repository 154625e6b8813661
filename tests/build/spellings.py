"""The same JSON in other spellings, and JSON that is broken somewhere."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

_DELETED = object()


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
