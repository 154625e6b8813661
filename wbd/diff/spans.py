"""Two snapshots of an entity become what they do not share, without parsing what they do.

The work is done in C where the extension was built; spans.h has the contract in full. compare_twin is the same in
Python over a tree of all tokens: the specification that the C code is tested against. It is far slower than to parse
both sides, so nothing uses it in place of the extension.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

MAPS: Final = ("labels", "descriptions", "aliases", "sitelinks", "claims")

_DEPTH_MAX: Final = 64
_NUMBER_BYTES_MAX: Final = 200
_ROW: Final = struct.Struct("=7I")


class Group(NamedTuple):
    """
    A property group that both sides have with the same bytes.

    key, value: where they begin in the old snapshot; key is behind its quote.
    identifiers: statements whose main snak says that its datatype is external-id.
    opaque: its bytes do not show which references and values it has.
    """

    key: int
    key_bytes: int
    value: int
    value_bytes: int
    statements: int
    identifiers: int
    opaque: int


_OPAQUE: Final = Group._fields.index("opaque")


class Comparison(NamedTuple):
    """
    Two snapshots without the parts that are alike.

    old, new: each an entity as JSON, with all members that are no maps.
    terms, sitelinks, statements: how many are alike. Sitelinks are alike only if all are.
    rows: of groups, packed.
    """

    old: bytes
    new: bytes
    terms: int
    sitelinks: int
    statements: int
    rows: bytes

    def groups(self) -> Iterator[Group]:
        """Yield the groups that are alike."""
        return map(Group._make, _ROW.iter_unpack(self.rows))

    def any_opaque(self) -> bool:
        """Tell whether one of the groups is opaque, sooner than by looking at each."""
        return any(memoryview(self.rows).cast("I")[_OPAQUE :: len(Group._fields)])


_Raw = tuple[bytes, bytes, int, int, int, bytes]
compare_native: Callable[[bytes, bytes], _Raw | None] | None
try:
    from wbd.diff._spans import compare as compare_native
except ModuleNotFoundError:
    # Not built. An extension that is there and cannot be loaded is a broken installation and raises ImportError.
    compare_native = None


def compare(old: bytes, new: bytes) -> Comparison | None:
    """Return what two snapshots do not share; None if either is unusual, or where no extension was built."""
    if compare_native is None:
        return None
    found = compare_native(old, new)
    return None if found is None else Comparison._make(found)


class _UnusualError(Exception):
    """A text is not what is taken for granted."""


def _expect(usual: bool) -> None:
    if not usual:
        raise _UnusualError


@dataclass
class _Node:
    """A JSON value, and its first byte and the one behind it. Members are keys as nodes, and values."""

    kind: str
    start: int
    end: int
    members: list[tuple[_Node, _Node]]
    elements: list[_Node]


@dataclass
class _Part:
    name: str
    key: bytes
    key_start: int
    value: _Node
    raw: bytes
    ids: list[bytes]
    identifiers: int = 0
    opaque: bool = False
    alike: bool = False


_SPACE: Final = re.compile(rb"[ \t\n\r]*")
_STRING: Final = re.compile(rb'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u(?![dD][89abAB]|[dD][c-fC-F])[0-9a-fA-F]{4}))*+"')
_NUMBER: Final = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?")
_WORD: Final = re.compile(rb"true|false|null")
_PROPERTY: Final = re.compile(rb"P[1-9][0-9]*")
_STATEMENT_ID: Final = re.compile(rb"[A-Za-z0-9_]+\$[A-Za-z0-9_-]+")
_LOCAL_NAME: Final = re.compile(rb"[A-Za-z0-9_-]+")
# No escape in it hides what it stands for.
_CLEAR: Final = re.compile(rb"(?:[^\\]|\\[^u/])*+", re.DOTALL)


class _Text:
    """One side: its bytes, its tree and its parts."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        try:
            data.decode()
        except UnicodeDecodeError:
            raise _UnusualError from None
        self.root = self._value(1)
        self._skip(_SPACE)
        _expect(self.at == len(data))
        self.parts: list[_Part] = []
        self._entity()

    def _skip(self, pattern: re.Pattern[bytes]) -> int:
        match = pattern.match(self.data, self.at)
        if match is None:
            raise _UnusualError
        start, self.at = self.at, match.end()
        return start

    def _next(self) -> bytes:
        self._skip(_SPACE)
        return self.data[self.at : self.at + 1]

    def _take(self, wanted: bytes) -> None:
        _expect(self._next() == wanted)
        self.at += 1

    def _string(self) -> _Node:
        _expect(self._next() == b'"')
        return _Node("string", self._skip(_STRING), self.at, [], [])

    def _value(self, depth: int) -> _Node:
        first = self._next()
        start = self.at
        if first == b'"':
            return self._string()
        if first not in (b"{", b"["):
            pattern = _WORD if first in (b"t", b"f", b"n") else _NUMBER
            self._skip(pattern)
            _expect(pattern is _WORD or self.at - start <= _NUMBER_BYTES_MAX)
            return _Node("scalar", start, self.at, [], [])
        _expect(depth <= _DEPTH_MAX)
        self.at += 1
        node = _Node("object" if first == b"{" else "array", start, 0, [], [])
        end = b"}" if first == b"{" else b"]"
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

    def raw(self, node: _Node) -> bytes:
        return self.data[node.start : node.end]

    def plain(self, node: _Node | None) -> bytes | None:
        """Return what a string without escapes holds; None for what is none."""
        if node is None or node.kind != "string":
            return None
        content = self.data[node.start + 1 : node.end - 1]
        return None if b"\\" in content else content

    def read(self, node: _Node, *wanted: bytes) -> list[_Node | None]:
        """Return the values of the keys that are looked for, each of which may come once."""
        keys = [self.plain(key) for key, _ in node.members]
        _expect(None not in keys)
        found: list[_Node | None] = []
        for name in wanted:
            _expect(keys.count(name) <= 1)
            found.append(node.members[keys.index(name)][1] if name in keys else None)
        return found

    def _entity(self) -> None:
        _expect(self.root.kind == "object")
        keys = [self.plain(key) for key, _ in self.root.members]
        _expect(None not in keys and len(set(keys)) == len(keys))
        _expect(b"redirect" not in keys and b"statements" not in keys)
        for key, value in self.root.members:
            name = self.raw(key)[1:-1].decode()
            if name not in MAPS:
                _expect(name != "type" or self.raw(value) in (b'"item"', b'"property"'))
                self.parts.append(self._part("", key, value))
                continue
            _expect(value.kind == "object" or (value.kind == "array" and not value.elements))
            names = [self.plain(member) for member, _ in value.members]
            _expect(None not in names and len(set(names)) == len(names))
            for member, content in value.members:
                part = self._part(name, member, content)
                self.parts.append(part)
                if name == "claims":
                    self._group(part)
                elif name == "aliases":
                    _expect(content.kind == "array")
                    self._terms(part.key, content.elements)
                elif name != "sitelinks":
                    self._terms(part.key, [content])

    def _part(self, name: str, key: _Node, value: _Node) -> _Part:
        return _Part(name, self.raw(key)[1:-1], key.start + 1, value, self.raw(value), [])

    def _terms(self, language: bytes, terms: Sequence[_Node]) -> None:
        for term in terms:
            _expect(term.kind == "object")
            _expect(self.plain(self.read(term, b"language")[0]) == language)

    def _group(self, part: _Part) -> None:
        _expect(_PROPERTY.fullmatch(part.key) is not None and part.value.kind == "array")
        # Not any(): each has to be looked at, for what is unusual.
        part.opaque = sum([self._statement(part, statement) for statement in part.value.elements]) > 0
        part.opaque |= _CLEAR.fullmatch(part.raw) is None

    def _statement(self, part: _Part, statement: _Node) -> bool:
        """Note a statement; tell whether it is opaque. All below that return bool tell that."""
        _expect(statement.kind == "object")
        id_node, main, qualifiers, references = self.read(statement, b"id", b"mainsnak", b"qualifiers", b"references")
        statement_id = self.plain(id_node)
        if statement_id is None or main is None or main.kind != "object":
            raise _UnusualError
        _expect(_STATEMENT_ID.fullmatch(statement_id) is not None)
        part.ids.append(statement_id)
        prop, datatype = self.read(main, b"property", b"datatype")
        _expect(self.plain(prop) == part.key)
        if datatype is not None and datatype.kind == "string":
            _expect(self.plain(datatype) is not None)
            part.identifiers += self.plain(datatype) == b"external-id"
        opaque = [self._snak(main), qualifiers is not None and self._snak_map(qualifiers)]
        if references is not None:
            opaque.append(references.kind != "array")
            opaque += [self._reference(reference) for reference in references.elements]
        return any(opaque)

    def _snak_map(self, node: _Node) -> bool:
        if node.kind != "object":
            return node.kind != "array" or bool(node.elements)
        opaque = [snaks.kind != "array" for _, snaks in node.members]
        opaque += [self._snak(snak) for _, snaks in node.members for snak in snaks.elements]
        return any(opaque)

    def _reference(self, node: _Node) -> bool:
        if node.kind != "object":
            return True
        digest, snaks = self.read(node, b"hash", b"snaks")
        opaque = snaks is None or self._snak_map(snaks)
        return opaque or _LOCAL_NAME.fullmatch(self.plain(digest) or b"") is None

    def _snak(self, node: _Node) -> bool:
        if node.kind != "object":
            return True
        kind, datavalue = self.read(node, b"snaktype", b"datavalue")
        opaque = datavalue is not None and self._datavalue(datavalue)
        return opaque or self.plain(kind) is None or (self.plain(kind) == b"value" and datavalue is None)

    def _datavalue(self, node: _Node) -> bool:
        if node.kind != "object":
            return True
        kind, value = self.read(node, b"type", b"value")
        time = self.read(value, b"time")[0] if value is not None and value.kind == "object" else None
        if self.plain(kind) == b"time":
            return time is None or time.kind != "string"
        return self.plain(kind) is None

    def written(self) -> bytes:
        """Return the JSON of what is not alike."""
        members = []
        for name in MAPS:
            inside = [b'"%s":%s' % (part.key, part.raw) for part in self.parts if part.name == name and not part.alike]
            if inside:
                members.append(b'"%s":{%s}' % (name.encode(), b",".join(inside)))
        members += [b'"%s":%s' % (part.key, part.raw) for part in self.parts if not part.name]
        return b"{%s}" % b",".join(members)


