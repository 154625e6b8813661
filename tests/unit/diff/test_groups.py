"""Unchanged statements of a property group are never mapped, and the triples that they share with others stay."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wbd.diff.entities
from tests.build.entities import DATATYPES
from tests.build.wikibase import (
    KILOMETRE,
    METRE,
    by_property,
    item,
    no_value,
    quantity,
    reference,
    snak,
    statement,
    text,
    time,
    unknown_value,
)
from wbd.diff.entities import diff_entities, diff_lines
from wbd.diff.groups import Group, compare_groups
from wbd.diff.snapshots import diff_snapshots
from wbd.mapping.context import FULL, TRUTHY, UPDATER, MappingContext
from wbd.mapping.entity import map_entity
from wbd.mapping.statements import StatementMapper
from wbd.rdf.graph_diff import RdfDiff

CONTEXT = MappingContext(
    formatter_uris={"P7": "http://ids.test/$1"}, units={METRE: ("1", METRE), KILOMETRE: ("1000", METRE)}
)
FLAVOURS = (FULL, TRUTHY, UPDATER)

# Of each property some that share a node or a triple, and some that do not.
VALUES: dict[str, list[dict[str, Any]]] = {
    "P3": [
        time(stamp, 9) for stamp in ("+2013-00-00T00:00:00Z", "+00000002013-00-00T00:00:00Z", "+2014-00-00T00:00:00Z")
    ],
    "P4": [quantity(amount, unit) for amount, unit in (("+1", KILOMETRE), ("+1000", METRE), ("+1", "1"))],
    "P7": [text(value) for value in ("x", "y", "x ")],
}


def typed(prop: str, value: dict[str, Any] | str) -> dict[str, Any]:
    """Return a snak with the property's datatype; a value that is text says what there is instead of one."""
    datatype = DATATYPES[prop.upper()]
    if isinstance(value, str):
        return (no_value if value == "novalue" else unknown_value)(prop, datatype=datatype)
    return snak(prop, value, datatype=datatype)


