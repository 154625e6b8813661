"""Ids have one spelling, and text, type and number lead to each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wbd.entity.ids import MAX_ID, EntityId, EntityType, PartType, format_id, parse_id, parse_type
from wbd.errors import BadInput
from wbd.ids.id_range import IdRange, parse_reserved

NUMBERS = st.integers(1, MAX_ID)


@given(st.sampled_from(EntityType), NUMBERS)
def test_what_is_formatted_is_parsed_back(entity_type: EntityType, number: int) -> None:
    assert parse_id(format_id(entity_type, number)) == EntityId(entity_type, number)


@given(NUMBERS, st.sampled_from(PartType), NUMBERS)
def test_forms_and_senses_are_parsed_back_and_know_their_lexeme(lexeme: int, part: PartType, number: int) -> None:
    part_id = EntityId(EntityType.LEXEME, lexeme, part, number)
    assert parse_id(str(part_id)) == part_id
    assert part_id.entity == EntityId(EntityType.LEXEME, lexeme)


def test_each_type_has_its_prefix() -> None:
    assert [format_id(t, 5) for t in EntityType] == ["Q5", "P5", "L5", "E5"]


@given(st.text(max_size=30))
def test_any_text_is_an_id_in_its_one_spelling_or_bad_input(text: str) -> None:
    try:
        parsed = parse_id(text)
    except BadInput:
        return
    assert str(parsed) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "Q", "42", "q42", "Q042", "Q0", "Q-1", "Q+1", "Q 1", " Q1", "Q1\n", "Q1.0", "X1", "Q1-F1", "P1-S1"),
        *("L1-F", "L1-F0", "L1-X1", "L1-F1-S1", "L-F1", "Q٤٢", "Q1️", f"Q{MAX_ID + 1}", "Q" + "9" * 5000),
        f"L1-F{MAX_ID + 1}",
    ],
)
def test_other_spellings_are_refused_with_their_place_and_a_short_message(text: str) -> None:
    with pytest.raises(BadInput) as raised:
        parse_id(text, place="claims.P31[0]")
    assert raised.value.place == "claims.P31[0]"
    assert str(raised.value).startswith("claims.P31[0]: ") and len(str(raised.value)) < 200


def test_a_value_that_is_no_text_is_refused() -> None:
    with pytest.raises(BadInput):
        parse_id(42)  # type: ignore[arg-type]


@given(st.sampled_from(EntityType), st.integers().filter(lambda n: not 1 <= n <= MAX_ID))
def test_numbers_outside_the_bounds_are_refused(entity_type: EntityType, number: int) -> None:
    with pytest.raises(BadInput, match=r"outside 1\.\."):
        format_id(entity_type, number)


def test_ids_sort_by_number_and_a_lexeme_comes_before_its_parts() -> None:
    texts = ["L1-S1", "Q10", "Q9", "L2", "L1-F10", "L1-F9", "L1"]
    assert [str(one) for one in sorted(map(parse_id, texts))] == ["Q9", "Q10", "L1", "L1-F9", "L1-F10", "L1-S1", "L2"]


def test_type_names_are_read_in_any_case_and_an_unknown_one_lists_those_there_are() -> None:
    assert parse_type("Item") is EntityType.ITEM
    with pytest.raises(BadInput, match=r"'thing'; there are: item, property, lexeme, entityschema"):
        parse_type("thing")


@given(NUMBERS, NUMBERS)
def test_a_range_holds_its_ends_and_is_never_empty(a: int, b: int) -> None:
    first, last = sorted((a, b))
    id_range = IdRange(EntityType.ITEM, first, last)
    assert id_range.numbers()[0] == first and id_range.numbers()[-1] == last
    if first < last:
        with pytest.raises(BadInput):
            IdRange(EntityType.ITEM, last, first)


def test_reserved_ids_are_numbers_and_spans() -> None:
    assert parse_reserved("item", " 1-1000, 4115189 ,") == [
        IdRange(EntityType.ITEM, 1, 1000),
        IdRange(EntityType.ITEM, 4115189, 4115189),
    ]
    assert parse_reserved(EntityType.LEXEME, "") == []


@pytest.mark.parametrize("text", ["x", "1-", "-1", "0", "5-4", "1-2-3", "²", "9" * 5000, "Q1"])
def test_reserved_ids_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse_reserved("item", text)
