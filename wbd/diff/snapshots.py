"""What changed in the RDF of an entity, between two snapshots as the store has them. Pure: bytes in, lines out.

Snapshots of consecutive revisions share nearly all of their bytes, and to parse both takes longer than all that
follows. So parts with equal bytes are left out (spans.py), the others parsed, and compared as diff.py does. Whatever
is not taken for granted is parsed whole.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, Final

import orjson

from wbd.diff.entities import Side, comparable, diff_entities, diff_parts
from wbd.diff.spans import Comparison, Group, compare
from wbd.diff.unchanged import Rest
from wbd.mapping.context import MappingContext, PropertyTerms
from wbd.mapping.entity import FAULTS
from wbd.rdf.graph_diff import RdfDiff

# To search for more takes longer than to parse.
_NEEDLES_MAX: Final = 12


def diff_snapshots(old: bytes, new: bytes, context: MappingContext) -> RdfDiff:
    """
    Return what changed in the RDF of an entity: diff_entities of both sides' JSON.

    As there, faults in parts that both sides have alike may go unseen.

    Raises:
        BadEntity: a side breaks the data model.
        ValueError: a side is no JSON; see orjson.JSONDecodeError.
    """
    found = diff_alike(old, new, context)
    return diff_entities(orjson.loads(old), orjson.loads(new), context) if found is None else found


def diff_alike(old: bytes, new: bytes, context: MappingContext, entity_id: str | None = None) -> RdfDiff | None:
    """
    Return the same where only what differs has to be parsed for it; None otherwise, which says nothing yet.

    Args:
        entity_id: None, or the id that both sides have to have.
    """
    found = compare(old, new)
    if found is None:
        return None
    try:
        before, after = orjson.loads(found.old), orjson.loads(found.new)
        if not comparable(before, after) or (entity_id is not None and before.get("id") != entity_id):
            return None
        return diff_parts(Side(before, None, None), Side(after, None, None), context, _Alike(old, found))
    except FAULTS:
        # To say what is wrong, and whether it comes first, takes both sides whole.
        return None


class _Alike(Rest):
    """The parts that both snapshots have with the same bytes."""

    __slots__ = ("_comparison", "_old")

    def __init__(self, old: bytes, comparison: Comparison) -> None:
        super().__init__(comparison.terms, comparison.sitelinks, comparison.statements)
        self._old = old
        self._comparison = comparison

    def identifiers(self, properties: Mapping[str, PropertyTerms]) -> int:
        number = 0
        for group in self._comparison.groups():
            datatype = properties[self._key(group.key, group.key_bytes)].datatype
            if not datatype:
                number += group.identifiers
            elif datatype == "external-id":
                number += group.statements
        return number

    def groups(self, hashes: Set[str], value_keys: Set[str]) -> list[Sequence[Mapping[str, Any]]]:
        needles = _needles(hashes, value_keys)
        if needles is not None and not self._comparison.any_opaque() and not any(n in self._old for n in needles):
            # A new reference mostly: nothing else has it.
            return []
        groups = list(self._comparison.groups())
        wanted = {index for index, group in enumerate(groups) if group.opaque or needles is None}
        for needle in needles or ():
            wanted.update(_with(needle, self._old, groups))
        spans = [(groups[index].value, groups[index].value_bytes) for index in sorted(wanted)]
        found: list[Sequence[Mapping[str, Any]]] = orjson.loads(
            b"[%s]" % b",".join([self._old[start : start + size_bytes] for start, size_bytes in spans])
        )
        return found

    def _key(self, start: int, size_bytes: int) -> str:
        return self._old[start : start + size_bytes].decode()


def _with(needle: bytes, text: bytes, groups: Sequence[Group]) -> Iterator[int]:
    """Yield the places of the groups, which are in the order of the text, that hold a needle."""
    starts = [group.value for group in groups]
    index = 0
    while index < len(groups):
        at = text.find(needle, starts[index])
        if at < 0:
            return
        # What lies between two groups belongs to the one before, and is behind its end.
        index = bisect_right(starts, at, index) - 1
        if at < starts[index] + groups[index].value_bytes:
            yield index
        index += 1


def _needles(hashes: Set[str], value_keys: Set[str]) -> set[bytes] | None:
    """Return bytes of which a group that is not opaque has one, if it has such a reference or value; None for any."""
    if len(hashes) + len(value_keys) > _NEEDLES_MAX:
        return None
    needles = {name.encode() for name in hashes}
    for key in value_keys:
        # A time's text, or the name of a type.
        needles.add(orjson.dumps(key)[1:-1])
    return needles
