"""The specification of wbd/diff/spans.c, over a tree of all tokens; far slower than parsing both snapshots.

`compare_twin` returns what the extension returns, hashes of rows apart.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from wbd.diff.spans import MAPS

_ROW: Final = struct.Struct("=Q5I2BH")
_PLACES: Final = (b"", *MAPS, b"sitelinks")
_DEPTH_MAX: Final = 64
_NUMBER_BYTES_MAX: Final = 200
_WINDOW: Final = 256

_STRING: Final = re.compile(rb'"(?:[^"\\\x00-\x1f]|\\["\\bfnrt])*+"')
_SCALAR: Final = re.compile(rb"true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:e-?[0-9]{1,2})?")
_PROPERTY: Final = re.compile(rb"P[A-Za-z0-9_]*")
_STATEMENT_ID: Final = re.compile(rb"[A-Za-z0-9_]+\$[A-Za-z0-9_-]+")
_LOCAL_NAME: Final = re.compile(rb"[A-Za-z0-9_-]+")


class _UnusualError(Exception):
    """A text does not have the form that spans.h asks for."""


def _expect(usual: bool) -> None:
    if not usual:
        raise _UnusualError


@dataclass
class _Node:
    """A JSON value from its first byte to the one behind it; a member is the node of its key, then of its value."""

    kind: str
    start: int
    end: int = 0
    members: list[tuple[_Node, _Node]] = field(default_factory=list)
    elements: list[_Node] = field(default_factory=list)


@dataclass
class _Part:
    place: bytes
    key: bytes
    start: int
    raw: bytes
    ids: list[bytes] = field(default_factory=list)
    identifiers: int = 0
    opaque: bool = False
    unchanged: bool = False

    def row(self) -> bytes:
        numbers = (self.start, len(self.raw), len(self.key), len(self.ids), self.identifiers)
        return _ROW.pack(0, *numbers, _PLACES.index(self.place), self.opaque, self.unchanged)

    def names(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield what no other part may have: the key and the statement ids."""
        yield self.place, self.key
        for statement_id in self.ids:
            yield b"id", statement_id


class _Text:
    """One side: its tree and its parts."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        try:
            data.decode()
        except UnicodeDecodeError:
            raise _UnusualError from None
        root = self._value(1)
        _expect(self.at == len(data) and root.kind == "object")
        self.parts: list[_Part] = []
        self._entity(root)

    def _skip(self, pattern: re.Pattern[bytes]) -> int:
        match = pattern.match(self.data, self.at)
        if match is None:
            raise _UnusualError
        start, self.at = self.at, match.end()
        return start

    def _next(self) -> bytes:
        return self.data[self.at : self.at + 1]

    def _take(self, wanted: bytes) -> None:
        _expect(self._next() == wanted)
        self.at += 1

    def _string(self) -> _Node:
        return _Node("string", self._skip(_STRING), self.at)

    def _value(self, depth: int) -> _Node:
        first = self._next()
        if first == b'"':
            return self._string()
        if first not in (b"{", b"["):
            start = self._skip(_SCALAR)
            _expect(self.at - start <= _NUMBER_BYTES_MAX)
            return _Node("scalar", start, self.at)
        _expect(depth <= _DEPTH_MAX)
        node = _Node("object" if first == b"{" else "array", self.at)
        end = b"}" if first == b"{" else b"]"
        self.at += 1
        while self._next() != end:
            if node.members or node.elements:
                self._take(b",")
            if first == b"{":
                key = self._string()
                self._take(b":")
                node.members.append((key, self._value(depth + 1)))
            else:
                node.elements.append(self._value(depth + 1))
        self.at += 1
        node.end = self.at
        return node

    def _content(self, node: _Node | None) -> bytes:
        """Return the bytes of a string between its quotes."""
        if node is None or node.kind != "string":
            raise _UnusualError
        return self.data[node.start + 1 : node.end - 1]

    def _values(self, node: _Node, *names: bytes) -> list[_Node | None]:
        """Return the values of an object's members with these names, each of which may come once."""
        _expect(node.kind == "object")
        keys = [self._content(key) for key, _ in node.members]
        _expect(all(keys.count(name) <= 1 for name in names))
        return [node.members[keys.index(name)][1] if name in keys else None for name in names]

    def _entity(self, root: _Node) -> None:
        self._values(root, *MAPS, b"sitelinks")
        for key, value in root.members:
            name = self._content(key)
            if name not in MAPS:
                self._add(name if name == b"sitelinks" else b"", key, value)
                continue
            _expect(value.kind == "object" or self.data[value.start : value.end] == b"[]")
            for member, content in value.members:
                part = self._add(name, member, content)
                if name == b"claims":
                    self._group(part, content)
                else:
                    _expect(name != b"aliases" or content.kind == "array")
                    for term in content.elements if name == b"aliases" else [content]:
                        _expect(self._content(self._values(term, b"language")[0]) == part.key)

    def _add(self, place: bytes, key: _Node, value: _Node) -> _Part:
        self.parts.append(_Part(place, self._content(key), key.start, self.data[key.start : value.end]))
        return self.parts[-1]

    def _group(self, part: _Part, group: _Node) -> None:
        _expect(_PROPERTY.fullmatch(part.key) is not None and group.kind == "array")
        for statement in group.elements:
            statement_id, main, references = self._values(statement, b"id", b"mainsnak", b"references")
            part.ids.append(self._content(statement_id))
            _expect(_STATEMENT_ID.fullmatch(part.ids[-1]) is not None and main is not None)
            assert main is not None
            property_id, datatype = self._values(main, b"property", b"datatype")
            _expect(self._content(property_id) == part.key)
            if datatype is not None and datatype.kind == "string":
                part.identifiers += self._content(datatype) == b"external-id"
            if references is not None:
                _expect(references.kind == "array")
                for reference in references.elements:
                    (digest,) = self._values(reference, b"hash")
                    part.opaque |= digest is None
                    _expect(digest is None or _LOCAL_NAME.fullmatch(self._content(digest)) is not None)


