"""Two revisions of a property group become the statements, and parts of statements, that differ: only these are mapped.

A statement has three parts: value and rank, qualifiers, references. Equal qualifiers or references make equal triples.
An equal value of equal rank does so if the statement is one of the best of its group on both sides or on neither. Parts
can share only nodes of values and references, and the truthy triples of statements with equal values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from wbd.mapping.statements import best_rank, local_name

Statement = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Group:
    """
    The statements of a property on both sides.

    before, after: statements whose value or rank differs, without their unchanged parts; complete if a side has the
        snak type novalue.
    details_before, details_after: the ids and the changed parts of the other statements that differ.
    unchanged: statements and parts of statements that are equal, and make the same triples on both sides.
    best_before, best_after: the best rank of all statements.

    If an id comes twice, or two statements of this or another property share a node, as only corrupt JSON has it,
    before and after are all statements.
    """

    before: list[Statement]
    after: list[Statement]
    details_before: list[Statement]
    details_after: list[Statement]
    unchanged: list[Statement]
    best_before: str
    best_after: str


def same_json(one: Any, other: Any) -> bool:
    """
    Tell whether two parsed JSON values are equal, numbers and booleans of different kinds apart.

    Python takes 11 and 11.0, or 1 and True, for equal, but a precision of 11.0 makes its snak broken. A different order
    of members counts as a difference, which costs time and changes no result.
    """
    if one != other:
        return False
    try:
        return orjson.dumps(one) == orjson.dumps(other)
    except TypeError:
        # Beyond what JSON writers take, such as an integer of 70 bits.
        return repr(one) == repr(other)


def compare_groups(sides: Iterable[tuple[Sequence[Statement], Sequence[Statement]]]) -> list[Group]:
    """Return for each property what differs between all its statements before and all its statements after."""
    sides = list(sides)
    nodes: set[str] = set()
    number = 0
    for before, after in sides:
        names = {statement["id"] for statement in before}
        if len(names) < len(before):
            return _all_changed(sides)
        others = {statement["id"] for statement in after}
        if len(others) < len(after):
            return _all_changed(sides)
        names |= others
        number += len(names)
        nodes.update(map(local_name, names))
    if len(nodes) < number:
        return _all_changed(sides)
    return [_compare(before, after) for before, after in sides]


def _all_changed(sides: Iterable[tuple[Sequence[Statement], Sequence[Statement]]]) -> list[Group]:
    """Treat all statements as changed: with ambiguous ids, pairs to compare would depend on the order."""
    return [Group([*before], [*after], [], [], [], best_rank(before), best_rank(after)) for before, after in sides]


def _compare(before: Sequence[Statement], after: Sequence[Statement]) -> Group:
    group = Group([], [], [], [], [], best_rank(before), best_rank(after))
    others = {statement["id"]: statement for statement in after}
    for statement in before:
        other = others.pop(statement["id"], None)
        if other is None:
            group.before.append(statement)
            continue
        rank = statement.get("rank", "normal")
        as_good = (rank == group.best_before) == (rank == group.best_after)
        if as_good and same_json(statement, other):
            group.unchanged.append(statement)
        else:
            _divide(statement, other, as_good and rank == other.get("rank", "normal"), group)
    group.after.extend(others.values())
    return group


def _divide(statement: Statement, other: Statement, same_rank: bool, group: Group) -> None:
    """Add a statement that both sides have, and that differs, to *group*, part by part."""
    mains = statement["mainsnak"], other["mainsnak"]
    if any(main["snaktype"] == "novalue" for main in mains):
        # A qualifier of the same property with novalue makes the same triple.
        group.before.append(statement)
        group.after.append(other)
        return
    unchanged: dict[str, Any] = {"id": statement["id"]}
    before, after = unchanged.copy(), unchanged.copy()
    for name in ("qualifiers", "references"):
        part = statement.get(name)
        if same_json(part, other.get(name)):
            unchanged[name] = part
        else:
            before[name], after[name] = part, other.get(name)
    if same_rank and same_json(mains[0], mains[1]):
        unchanged |= {"rank": statement.get("rank", "normal"), "mainsnak": mains[0]}
        group.details_before.append(before)
        group.details_after.append(after)
    else:
        for side, complete, own in ((before, statement, group.before), (after, other, group.after)):
            side |= {"rank": complete.get("rank", "normal"), "mainsnak": complete["mainsnak"]}
            own.append(side)
    group.unchanged.append(unchanged)
