"""What an edit changed: `diff_entities`.

Oracle: where both sides map, the diff by parts is the difference of the two mappings as sets, with the linked and
unlinked triples that follow from the whole graphs; applied to the old lines it gives the new ones; what is linked
was added and what is unlinked was removed; turned round it is the diff of the way back. Where a side is broken, the
diff is BadEntity with a place, or it looked into nothing that is broken: then the way back is the same turned round.
One broken side alone, whose part then differs, is always BadEntity. Sides that the import accepts have a diff. Parts
that are equal in Python are the same part: to tell 0 from -0.0 and from false is not promised.

Input: choices of a generated entity, changes that make the old side of it, and more that make the new one.
"""

from __future__ import annotations

import copy
from typing import Any

from tests.fuzz import entities
from tests.fuzz.choices import Choices
from tests.fuzz.mapping import differ
from wbd.diff.entities import diff_entities, diff_lines
from wbd.errors import BadEntity
from wbd.mapping.context import MappingContext
from wbd.rdf.graph_diff import RdfDiff, apply

MAX_INPUT_BYTES = 2048
SEEDS = (
    *(bytes([0, number, 0, 0, 2, 0, number, number * 5 % 256, 3, number, 9, 9, 4]) for number in range(10, 100)),
    *(bytes([3, number, 2, 0, number, 1, 1, 0, 0, number, 1, 2, number, 1, 5, 7, 7]) for number in range(10, 100, 3)),
    *(bytes([8, number, 0, (number + 40) % 100]) for number in range(40, 100)),
)


def _diff(old: Any, new: Any, context: MappingContext) -> RdfDiff | BadEntity:
    try:
        return diff_entities(old, new, context)
    except BadEntity as error:
        return error


def _take_equals(old: Any, new: Any) -> None:
    """Make parts of the new side that are equal to those of the old one the very same."""
    for key, part in new.items():
        if key not in old:
            continue
        if part == old[key]:
            new[key] = copy.deepcopy(old[key])
        elif isinstance(part, dict) and isinstance(old[key], dict):
            for name, member in part.items():
                if name not in old[key]:
                    continue
                other = old[key][name]
                if member == other:
                    part[name] = copy.deepcopy(other)
                elif isinstance(member, list) and isinstance(other, list):
                    part[name] = [copy.deepcopy(next((old for old in other if old == one), one)) for one in member]


def check(data: bytes) -> None:
    choices = Choices(data)
    context = entities.context(choices)
    old = entities.changed(entities.pick(choices), choices)
    if choices.byte() & 1:
        new = entities.changed(entities.pick(choices), choices)
        new.setdefault("id", old.get("id"))
    else:
        new = entities.changed(old, choices)
    _take_equals(old, new)
    sides = copy.deepcopy((old, new))
    there, back = _diff(old, new, context), _diff(new, old, context)
    assert repr((old, new)) == repr(sides), "the diff changed its input"
    before, after = entities.mapped(old, context), entities.mapped(new, context)
    if entities.is_accepted(old) and entities.is_accepted(new):
        assert isinstance(there, RdfDiff), f"both sides are accepted, and the diff is {there!r}"
    if isinstance(there, BadEntity):
        assert there.place, f"no place: {there}"
        assert isinstance(back, BadEntity), "broken in one direction only"
        broken = [side for side in (before, after) if isinstance(side, BadEntity)]
        assert broken, f"both sides map, and the diff is {there!r}"
        return
    assert not isinstance(back, BadEntity), f"broken in one direction only: {back}"
    assert (there.added, there.removed) == (back.removed, back.added)
    assert (there.linked_shared, there.unlinked_shared) == (back.unlinked_shared, back.linked_shared)
    assert set(there.linked_shared) <= set(there.added) and set(there.unlinked_shared) <= set(there.removed)
    if isinstance(before, list) and isinstance(after, list):
        of_graphs = diff_lines(before, after, context.vocabulary)
        for name in ("added", "removed", "linked_shared", "unlinked_shared"):
            by_parts, expected = getattr(there, name), getattr(of_graphs, name)
            assert by_parts == expected, f"{name} by parts and whole: {differ(by_parts, expected)}"
        assert apply(there, before) == sorted(after)
    else:
        assert not (isinstance(before, list) or isinstance(after, list)), "a fault that only one side has goes unseen"
