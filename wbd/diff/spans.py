"""Two snapshots of an entity become two smaller JSON texts without the parts that did not change. Pure, no I/O.

The parts are found in C, where the extension was built; spans.h is the contract, and tests/native/spans_twin.py
specifies it in Python. Without the extension every snapshot is parsed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

MAPS: Final = (b"labels", b"descriptions", b"aliases", b"claims")

# spans_row, all of it and only where a part is; the values of its map.
_ROW: Final = struct.Struct("=Q5I2BH")
_SPAN: Final = struct.Struct("=8x2I12xB3x")
_STATEMENTS_AT, _OPAQUE_AT = 20, 29
_OTHER, _FIRST_MAP, _SITELINKS = 0, 1, 5


class Part(NamedTuple):
    """
    A row of spans.h: a part as ``"key":value``.

    start: offset of the key's opening quote.
    identifiers: statements whose main snak has the datatype external-id.
    opaque: a reference has no hash, so the bytes do not show its node.
    """

    hash: int
    start: int
    size_bytes: int
    key_bytes: int
    statements: int
    identifiers: int
    map: int
    opaque: int
    unchanged: int


class Comparison(NamedTuple):
    """
    Two snapshots without their unchanged parts.

    old, new: each an entity as JSON, with all top-level members that are not maps; without the sitelinks if both
        snapshots have the same.
    rows: the unchanged groups as packed parts, in the order of the old snapshot.
    """

    old: bytes
    new: bytes
    rows: bytes

    def groups(self) -> Iterator[Part]:
        """Yield the unchanged groups."""
        return map(Part._make, _ROW.iter_unpack(self.rows))

    def statements(self) -> int:
        """Count the statements of the unchanged groups."""
        return sum(memoryview(self.rows).cast("I")[_STATEMENTS_AT // 4 :: _ROW.size // 4])

    def any_opaque(self) -> bool:
        """Tell whether a group is opaque, without unpacking all."""
        return any(self.rows[_OPAQUE_AT :: _ROW.size])


Rows = tuple[bytes, int, int]
"""Packed rows: of unchanged groups, of changed parts of the old side and of the new one; the ends of the first two."""
compare_native: Callable[[bytes, bytes], Rows | None] | None
try:
    from wbd.diff._spans import compare as compare_native
except ModuleNotFoundError:
    # Not built. An extension that is there and cannot be loaded is a broken installation and raises ImportError.
    compare_native = None


def compare(old: bytes, new: bytes) -> Comparison | None:
    """Return two snapshots without their unchanged parts; None if either is unusual, or without the extension."""
    compared = None if compare_native is None else compare_native(old, new)
    return None if compared is None else comparison_of(old, new, compared)


def comparison_of(old: bytes, new: bytes, compared: Rows) -> Comparison:
    """Return what the rows of two snapshots stand for."""
    rows, groups, old_side = compared
    before, after = groups * _ROW.size, old_side * _ROW.size
    return Comparison(_reduced(old, rows[before:after]), _reduced(new, rows[after:]), rows[:before])


def _reduced(text: bytes, rows: bytes) -> bytes:
    """Return the JSON of an entity with only these parts."""
    places: list[list[bytes]] = [[], [], [], [], [], []]
    for start, size_bytes, place in _SPAN.iter_unpack(rows):
        places[place].append(text[start : start + size_bytes])
    members = places[_OTHER] + places[_SITELINKS]
    for name, parts in zip(MAPS, places[_FIRST_MAP:_SITELINKS], strict=True):
        if parts:
            members.append(b'"%s":{%s}' % (name, b",".join(parts)))
    return b"{%s}" % b",".join(members)
