"""Find where entity JSON breaks the data model: the slow look after the mapping has failed.

The walk checks what mapping.py and values.py take for granted, in the order of the document, and returns the first
fault with its JSON path. It never raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from reprlib import Repr
from typing import Any, Final

from wbd.mapping.values import check_id, entity_id_of

_RANKS = ("deprecated", "normal", "preferred")
_SNAK_TYPES = ("value", "somevalue", "novalue")

# The data model nests 14 deep, from the entity to the value of a snak in a reference of a form's statement. Values
# of types that Wikibase does not know may be deeper; what recursion cannot follow is no value.
_DEPTH_MAX: Final = 100

_repr: Final = Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = 60


@dataclass(frozen=True, slots=True)
class Fault:
    """A JSON path, and what is wrong there."""

    place: str
    message: str


def find_fault(entity: Any) -> Fault | None:
    """Return the first fault of an entity, or None when the walk finds none."""
    return next(_entity(entity), None) or _too_deep(entity)


def _too_deep(entity: Any) -> Fault | None:
    """Find a value that is nested deeper than _DEPTH_MAX."""
    level: list[tuple[str, Any]] = [("", entity)]
    for _ in range(_DEPTH_MAX):
        below: list[tuple[str, Any]] = []
        for place, value in level:
            if isinstance(value, dict):
                below += ((_join(place, key), member) for key, member in value.items())
            elif isinstance(value, list):
                below += ((f"{place}[{index}]", member) for index, member in enumerate(value))
        level = below
    if not level:
        return None
    place = level[0][0]
    return Fault(
        place if len(place) <= 200 else f"{place[:200]}...", f"nested over {_DEPTH_MAX} deep; entity set aside"
    )


def _shown(value: Any) -> str:
    text = _repr.repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _wrong(place: str, wanted: str, value: Any) -> Fault:
    return Fault(place, f"expected {wanted}, found {_shown(value)}; entity set aside")


def _id(place: str, value: Any) -> Iterator[Fault]:
    if not isinstance(value, str):
        yield _wrong(place, "an entity id", value)
        return
    try:
        check_id(value)
    except ValueError:
        yield _wrong(place, "an entity id", value)


def _join(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _field(place: str, holder: Mapping[str, Any], key: str, kind: type) -> Iterator[Fault]:
    if key not in holder:
        yield Fault(_join(place, key), "missing; entity set aside")
    elif not isinstance(holder[key], kind) or isinstance(holder[key], bool):
        yield _wrong(_join(place, key), _NAMES[kind], holder[key])


_NAMES: dict[type, str] = {
    str: "a string",
    int: "an integer",
    dict: "an object",
    list: "an array",
    float: "a number",
}


def _map(place: str, holder: Mapping[str, Any], key: str) -> Iterator[tuple[str, Any] | Fault]:
    """Yield the members of an optional object; PHP writes an empty one as []."""
    value = holder.get(key)
    if value is None or value == []:
        return
    if not isinstance(value, dict):
        yield _wrong(_join(place, key), "an object", value)
        return
    for name, member in value.items():
        yield f"{_join(place, key)}.{name}", member


def _array(place: str, value: Any) -> Iterator[tuple[str, Any] | Fault]:
    if not isinstance(value, list):
        yield _wrong(place, "an array", value)
        return
    for index, member in enumerate(value):
        yield f"{place}[{index}]", member


def _object(place: str, value: Any) -> Iterator[Fault]:
    if not isinstance(value, dict):
        yield _wrong(place, "an object", value)


def _term(place: str, term: Any) -> Iterator[Fault]:
    yield from _object(place, term)
    yield from _field(place, term, "language", str)
    yield from _field(place, term, "value", str)


def _entity(entity: Any) -> Iterator[Fault]:
    yield from _object("", entity)
    if "redirect" in entity:
        yield from _id("entity", entity.get("entity"))
        yield from _id("redirect", entity["redirect"])
        return
    yield from _id("id", entity.get("id"))
    yield from _field("", entity, "type", str)
    if not entity["type"]:
        yield _wrong("type", "an entity type", "")
    if entity.get("lastrevid") is not None:
        yield from _field("", entity, "lastrevid", int)
    if entity.get("modified") is not None:
        yield from _field("", entity, "modified", str)
    for key in ("labels", "descriptions", "lemmas"):
        yield from _each(_map("", entity, key), _term)
    for found in _map("", entity, "aliases"):
        yield from _each(_array(*found), _term) if not isinstance(found, Fault) else (found,)
    yield from _each(_map("", entity, "sitelinks"), _sitelink)
    if entity["type"] == "property":
        yield from _field("", entity, "datatype", str)
    if entity["type"] == "lexeme":
        yield from _lexeme(entity)
    yield from _statements("", entity)


def _each(found: Iterator[tuple[str, Any] | Fault], check: Callable[[str, Any], Iterator[Fault]]) -> Iterator[Fault]:
    for one in found:
        if isinstance(one, Fault):
            yield one
        else:
            yield from check(*one)


def _sitelink(place: str, link: Any) -> Iterator[Fault]:
    yield from _object(place, link)
    yield from _field(place, link, "site", str)
    yield from _field(place, link, "title", str)
    if link.get("badges"):
        yield from _each(_array(f"{place}.badges", link["badges"]), _id)


def _lexeme(entity: Mapping[str, Any]) -> Iterator[Fault]:
    yield from _id("language", entity.get("language"))
    yield from _id("lexicalCategory", entity.get("lexicalCategory"))
    for key, texts in (("forms", "representations"), ("senses", "glosses")):
        for found in _array(key, entity.get(key) or []):
            if isinstance(found, Fault):
                yield found
            else:
                yield from _lexeme_part(*found, texts)


def _lexeme_part(place: str, part: Any, texts: str) -> Iterator[Fault]:
    yield from _object(place, part)
    yield from _id(f"{place}.id", part.get("id"))
    yield from _each(_map(place, part, texts), _term)
    if part.get("grammaticalFeatures"):
        yield from _each(_array(f"{place}.grammaticalFeatures", part["grammaticalFeatures"]), _id)
    yield from _statements(place, part)


def _statements(place: str, entity: Mapping[str, Any]) -> Iterator[Fault]:
    key = "claims" if entity.get("claims") or "statements" not in entity else "statements"
    for found in _map(place, entity, key):
        yield from _each(_array(*found), _statement) if not isinstance(found, Fault) else (found,)


def _statement(place: str, statement: Any) -> Iterator[Fault]:
    yield from _object(place, statement)
    yield from _field(place, statement, "id", str)
    rank = statement.get("rank", "normal")
    if rank not in _RANKS:
        yield _wrong(f"{place}.rank", f"one of {', '.join(_RANKS)}", rank)
    yield from _field(place, statement, "mainsnak", dict)
    yield from _snak(f"{place}.mainsnak", statement["mainsnak"])
    for found in _map(place, statement, "qualifiers"):
        yield from _each(_array(*found), _snak) if not isinstance(found, Fault) else (found,)
    if statement.get("references"):
        yield from _each(_array(f"{place}.references", statement["references"]), _reference)


def _reference(place: str, reference: Any) -> Iterator[Fault]:
    yield from _object(place, reference)
    if reference.get("hash"):
        yield from _field(place, reference, "hash", str)
    if "snaks" not in reference:
        yield Fault(f"{place}.snaks", "missing; entity set aside")
    for found in _map(place, reference, "snaks"):
        yield from _each(_array(*found), _snak) if not isinstance(found, Fault) else (found,)


def _snak(place: str, snak: Any) -> Iterator[Fault]:
    yield from _object(place, snak)
    kind = snak.get("snaktype")
    if kind not in _SNAK_TYPES:
        yield _wrong(f"{place}.snaktype", f"one of {', '.join(_SNAK_TYPES)}", kind)
    yield from _id(f"{place}.property", snak.get("property"))
    for key in ("hash", "datatype"):
        if snak.get(key):
            yield from _field(place, snak, key, str)
    if kind == "value":
        yield from _field(place, snak, "datavalue", dict)
        yield from _datavalue(f"{place}.datavalue", snak["datavalue"])


def _datavalue(place: str, datavalue: Mapping[str, Any]) -> Iterator[Fault]:
    yield from _field(place, datavalue, "type", str)
    if "value" not in datavalue:
        yield Fault(f"{place}.value", "missing; entity set aside")
    kind, value, inside = datavalue["type"], datavalue["value"], f"{place}.value"
    if kind == "string":
        yield from _field(place, datavalue, "value", str)
        return
    if kind in ("monolingualtext", "wikibase-entityid", "time", "quantity", "globecoordinate"):
        yield from _object(inside, value)
    if kind == "monolingualtext":
        yield from _field(inside, value, "text", str)
        yield from _field(inside, value, "language", str)
    elif kind == "wikibase-entityid":
        try:
            entity_id_of(value)
        except (KeyError, TypeError, ValueError):
            yield _wrong(inside, "an entity id, or a type and a number", value)
        if value.get("entity-type"):
            yield from _field(inside, value, "entity-type", str)
    elif kind == "time":
        for key in ("time", "calendarmodel"):
            yield from _field(inside, value, key, str)
        for key in ("timezone", "before", "after", "precision"):
            yield from _field(inside, value, key, int)
    elif kind == "quantity":
        yield from _field(inside, value, "unit", str)
        for key in ("amount", "upperBound", "lowerBound"):
            if key == "amount" or value.get(key) is not None:
                yield from _decimal(f"{inside}.{key}", value.get(key))
    elif kind == "globecoordinate":
        yield from _coordinate(inside, value)


def _decimal(place: str, value: Any) -> Iterator[Fault]:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        yield _wrong(place, "a decimal as a string", value)


def _coordinate(place: str, value: Mapping[str, Any]) -> Iterator[Fault]:
    for key in ("latitude", "longitude", "precision"):
        number = value.get(key)
        if number is None and key == "precision":
            continue
        if isinstance(number, bool) or not isinstance(number, int | float):
            yield _wrong(f"{place}.{key}", "a number", number)
    if value.get("globe") is not None:
        yield from _field(place, value, "globe", str)
