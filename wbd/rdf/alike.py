"""Take what two revisions of a property group have alike out of it, so that one edit of many statements maps one.

A statement becomes the same triples on both sides if it is the same and is one of the best of its group on both or on
neither. What it shares with the others of its group is little: nodes of values and references, and truthy triples,
which two statements with one value have in common.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wbd.rdf.statements import best_rank, local_name

Statement = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Group:
    """
    The statements of a property on both sides.

    before, after: those that differ, and all where statements share a node, as corrupt JSON can have it.
    alike: those that both sides have and that become the same triples on both.
    best_before, best_after: the rank of the best ones, of all statements.
    """

    before: Sequence[Statement]
    after: Sequence[Statement]
    alike: Sequence[Statement]
    best_before: str
    best_after: str


def compare_group(before: Sequence[Statement], after: Sequence[Statement]) -> Group:
    """Return which statements of a property differ; compared as Python compares."""
    best_before, best_after = best_rank(before), best_rank(after)
    others = {statement["id"]: statement for statement in after}
    alike: list[Statement] = []
    own: list[Statement] = []
    taken = set()
    for statement in before:
        other = others.get(statement["id"])
        rank = statement.get("rank", "normal")
        if other == statement and (rank == best_before) == (rank == best_after):
            alike.append(statement)
            taken.add(id(other))
        else:
            own.append(statement)
    rest = [statement for statement in after if id(statement) not in taken]
    nodes = {local_name(statement["id"]) for side in (own, rest) for statement in side}
    if any(local_name(statement["id"]) in nodes for statement in alike):
        return Group(before, after, (), best_before, best_after)
    return Group(own, rest, alike, best_before, best_after)