def claims(**groups: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return an item of these statements."""
    return item(claims=groups, lastrevid=1)


def check(old: dict[str, Any], new: dict[str, Any]) -> RdfDiff:
    """Compare with whole mappings, both ways, in every flavour, from objects and from bytes; return it in full."""
    for flavour in reversed(FLAVOURS):
        context = dataclasses.replace(CONTEXT, flavour=flavour)
        for before, after in ((old, new), (new, old)):
            lines = (map_entity(before, context), map_entity(after, context))
            change = diff_entities(before, after, context)
            assert change == diff_lines(*lines, context.vocabulary)
            assert diff_snapshots(orjson.dumps(before), orjson.dumps(after), context) == change
    return diff_entities(old, new, CONTEXT)


def snaks(prop: str) -> st.SearchStrategy[dict[str, Any]]:
    values: list[dict[str, Any] | str] = [*VALUES[prop], "novalue", "somevalue"]
    return st.sampled_from(values).map(lambda value: typed(prop, value))


any_snaks = st.sampled_from(sorted(VALUES)).flatmap(snaks)
references = any_snaks.map(reference)


@st.composite
def statements(draw: st.DrawFn, prop: str) -> dict[str, Any]:
    # The first three may come in other properties too; two of them name one node.
    guid = draw(st.sampled_from(["Q1$same", "Q1$one", "Q1-one", *(f"Q1${prop}-{number}" for number in range(4))]))
    rank = draw(st.sampled_from(["normal", "normal", "normal", "preferred", "deprecated"]))
    made = statement(guid, draw(snaks(prop)), rank=rank)
    if draw(st.booleans()):
        qualifier = draw(any_snaks)
        made["qualifiers"] = by_property(qualifier)
    made["references"] = draw(st.lists(references, max_size=1))
    return made


@st.composite
def edits(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two sides of groups whose statements mostly stay, in part or whole, may come twice, and share all they can."""
    sides: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for prop in draw(st.lists(st.sampled_from(sorted(VALUES)), unique=True, min_size=1, max_size=2)):
        unchanged = draw(st.lists(statements(prop), max_size=4))
        for side in sides:
            side[prop] = draw(st.permutations([*unchanged, *draw(st.lists(statements(prop), max_size=1))]))
            if side[prop] and draw(st.booleans()):
                place = draw(st.integers(0, len(side[prop]) - 1))
                parts = draw(st.lists(st.sampled_from(["rank", "mainsnak", "qualifiers", "references"]), unique=True))
                side[prop][place] = with_parts_of(side[prop][place], draw(statements(prop)), parts)
    return claims(**sides[0]), claims(**sides[1])


def with_parts_of(one: dict[str, Any], other: dict[str, Any], parts: list[str]) -> dict[str, Any]:
    unchanged = {name: part for name, part in one.items() if name not in parts}
    return unchanged | {name: other[name] for name in parts if name in other}


@settings(deadline=None, max_examples=150)
@given(edits())
def test_the_diff_of_groups_is_that_of_whole_mappings(sides: tuple[dict[str, Any], dict[str, Any]]) -> None:
    check(*sides)


ONE, SAME, OTHER = (typed("P4", value) for value in VALUES["P4"])


@pytest.mark.parametrize("prop", sorted(VALUES))
def test_a_truthy_value_that_another_statement_has_too_stays(prop: str) -> None:
    unchanged, gone = (statement(f"Q1${guid}", typed(prop, VALUES[prop][0])) for guid in "ab")
    change = check(claims(**{prop: [unchanged, gone]}), claims(**{prop: [unchanged]}))
    assert change.removed and not any("/prop/direct" in line for line in change.removed)
    deprecated = unchanged | {"rank": "deprecated"}
    change = check(claims(**{prop: [deprecated, gone]}), claims(**{prop: [deprecated]}))
    assert any("/prop/direct/" in line for line in change.removed)


def test_an_identifier_s_iri_that_another_statement_has_too_stays() -> None:
    """Where only snaks tell the datatype, two of a property can have one text, and one of them an IRI besides."""
    unchanged, before = statement("Q1$a", typed("P7", VALUES["P7"][0])), statement("Q1$b", typed("P7", VALUES["P7"][0]))
    after = statement("Q1$b", typed("P7", VALUES["P7"][0]) | {"datatype": "string"})
    change = check(claims(P7=[unchanged, before]), claims(P7=[unchanged, after]))
    assert change.removed and not any("/prop/direct" in line for line in change.removed)


def test_that_a_property_has_no_value_stays_while_a_statement_says_so() -> None:
    unchanged, gone = (statement(f"Q1${guid}", typed("P7", "novalue")) for guid in "ab")
    change = check(claims(P7=[unchanged, gone]), claims(P7=[unchanged]))
    assert not any(
        line.startswith("<http://www.wikidata.org/entity/Q1>") and "novalue" in line for line in change.removed
    )


def test_a_value_node_that_is_the_normalized_one_of_another_statement_stays() -> None:
    unchanged, gone = statement("Q1$a", ONE), statement("Q1$b", SAME)
    change = check(claims(P4=[unchanged, gone]), claims(P4=[unchanged]))
    assert any("/prop/direct/" in line for line in change.removed)
    assert not any(line.startswith("<http://www.wikidata.org/value/") for line in change.removed)


def test_a_reference_that_another_statement_of_the_group_has_too_stays() -> None:
    references = [reference(typed("P3", VALUES["P3"][0]))]
    unchanged, gone = statement("Q1$a", ONE, references=references), statement("Q1$b", OTHER, references=references)
    change = check(claims(P4=[unchanged, gone]), claims(P4=[unchanged]))
    assert not any(line.startswith("<http://www.wikidata.org/reference/") for line in change.removed)
    assert change.unlinked_shared and all("/value/" in line for line in change.unlinked_shared)


def test_a_preferred_statement_takes_the_rank_of_the_others() -> None:
    first, second = statement("Q1$a", ONE), statement("Q1$b", OTHER)
    change = check(claims(P4=[first]), claims(P4=[first, second | {"rank": "preferred"}]))
    assert sum("BestRank" in line for line in change.added) == sum("BestRank" in line for line in change.removed) == 1


def test_statements_in_another_order_are_no_change() -> None:
    some = [statement(f"Q1${number}", ONE) for number in range(5)]
    assert not check(claims(P4=some), claims(P4=some[::-1]))


def test_statements_of_one_node_are_compared_all() -> None:
    first, second = statement("Q1$a", ONE), statement("Q1-a", OTHER)
    again = first | {"rank": "deprecated"}
    sides: list[tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]] = [
        ([first, second], [first]),
        ([first, again], [first]),
        ([first, first], [first]),
    ]
    for before, after in sides:
        (group,) = compare_groups([(before, after)])
        assert group == Group(before, after, [], [], [], "normal", "normal")
        check(claims(P4=before), claims(P4=after))