def compare_twin(old: bytes, new: bytes, /) -> _Raw | None:
    """Return what compare_native returns."""
    try:
        before, after = _Text(old), _Text(new)
        _match(before, after)
    except _UnusualError:
        return None
    alike = [part for part in before.parts if part.name and part.alike]
    groups = [part for part in alike if part.name == "claims"]
    sitelinks = sum(part.name == "sitelinks" for part in alike)
    rows = [
        _ROW.pack(
            *(part.key_start, len(part.key), part.value.start, len(part.raw)),
            *(len(part.ids), part.identifiers, part.opaque),
        )
        for part in groups
    ]
    terms, statements = len(alike) - len(groups) - sitelinks, sum(len(part.ids) for part in groups)
    return before.written(), after.written(), terms, sitelinks, statements, b"".join(rows)


def _match(before: _Text, after: _Text) -> None:
    """Say which parts are alike, and check that ids tell groups apart."""
    known = {(part.name, part.key): part for part in before.parts}
    for part in after.parts:
        other = known.get((part.name, part.key))
        if other is not None:
            part.alike = other.alike = part.raw == other.raw
    links = [part for part in (*before.parts, *after.parts) if part.name == "sitelinks"]
    if not all(part.alike for part in links):
        for part in links:
            part.alike = False
    ids = [statement_id for part in before.parts for statement_id in part.ids]
    _expect(len(set(ids)) == len(ids))
    kept = {statement_id for part in before.parts if part.alike for statement_id in part.ids}
    _expect(kept.isdisjoint(statement_id for part in after.parts if not part.alike for statement_id in part.ids))
