"""Check statements, snaks and values of parsed entity JSON. No I/O.

A value of a known type must have the members that the mapping to RDF reads; a value of an unknown type passes.
"""

from __future__ import annotations

import re
from typing import Any

from wbd.errors import BadEntity

# A foreign repository's id has its prefix: wd:P31.
_PROPERTY_ID = re.compile(r"(?:[a-z0-9-]+:)?P[1-9][0-9]{0,18}")
_PROPERTY_LENGTH = 50
# Printable, no spaces, as wide as the column; compared byte by byte there.
_STATEMENT_ID = re.compile(r"[!-~]{1,100}")
_RANKS = ("normal", "preferred", "deprecated")
_SNAK_TYPES = ("value", "somevalue", "novalue")

# Members of each value type -> the JSON types allowed; a value that is one string has none.
_MEMBERS: dict[str, dict[str, tuple[type, ...]]] = {
    "string": {},
    "time": {"time": (str,), "calendarmodel": (str,), "precision": (int,)},
    "quantity": {"amount": (str,), "unit": (str,)},
    "monolingualtext": {"text": (str,), "language": (str,)},
    "globecoordinate": {"latitude": (int, float), "longitude": (int, float)},
}

_KINDS = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "text", list: "a list"}


def kind_of(value: Any) -> str:
    """Name the JSON type of a value, for messages."""
    return _KINDS.get(type(value), "an object")


def check_claims(holder: dict[str, Any], prefix: str, seen: set[str]) -> None:
    """
    Check the statements of an entity, form or sense.

    Args:
        prefix: JSON path of the holder with its dot, "" for the entity.
        seen: statement ids met so far in this entity; grows.

    Raises:
        BadEntity: with the JSON path.
    """
    claims = holder.get("claims", [])
    if claims == []:
        return
    if not isinstance(claims, dict):
        raise BadEntity(f"is {kind_of(claims)}, expected an object of properties", f"{prefix}claims")
    for property_id, group in claims.items():
        place = f"{prefix}claims.{property_id}"
        _check_property(property_id, place)
        if not isinstance(group, list):
            raise BadEntity(f"is {kind_of(group)}, expected a list of statements", place)
        for index, statement in enumerate(group):
            _check_statement(statement, property_id, f"{place}[{index}]", seen)


def _check_statement(statement: Any, property_id: str, place: str, seen: set[str]) -> None:
    if not isinstance(statement, dict):
        raise BadEntity(f"is {kind_of(statement)}, expected a statement object", place)
    statement_id = statement.get("id")
    if not isinstance(statement_id, str) or not _STATEMENT_ID.fullmatch(statement_id):
        raise BadEntity("statement id expected: 1 to 100 printable characters without spaces", f"{place}.id")
    if statement_id in seen:
        raise BadEntity(f"the statement id {statement_id} is given twice", f"{place}.id")
    seen.add(statement_id)
    if statement.get("rank", "normal") not in _RANKS:
        raise BadEntity("is not normal, preferred or deprecated", f"{place}.rank")
    if "mainsnak" not in statement:
        raise BadEntity("statement without mainsnak", f"{place}.mainsnak")
    check_snak(statement["mainsnak"], property_id, f"{place}.mainsnak")
    qualifiers = statement.get("qualifiers")
    if qualifiers:
        _check_groups(qualifiers, f"{place}.qualifiers")
    references = statement.get("references")
    if references:
        if not isinstance(references, list):
            raise BadEntity(f"is {kind_of(references)}, expected a list", f"{place}.references")
        for index, reference in enumerate(references):
            inner = f"{place}.references[{index}]"
            if not isinstance(reference, dict) or "snaks" not in reference:
                raise BadEntity("is not an object with snaks", inner)
            _check_optional_text(reference, "hash", inner)
            _check_groups(reference["snaks"], f"{inner}.snaks")


def _check_groups(groups: Any, place: str) -> None:
    if groups == []:
        return
    if not isinstance(groups, dict):
        raise BadEntity(f"is {kind_of(groups)}, expected an object of properties", place)
    for property_id, snaks in groups.items():
        inner = f"{place}.{property_id}"
        _check_property(property_id, inner)
        if not isinstance(snaks, list):
            raise BadEntity(f"is {kind_of(snaks)}, expected a list of snaks", inner)
        for index, snak in enumerate(snaks):
            check_snak(snak, property_id, f"{inner}[{index}]")


def check_snak(snak: Any, property_id: str, place: str) -> None:
    """Check one snak of the property under which it stands. Raises BadEntity."""
    if not isinstance(snak, dict):
        raise BadEntity(f"is {kind_of(snak)}, expected a snak object", place)
    if snak.get("property") != property_id:
        raise BadEntity(f"is {ascii(snak.get('property'))[:60]}, but stands under {property_id}", f"{place}.property")
    _check_optional_text(snak, "datatype", place)
    _check_optional_text(snak, "hash", place)
    kind = snak.get("snaktype")
    if kind not in _SNAK_TYPES:
        raise BadEntity("is not value, somevalue or novalue", f"{place}.snaktype")
    if kind != "value":
        return
    datavalue = snak.get("datavalue")
    if not isinstance(datavalue, dict) or "value" not in datavalue or not isinstance(datavalue.get("type"), str):
        raise BadEntity("is not an object with type and value", f"{place}.datavalue")
    _check_value(datavalue["type"], datavalue["value"], f"{place}.datavalue.value")


def _check_value(kind: str, value: Any, place: str) -> None:
    if kind == "wikibase-entityid":
        if not isinstance(value, dict):
            raise BadEntity(f"is {kind_of(value)}, expected an object", place)
        _check_optional_text(value, "id", place)
        _check_optional_text(value, "entity-type", place)
        # Revisions of before 2017 have the number only.
        by_id = isinstance(value.get("id"), str)
        by_number = type(value.get("numeric-id")) is int and isinstance(value.get("entity-type"), str)
        if not by_id and not by_number:
            raise BadEntity("has neither id, nor entity-type and numeric-id", place)
        return
    members = _MEMBERS.get(kind)
    if members is None:
        return
    if not members:
        if not isinstance(value, str):
            raise BadEntity(f"is {kind_of(value)}, expected text", place)
        return
    if not isinstance(value, dict):
        raise BadEntity(f"is {kind_of(value)}, expected an object", place)
    for name, types in members.items():
        if type(value.get(name)) not in types:
            raise BadEntity(f"is {kind_of(value.get(name))}, which a {kind} cannot have", f"{place}.{name}")


def _check_optional_text(holder: dict[str, Any], name: str, place: str) -> None:
    value = holder.get(name)
    if value is not None and not isinstance(value, str):
        raise BadEntity(f"is {kind_of(value)}, expected text", f"{place}.{name}")


def _check_property(property_id: str, place: str) -> None:
    if len(property_id) > _PROPERTY_LENGTH or not _PROPERTY_ID.fullmatch(property_id):
        raise BadEntity("is not a property id such as P31", place)
