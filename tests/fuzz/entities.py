"""Entities for the fuzzer: generated ones, changed at places and in ways that its bytes choose."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import orjson

from tests.fuzz.choices import Choices
from wbd.demo.entities import EntityGenerator
from wbd.entity.check import check_entity
from wbd.errors import BadEntity
from wbd.mapping.context import DUMP, FULL, TRUTHY, MappingContext
from wbd.mapping.entity import map_entity
from wbd.mapping.vocabulary import Vocabulary

_ENTITIES = 40
_EDITS = 60
_MOST_CHANGES = 12

# What tends to be taken for something else.
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 1.0, 11, 11.0, 1e300, 5e-324, 2**63 - 1, -(2**63), 2**64 - 1,
    "", "0", "1", "+1", "-0", "+0.0", "+1.50", "1e3", "+" + "9" * 126, "+00000002013-00-00T00:00:00Z",
    "+2013-02-30T00:00:00Z", "-0001-02-29T12:30:61Z", "+9999999999999999-12-31T00:00:00Z", "-0044-03-15T00:00:00Z",
    "value", "somevalue", "novalue", "preferred", "normal", "deprecated", "item", "property", "lexeme", "mediainfo",
    "string", "time", "quantity", "globecoordinate", "monolingualtext", "wikibase-entityid", "bad", "external-id",
    "url", "geo-shape", "tabular-data", "musical-notation", "math", "wikibase-sense", "wikibase-form", "commonsMedia",
    "entity-schema", "Q1", "q1", "P31", "L1-F1", "foreign:Q1", "Q1$", "Q1$a b", "a\nb", "\ud800", "\ufffe", '"\\',
    "é 木", "http://a b/", "http://a.test/", "//a.test/x", "http://www.wikidata.org/entity/Q11573", "en", "de-x-formal",
    "x y", "simple", "enwiki", "wikidatawiki", "be-x-old", "1.", "$1", "%", " http://a.test/ ", [], {}, [[]], [{}],
    {"a": 1},
)  # fmt: skip
_KEYS = (
    "id", "type", "datatype", "labels", "descriptions", "aliases", "claims", "statements", "sitelinks", "lastrevid",
    "modified", "redirect", "entity", "lemmas", "forms", "senses", "language", "lexicalCategory", "hash", "snaks",
    "references", "qualifiers", "rank", "mainsnak", "snaktype", "property", "datavalue", "value", "upperBound", "en",
    "lowerBound", "precision", "globe", "unit", "badges", "title", "site", "numeric-id", "entity-type", "P1", "enwiki",
)  # fmt: skip

Place = tuple[Any, Any]
"""A container, and a key or index in it."""


@cache
def _pool() -> tuple[bytes, ...]:
    return tuple(orjson.dumps(entity) for entity in EntityGenerator(_ENTITIES, _EDITS, seed=4).revisions())


def pick(choices: Choices) -> Any:
    """Return one of the generated revisions, items and their edits mostly."""
    return orjson.loads(choices.one(_pool()))


def _places(value: Any) -> list[Place]:
    places: list[Place] = []
    todo = [value]
    while todo:
        holder = todo.pop()
        members = holder.items() if isinstance(holder, dict) else enumerate(holder)
        for key, inner in members:
            places.append((holder, key))
            if isinstance(inner, dict | list):
                todo.append(inner)
    return places


def change(entity: Any, choices: Choices) -> None:
    """Change one place of an entity."""
    places = _places(entity)
    if not places:
        entity["id"] = "Q1"
        return
    holder, key = places[choices.number(65536) % len(places)]
    match choices.number(11):
        case 0 | 1 | 2:
            holder[key] = copy.deepcopy(choices.one(ODD))
        case 3:
            del holder[key]
        case 4:
            holder[key] = choices.text()
        case 5:
            other, name = places[choices.number(65536) % len(places)]
            holder[key] = copy.deepcopy(other[name])
        case 6:
            other, name = places[choices.number(65536) % len(places)]
            value = copy.deepcopy(other[name])
            if isinstance(holder, list):
                holder.append(value)
            else:
                holder[choices.one(_KEYS)] = value
        case 7:
            if isinstance(holder, dict):
                # Behind the others, maybe under another name.
                value = holder.pop(key)
                holder[choices.one((key, *_KEYS))] = value
            else:
                holder.reverse()
        case 8:
            if isinstance(holder[key], str):
                at = choices.number(1 + len(holder[key]))
                holder[key] = holder[key][:at] + choices.text() + holder[key][at + choices.number(3) :]
            elif isinstance(holder[key], int | float):
                holder[key] += choices.byte() - 128
        case 9:
            # A statement whose value another one has too.
            groups = [group for group, index in places if index == 0 and isinstance(group, list)]
            statements = [one for group in groups for one in group if isinstance(one, dict) and "mainsnak" in one]
            if statements:
                copied = copy.deepcopy(choices.one(statements))
                next(group for group in groups if copied in group).append({**copied, "id": f"Q1$copy{choices.byte()}"})
        case _:
            holder[key] = [holder[key]] if choices.byte() & 1 else {"value": holder[key]}


def changed(entity: Any, choices: Choices) -> Any:
    """Return a changed copy of an entity."""
    result = copy.deepcopy(entity)
    for _ in range(choices.number(_MOST_CHANGES)):
        change(result, choices)
        if not choices.more:
            break
    return result


def context(choices: Choices) -> MappingContext:
    """Return a new context, one that knows the datatypes of properties or one that does not."""
    kind = choices.byte()
    flavour = (FULL, FULL, DUMP, TRUTHY)[kind & 3]
    made = MappingContext.wikidata({"P8": "external-id", "P3": "time"} if kind & 4 else None)
    vocabulary = Vocabulary.wikidata()
    return MappingContext(
        vocabulary=vocabulary,
        datatypes=made.datatypes,
        formatter_uris={**made.formatter_uris, "P8": "http://ids.test/$1"},
        units=made.units,
        flavour=flavour,
    )


def mapped(entity: Any, context: MappingContext) -> list[str] | BadEntity:
    """Return the lines of an entity, or what is wrong with it."""
    try:
        return map_entity(entity, context)
    except BadEntity as error:
        return error


def is_accepted(entity: Any) -> bool:
    """Tell whether the import accepts an entity; an error of it has a place."""
    try:
        check_entity(entity)
    except BadEntity as error:
        assert error.place, f"no place: {error}"
        return False
    return True


def check_grammar(entity: Any, outcome: list[str] | BadEntity, context: MappingContext) -> None:
    """Assert that an entity maps if the import accepts it, with a note just where a snak is broken."""
    if not is_accepted(entity):
        return
    assert isinstance(outcome, list), f"accepted, and not mapped: {outcome}"
    if "redirect" not in entity and context.flavour.statements:
        noted = any("triple, please ignore" in line and "comment>" in line for line in outcome)
        assert noted == bool(check_entity(entity).broken_snaks), "a note without a broken snak, or the other way round"
