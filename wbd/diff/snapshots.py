"""Two snapshots of an entity, as the store has them, become the triples that were added and removed. Pure, no I/O.

Consecutive revisions share nearly all bytes, and parsing both takes longer than everything after it. So parts with
equal bytes are omitted (spans.py), and the others are parsed and compared as in entities.py. Snapshots that spans.py
does not compare are parsed completely.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, Final

import orjson

from wbd.diff.entities import Side, comparable, diff_entities, diff_parts
from wbd.diff.spans import Comparison, Part, compare
from wbd.diff.unchanged import UnchangedParts
from wbd.mapping.context import MappingContext, PropertyTerms
from wbd.mapping.entity import FAULTS
from wbd.rdf.graph_diff import RdfDiff

# Parsing is faster than searching for more.
_NEEDLES_MAX: Final = 12


def diff_snapshots(old: bytes, new: bytes, context: MappingContext) -> RdfDiff:
    """
    Return what changed in the RDF of an entity: diff_entities of both sides' JSON.

    As there, a fault in an unchanged part may not be reported.

    Raises:
        BadEntity: a side breaks the data model.
        ValueError: a side is not JSON; see orjson.JSONDecodeError.
    """
    diff = diff_changed_parts(old, new, context)
    return diff_entities(orjson.loads(old), orjson.loads(new), context) if diff is None else diff


def diff_changed_parts(old: bytes, new: bytes, context: MappingContext, entity_id: str | None = None) -> RdfDiff | None:
    """
    Return the same diff if parsing the parts that differ is enough for it; None if both sides have to be parsed.

    Args:
        entity_id: the id that both sides must have; None for any.
    """
    comparison = compare(old, new)
    if comparison is None:
        return None
    try:
        before, after = orjson.loads(comparison.old), orjson.loads(comparison.new)
        if not comparable(before, after) or (entity_id is not None and before.get("id") != entity_id):
            return None
        if "statements" in before or "statements" in after:
            # They would stand in for claims, all of which may be omitted.
            return None
        sides = Side(before, None, None), Side(after, None, None)
        return diff_parts(*sides, context, _UnchangedInBytes(old, comparison))
    except FAULTS:
        # The message names the first fault, which may be in another part.
        return None


class _UnchangedInBytes(UnchangedParts):
    """The parts that both snapshots have with the same bytes."""

    __slots__ = ("_comparison", "_old")

    has_terms = True

    def __init__(self, old: bytes, comparison: Comparison) -> None:
        self._old = old
        self._comparison = comparison

    def statements(self) -> int:
        return self._comparison.statements()

    def identifiers(self, properties: Mapping[str, PropertyTerms]) -> int:
        number = 0
        for group in self._comparison.groups():
            property_id = self._old[group.start + 1 : group.start + 1 + group.key_bytes].decode()
            datatype = properties[property_id].datatype
            if not datatype:
                number += group.identifiers
            elif datatype == "external-id":
                number += group.statements
        return number

    def groups(self, hashes: Set[str], value_keys: Set[str]) -> list[Sequence[Mapping[str, Any]]]:
        needles = _needles(hashes, value_keys)
        if needles is not None and not self._comparison.any_opaque() and not any(n in self._old for n in needles):
            # Usually a new reference, which nothing else has.
            return []
        groups = list(self._comparison.groups())
        wanted = {index for index, group in enumerate(groups) if group.opaque or needles is None}
        for needle in needles or ():
            wanted.update(_groups_with(needle, self._old, groups))
        values = [_value(self._old, groups[index]) for index in sorted(wanted)]
        parsed: list[Sequence[Mapping[str, Any]]] = orjson.loads(b"[%s]" % b",".join(values))
        return parsed


def _value(text: bytes, part: Part) -> bytes:
    # Behind the key, its two quotes and the colon.
    return text[part.start + part.key_bytes + 3 : part.start + part.size_bytes]


def _groups_with(needle: bytes, text: bytes, groups: Sequence[Part]) -> Iterator[int]:
    """Yield the indexes of the groups, which are in the order of the text, that hold a needle."""
    starts = [group.start for group in groups]
    index = 0
    while index < len(groups):
        at = text.find(needle, starts[index])
        if at < 0:
            return
        # Bytes between two groups count to the one before, and are behind its end.
        index = bisect_right(starts, at, index) - 1
        if at < starts[index] + groups[index].size_bytes:
            yield index
        index += 1


def _needles(hashes: Set[str], value_keys: Set[str]) -> set[bytes] | None:
    """Return bytes, one of which every clear group with such a reference or value has; None if there are too many."""
    if len(hashes) + len(value_keys) > _NEEDLES_MAX:
        return None
    needles = {name.encode() for name in hashes}
    for key in value_keys:
        # A time's text, or the name of a type.
        needles.add(orjson.dumps(key)[1:-1])
    return needles
