"""What changed in the RDF of an entity, between two snapshots as the store has them. Pure: bytes in, lines out.

Snapshots of consecutive revisions share nearly all of their bytes, and to parse both takes longer than all that
follows. So parts with equal bytes are left out (spans.py), the others parsed, and compared as diff.py does. Whatever
is not taken for granted is parsed whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any, Final

import orjson

from wbd.rdf.context import MappingContext, PropertyTerms
from wbd.rdf.diff import RdfDiff, Rest, Side, comparable, diff_entities, diff_parts
from wbd.rdf.mapping import FAULTS
from wbd.rdf.spans import Comparison, compare

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
        old, texts = self._old, []
        for group in self._comparison.groups():
            start, end = group.value, group.value + group.value_bytes
            if needles is None or group.opaque or any(old.find(needle, start, end) >= 0 for needle in needles):
                texts.append(old[start:end])
        groups: list[Sequence[Mapping[str, Any]]] = orjson.loads(b"[%s]" % b",".join(texts))
        return groups

    def _key(self, start: int, size_bytes: int) -> str:
        return self._old[start : start + size_bytes].decode()


def _needles(hashes: Set[str], value_keys: Set[str]) -> set[bytes] | None:
    """Return bytes of which a group that is not opaque has one, if it has such a reference or value; None for any."""
    if len(hashes) + len(value_keys) > _NEEDLES_MAX:
        return None
    needles = {name.encode() for name in hashes}
    for key in value_keys:
        # A time's text, or the name of a type.
        needles.add(orjson.dumps(key)[1:-1])
    return needles
