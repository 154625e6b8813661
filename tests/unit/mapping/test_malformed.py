"""Bad input: whatever an entity contains, it maps to sound triples or is a BadEntity with its place."""

from __future__ import annotations

import re
from typing import Any, Final

import pyoxigraph
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.build.entities import entities
from tests.build.spellings import DELETED, JUNK, changed, nested, nodes
from tests.build.wikibase import (
    KILOMETRE,
    METRE,
    by_property,
    datavalue,
    item,
    no_value,
    quantity,
    reference,
    snak,
    statement,
    text,
)
from wbd.diff.entities import diff_entities, diff_lines
from wbd.errors import BadEntity
from wbd.mapping.context import UPDATER
from wbd.mapping.entity import MappingContext, map_entity

_IRI = r"<[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20<>\"{}|^`\\]*>"
_TEXT = r'"(?:[^\x00-\x1f"\\\x7f\ud800-\udfff]|\\["\\bfnrt]|\\u[0-9A-F]{4})*"'
_LITERAL = rf"{_TEXT}(?:\^\^{_IRI}|@[a-zA-Z]+(?:-[a-zA-Z0-9]+)*)?"
LINE: Final = re.compile(rf"(?:{_IRI}|_:[0-9a-f]{{32}}) {_IRI} (?:{_IRI}|_:[0-9a-f]{{32}}|{_LITERAL}) [.]")
"""A triple with absolute IRIs, after the grammar of N-Triples."""


def check(lines: list[str]) -> None:
    for line in lines:
        assert LINE.fullmatch(line), line
    # Lenient as to language tags: some of MediaWiki's codes are none.
    parsed = pyoxigraph.parse("\n".join(lines).encode(), format=pyoxigraph.RdfFormat.N_TRIPLES, lenient=True)
    assert len(list(parsed)) == len(lines)


CONTEXTS = [
    MappingContext(formatter_uris={"P7": "http://ids.test/$1"}, units={METRE: ("1", METRE), KILOMETRE: ("0.3", METRE)}),
    MappingContext(flavour=UPDATER),
]


def mapped(entity: Any, context: MappingContext) -> list[str] | None:
    try:
        lines = map_entity(entity, context)
    except BadEntity as error:
        assert error.place
        return None
    check(lines)
    return lines


@settings(deadline=None, max_examples=150)
@given(entities(), st.data())
def test_an_entity_with_one_part_replaced_maps_soundly_or_is_a_bad_entity(
    entity: dict[str, Any], data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from(list(nodes(entity))))
    broken = changed(entity, path, data.draw(st.sampled_from([DELETED, *JUNK])))
    context = data.draw(st.sampled_from(CONTEXTS))
    sound, lines = mapped(entity, context), mapped(broken, context)
    assert sound is not None
    for old, new in ((entity, broken), (broken, entity)):
        try:
            change = diff_entities(old, new, context)
        except BadEntity as error:
            assert error.place and lines is None
            continue
        check(change.added)
        check(change.removed)
        if lines is not None:
            sides = (sound, lines) if new is broken else (lines, sound)
            assert change == diff_lines(*sides, context.vocabulary)


@pytest.mark.parametrize("value", [None, 5, "redirect", [], [{}], {}, True], ids=repr)
def test_what_is_no_entity_at_all_is_a_bad_entity(value: Any) -> None:
    with pytest.raises(BadEntity):
        map_entity(value, CONTEXTS[0])


def amounting(amount: Any = "+1", unit: str = "1") -> dict[str, Any]:
    """Return an item whose one statement has this quantity."""
    return item(claims=by_property(statement("Q1$a", snak("P4", quantity(amount, unit)))))


@pytest.mark.parametrize("amount", [10**400, -(10**400), float("inf"), float("nan"), "1e5", "9" * 200, "\u0661"])
def test_an_amount_out_of_range_leaves_its_statement_without_a_value(amount: Any) -> None:
    lines = mapped(amounting(amount=amount), CONTEXTS[0])
    assert lines and any("/prop/P4> " in line for line in lines) and not any("/prop/statement/P4>" in x for x in lines)


def test_a_unit_without_a_scheme_is_a_literal() -> None:
    lines = mapped(amounting(unit='a "unit'), CONTEXTS[0])
    assert lines and any(line.endswith('ontology#quantityUnit> "a \\"unit" .') for line in lines)


@pytest.mark.parametrize("datatype", ["external-id", "url", "commonsMedia", "math", "no-such-datatype"])
def test_a_value_of_another_type_than_its_datatype_keeps_its_form(datatype: str) -> None:
    entity = amounting()
    entity["claims"]["P4"][0]["mainsnak"]["datatype"] = datatype
    lines = mapped(entity, CONTEXTS[0])
    assert lines and any("/prop/statement/value/P4>" in line for line in lines)


def test_nesting_that_no_recursion_can_follow_is_a_fault_with_its_place() -> None:
    entity = amounting()
    entity["claims"]["P4"][0]["references"] = [reference(snak("P4", datavalue("future", nested(3000))))]
    with pytest.raises(BadEntity) as caught:
        map_entity(entity, CONTEXTS[0])
    assert caught.value.place.startswith("claims.P4[0].references[0].snaks.P4[0].datavalue.value[0]")
    assert "nested over" in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize("name", ["labels", "descriptions", "aliases", "sitelinks", "claims", "statements", "lemmas"])
@pytest.mark.parametrize("kind", ["item", "property", "lexeme", "mediainfo"])
def test_every_map_may_be_an_empty_php_array(kind: str, name: str) -> None:
    entity = {"type": kind, "id": "Q1", "datatype": "string", "language": "Q1", "lexicalCategory": "Q1"}
    assert mapped({**entity, name: []}, CONTEXTS[0]) == mapped({**entity, name: {}}, CONTEXTS[0])


def test_a_datatype_of_another_type_is_a_bad_entity() -> None:
    entity = amounting()
    entity["claims"]["P4"][0]["mainsnak"] |= {"datatype": {"a": 1}, "datavalue": text("x")}
    with pytest.raises(BadEntity) as caught:
        map_entity(entity, CONTEXTS[0])
    assert caught.value.place == "claims.P4[0].mainsnak.datatype"


@pytest.mark.parametrize("hash_name", [5, True, ["x"], {"a": 1}, 1.5], ids=repr)
def test_a_hash_of_another_type_is_a_bad_entity(hash_name: Any) -> None:
    entity = amounting()
    entity["claims"]["P4"][0]["references"] = [reference(no_value("P4"), hash=hash_name)]
    with pytest.raises(BadEntity) as caught:
        map_entity(entity, CONTEXTS[0])
    assert caught.value.place == "claims.P4[0].references[0].hash"