def compare_twin(old: bytes, new: bytes, /) -> tuple[bytes, int, int] | None:
    """Return what compare_native returns, with 0 for every hash."""
    try:
        before, after = _Text(old), _Text(new)
        changed_after = _match(before, after)
    except _UnusualError:
        return None
    groups = [part.row() for part in before.parts if part.unchanged and part.place == b"claims"]
    changed_before = [part.row() for part in before.parts if not part.unchanged]
    rows = b"".join([*groups, *changed_before, *(part.row() for part in changed_after)])
    return rows, len(groups), len(groups) + len(changed_before)


def without_hashes(compared: tuple[bytes, int, int] | None) -> tuple[bytes, int, int] | None:
    """Return what compare_native returned as compare_twin does."""
    if compared is None:
        return None
    rows = [_ROW.pack(0, *row[1:]) for row in _ROW.iter_unpack(compared[0])]
    return b"".join(rows), *compared[1:]


def _match(before: _Text, after: _Text) -> list[_Part]:
    """Say which parts of the old side are unchanged; return the changed parts of the new side."""
    # A statement takes up a place in the window, behind its group.
    places: list[_Part | None] = []
    for part in before.parts:
        places += [part, *(None for _ in part.ids)]
    following = 0
    changed: list[_Part] = []
    for part in after.parts:
        window = range(following, min(len(places), following + _WINDOW)) if part.place else range(0)
        same_key = (at for at in window if (old := places[at]) and (old.place, old.key) == (part.place, part.key))
        at = next(same_key, None)
        old_part = None if at is None else places[at]
        if at is None or old_part is None:
            changed.append(part)
            continue
        following = at + 1
        # The new text is read on behind the bytes of the old part, so that more digits are unusual.
        _expect(part.raw == old_part.raw or not part.raw.startswith(old_part.raw))
        old_part.unchanged = part.raw == old_part.raw
        if not old_part.unchanged:
            changed.append(part)
    unchanged = [name for part in before.parts if part.unchanged for name in part.names()]
    _expect(len(set(unchanged)) == len(unchanged))
    for part in (*(part for part in before.parts if not part.unchanged), *changed):
        _expect(set(unchanged).isdisjoint(part.names()))
    return changed
