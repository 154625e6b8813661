"""Take what two revisions of a property group have alike out of it, so that one edit of many statements maps one.

A statement has three parts: value and rank, qualifiers, references. The first becomes the same triples on both sides if
it is the same and is one of the best of its group on both or on neither, each of the others if it is the same. What
parts share is little: nodes of values and references, and truthy triples, which two statements with one value have in
common.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wbd.mapping.statements import best_rank, local_name

Statement = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Group:
    """
    The statements of a property on both sides.

    before, after: those whose value or rank differs, without the other parts that both have; in full where a side has
        no value.
    details_before, details_after: of the others that differ only the id and the parts that do.
    alike: what both sides have, statements or parts of them: the same triples on both, compared as Python compares.
    best_before, best_after: the rank of the best ones, of all statements.

    Where an id comes twice, or two statements share a node, of this property or another one, as corrupt JSON can have
    it, before and after are all statements.
    """

    before: list[Statement]
    after: list[Statement]
    details_before: list[Statement]
    details_after: list[Statement]
    alike: list[Statement]
    best_before: str
    best_after: str


def compare_groups(sides: Iterable[tuple[Sequence[Statement], Sequence[Statement]]]) -> list[Group]:
    """Return which statements of each property differ, and in what, from all that they have before and after."""
    sides = list(sides)
    nodes: set[str] = set()
    number = 0
    for before, after in sides:
        names = {statement["id"] for statement in before}
        if len(names) < len(before):
            return _whole(sides)
        others = {statement["id"] for statement in after}
        if len(others) < len(after):
            return _whole(sides)
        names |= others
        number += len(names)
        nodes.update(map(local_name, names))
    if len(nodes) < number:
        return _whole(sides)
    return [_compare(before, after) for before, after in sides]


def _whole(sides: Iterable[tuple[Sequence[Statement], Sequence[Statement]]]) -> list[Group]:
    """Compare nothing: which one would be compared with which would depend on their order."""
    return [Group([*before], [*after], [], [], [], best_rank(before), best_rank(after)) for before, after in sides]


def _compare(before: Sequence[Statement], after: Sequence[Statement]) -> Group:
    found = Group([], [], [], [], [], best_rank(before), best_rank(after))
    others = {statement["id"]: statement for statement in after}
    for statement in before:
        other = others.pop(statement["id"], None)
        if other is None:
            found.before.append(statement)
            continue
        rank = statement.get("rank", "normal")
        as_good = (rank == found.best_before) == (rank == found.best_after)
        if as_good and statement == other:
            found.alike.append(statement)
        else:
            _divide(statement, other, as_good and rank == other.get("rank", "normal"), found)
    found.after.extend(others.values())
    return found


def _divide(statement: Statement, other: Statement, same_rank: bool, found: Group) -> None:
    """Add a statement that both sides have, and that differs, to *found*, part by part."""
    mains = statement["mainsnak"], other["mainsnak"]
    if any(main["snaktype"] == "novalue" for main in mains):
        # A qualifier that says so too makes the same triple.
        found.before.append(statement)
        found.after.append(other)
        return
    alike: dict[str, Any] = {"id": statement["id"]}
    before, after = alike.copy(), alike.copy()
    for name in ("qualifiers", "references"):
        part = statement.get(name)
        if part == other.get(name):
            alike[name] = part
        else:
            before[name], after[name] = part, other.get(name)
    if same_rank and mains[0] == mains[1]:
        alike |= {"rank": statement.get("rank", "normal"), "mainsnak": mains[0]}
        found.details_before.append(before)
        found.details_after.append(after)
    else:
        for side, whole, own in ((before, statement, found.before), (after, other, found.after)):
            side |= {"rank": whole.get("rank", "normal"), "mainsnak": whole["mainsnak"]}
            own.append(side)
    found.alike.append(alike)