def test_one_statement_in_two_properties_that_change_is_compared_in_both() -> None:
    unchanged, gone = statement("Q1$a", ONE), statement("Q1$a", typed("P7", VALUES["P7"][0]))
    more = (statement("Q1$b", OTHER), statement("Q1$c", typed("P7", VALUES["P7"][1])))
    check(claims(P4=[unchanged, more[0]], P7=[gone, more[1]]), claims(P4=[unchanged], P7=[]))
    check(claims(P4=[unchanged, more[0]], P7=[more[1]]), claims(P4=[unchanged], P7=[gone]))


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many statements of a property were mapped, but for details, on either side; whole entities cannot be."""
    numbers: list[int] = []

    class Counting(StatementMapper):
        def group(self, subject: str, statements: Any, best: str) -> None:
            numbers.append(len(statements))
            super().group(subject, statements, best)

    monkeypatch.setattr("wbd.mapping.entity.StatementMapper", Counting)
    monkeypatch.setattr(wbd.diff.entities, "map_entity", None)
    return numbers


def test_only_statements_that_differ_are_mapped(mapped: list[int]) -> None:
    many = [statement(f"Q1${number}", OTHER) for number in range(3000)]
    edited = [*many[:-1], many[-1] | {"mainsnak": ONE}]
    assert diff_entities(claims(P4=many), claims(P4=edited), CONTEXT)
    assert mapped == [1, 1]


@pytest.mark.parametrize("part", ["qualifiers", "references"])
def test_of_a_statement_with_one_more_detail_only_that_is_mapped(part: str, mapped: list[int]) -> None:
    details: dict[str, Any] = {"qualifiers": {"P4": [SAME]}, "references": [reference(SAME)]}
    more = {"qualifiers": {"P4": [SAME, OTHER]}, "references": [reference(typed("P7", "novalue"))]}
    old = statement("Q1$a", ONE, **details)
    new = old | {part: more[part]}
    (group,) = compare_groups([([old], [new])])
    assert (group.before, group.after) == ([], [])
    assert (group.details_before, group.details_after) == (
        [{"id": "Q1$a", part: details[part]}],
        [{"id": "Q1$a", part: more[part]}],
    )
    assert group.unchanged == [{name: value for name, value in old.items() if name not in (part, "type")}]
    assert diff_entities(claims(P4=[old]), claims(P4=[new]), CONTEXT)
    assert mapped == [0, 0]
    check(claims(P4=[old]), claims(P4=[new]))


def test_a_change_of_rank_leaves_qualifiers_and_references_unchanged() -> None:
    details: dict[str, Any] = {"qualifiers": {"P4": [SAME]}, "references": [reference(SAME)]}
    old = statement("Q1$a", ONE, **details)
    (group,) = compare_groups([([old], [old | {"rank": "deprecated"}])])
    assert (group.before, group.details_before) == ([{"id": "Q1$a", "rank": "normal", "mainsnak": ONE}], [])
    assert (group.after, group.details_after) == ([{"id": "Q1$a", "rank": "deprecated", "mainsnak": ONE}], [])
    assert group.unchanged == [{"id": "Q1$a", **details}]
    check(claims(P4=[old]), claims(P4=[old | {"rank": "deprecated"}]))


@pytest.mark.parametrize("rank", ["normal", "deprecated"])
def test_a_value_that_another_part_of_the_statement_has_too_stays(rank: str) -> None:
    old = statement("Q1$a", ONE, references=[reference(ONE)])
    new = old | {"qualifiers": {"P4": [ONE]}, "references": [], "rank": rank}
    change = check(claims(P4=[old]), claims(P4=[new]))
    assert change.added and not any(line.startswith("<http://www.wikidata.org/value/") for line in change.added)
    assert change.removed and not any(line.startswith("<http://www.wikidata.org/value/") for line in change.removed)


@pytest.mark.parametrize("main", ["novalue", VALUES["P4"][0]])
def test_that_a_property_has_no_value_is_one_triple_of_value_and_qualifier(main: Any) -> None:
    old = statement("Q1$a", typed("P4", "novalue"), qualifiers={"P4": [typed("P4", "novalue")]})
    changed: dict[str, Any] = {"qualifiers": {}} if main == "novalue" else {}
    change = check(claims(P4=[old]), claims(P4=[old | {"mainsnak": typed("P4", main)} | changed]))
    assert not any("/statement/" in line and "novalue" in line for line in (*change.added, *change.removed))


def test_a_detail_that_goes_to_another_statement_of_one_node_stays() -> None:
    references = [reference(ONE)]
    first, second = statement("Q1$a", ONE, references=references), statement("Q1-a", OTHER)
    edited = [first | {"qualifiers": {"P4": [ONE]}}, second | {"references": references}]
    change = check(claims(P4=[first, second]), claims(P4=edited))
    assert [line for line in change.added if "wasDerivedFrom" in line] == []


@pytest.mark.parametrize(("good", "broken"), [(11, 11.0), (0, 0.0), (0, False)], ids=str)
def test_a_number_of_another_kind_that_breaks_a_snak_is_a_difference(good: Any, broken: Any) -> None:
    member = "precision" if good else "before"

    def dated(number: Any) -> dict[str, Any]:
        datavalue = time("+1995-05-01T00:00:00Z")
        main = snak("P9", {**datavalue, "value": {**datavalue["value"], member: number}})
        return item(claims={"P9": [statement("Q1$a", main, qualifiers={"P9": [main]})]})

    assert check(dated(good), dated(broken)).removed
