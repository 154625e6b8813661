"""Take what two revisions of a property group have alike out of it, so that one edit of many statements maps one.

A statement becomes the same triples on both sides if it is the same and is one of the best of its group on both or on
neither. What it shares with the others of its group is little: nodes of values and references, and truthy triples,
which two statements with one value have in common.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wbd.rdf.statements import best_rank, local_name

Statement = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Group:
    """
    The statements of a property on both sides.

    before, after: those that differ; all of them where an id comes twice, or one that differs shares its node with one
        that does not, of this property or another one, as corrupt JSON can have it.
    alike: those that both sides have and that become the same triples on both, compared as Python compares.
    best_before, best_after: the rank of the best ones, of all statements.
    """

    before: Sequence[Statement]
    after: Sequence[Statement]
    alike: Sequence[Statement]
    best_before: str
    best_after: str


def compare_groups(sides: Iterable[tuple[Sequence[Statement], Sequence[Statement]]]) -> list[Group]:
    """Return which statements of each property differ, from all that they have before and after."""
    sides = list(sides)
    groups = [_compare(before, after) for before, after in sides]
    nodes = {
        local_name(statement["id"]) for group in groups for side in (group.before, group.after) for statement in side
    }
    if any(local_name(statement["id"]) in nodes for group in groups for statement in group.alike):
        return [
            Group(before, after, (), group.best_before, group.best_after)
            for group, (before, after) in zip(groups, sides, strict=True)
        ]
    return groups


def _compare(before: Sequence[Statement], after: Sequence[Statement]) -> Group:
    best_before, best_after = best_rank(before), best_rank(after)
    old = {statement["id"]: statement for statement in before}
    new = {statement["id"]: statement for statement in after}
    if len(old) < len(before) or len(new) < len(after):
        # One id twice: which is compared with which would depend on their order.
        return Group(before, after, (), best_before, best_after)
    alike = {}
    for name, statement in old.items():
        rank = statement.get("rank", "normal")
        if new.get(name) == statement and (rank == best_before) == (rank == best_after):
            alike[name] = statement
    return Group(
        [statement for name, statement in old.items() if name not in alike],
        [statement for name, statement in new.items() if name not in alike],
        list(alike.values()),
        best_before,
        best_after,
    )
