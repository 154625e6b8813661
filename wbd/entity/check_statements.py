"""Check statements, snaks and values of parsed entity JSON. No I/O.

Containers of a wrong kind make the entity unfit. A value that Wikibase cannot read (values.py) makes its snak a broken
one, which costs only itself: it stays in the entity, and the mapping writes no value for it.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any

from wbd.entity.ids import is_property_id
from wbd.entity.values import fault_of, kind_of, shown
from wbd.errors import BadEntity

# Column widths of schema.sql.
_PROPERTY_LENGTH = 50
# Printable, no spaces, as wide as the column; compared byte by byte there.
_STATEMENT_ID = re.compile(r"[!-~]{1,100}")
_RANKS = ("normal", "preferred", "deprecated")
_SNAK_TYPES = ("value", "somevalue", "novalue")


@dataclass(slots=True)
class Findings:
    """
    State of the check of one entity.

    Args:
        repositories: names of foreign repositories whose entities can be values.
        statement_ids: ids of statements; none may come twice.
        broken_snaks: the error of each snak whose value cannot be read, with the place of the fault in the value.
    """

    repositories: Container[str] = ()
    statement_ids: set[str] = field(default_factory=set)
    broken_snaks: list[BadEntity] = field(default_factory=list)


def check_claims(holder: dict[str, Any], prefix: str, findings: Findings) -> None:
    """
    Check the statements of an entity, form or sense.

    Args:
        prefix: JSON path of the holder with its dot, "" for the entity.
        findings: grows.

    Raises:
        BadEntity: with the JSON path.
    """
    for name in ("claims", "statements"):
        if name in holder and (name == "claims" or not holder.get("claims")):
            _check_claims(holder[name], prefix + name, findings)


def _check_claims(claims: Any, place: str, findings: Findings) -> None:
    if claims == []:
        return
    if not isinstance(claims, dict):
        raise BadEntity(f"is {kind_of(claims)}, expected an object of properties", place)
    for property_id, group in claims.items():
        inner = f"{place}.{property_id}"
        _check_property(property_id, inner)
        if not isinstance(group, list):
            raise BadEntity(f"is {kind_of(group)}, expected a list of statements", inner)
        for index, statement in enumerate(group):
            _check_statement(statement, property_id, f"{inner}[{index}]", findings)


def _check_statement(statement: Any, property_id: str, place: str, findings: Findings) -> None:
    if not isinstance(statement, dict):
        raise BadEntity(f"is {kind_of(statement)}, expected a statement object", place)
    statement_id = statement.get("id")
    if not isinstance(statement_id, str) or not _STATEMENT_ID.fullmatch(statement_id):
        raise BadEntity("statement id expected: 1 to 100 printable characters without spaces", f"{place}.id")
    if statement_id in findings.statement_ids:
        raise BadEntity(f"the statement id {statement_id} is given twice", f"{place}.id")
    findings.statement_ids.add(statement_id)
    if statement.get("rank", "normal") not in _RANKS:
        raise BadEntity("is not normal, preferred or deprecated", f"{place}.rank")
    if "mainsnak" not in statement:
        raise BadEntity("statement without mainsnak", f"{place}.mainsnak")
    _check_snak(statement["mainsnak"], property_id, f"{place}.mainsnak", findings)
    qualifiers = statement.get("qualifiers")
    if qualifiers:
        _check_groups(qualifiers, f"{place}.qualifiers", findings)
    references = statement.get("references")
    if references:
        if not isinstance(references, list):
            raise BadEntity(f"is {kind_of(references)}, expected a list", f"{place}.references")
        for index, reference in enumerate(references):
            inner = f"{place}.references[{index}]"
            if not isinstance(reference, dict):
                raise BadEntity(f"is {kind_of(reference)}, expected an object with snaks", inner)
            if "snaks" not in reference:
                raise BadEntity("reference without snaks", f"{inner}.snaks")
            _check_optional_text(reference, "hash", inner)
            _check_groups(reference["snaks"], f"{inner}.snaks", findings)


def _check_groups(groups: Any, place: str, findings: Findings) -> None:
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
            _check_snak(snak, property_id, f"{inner}[{index}]", findings)


def _check_snak(snak: Any, property_id: str, place: str, findings: Findings) -> None:
    if not isinstance(snak, dict):
        raise BadEntity(f"is {kind_of(snak)}, expected a snak object", place)
    if snak.get("property") != property_id:
        raise BadEntity(f"is {shown(snak.get('property'))}, but stands under {property_id}", f"{place}.property")
    _check_optional_text(snak, "datatype", place)
    _check_optional_text(snak, "hash", place)
    kind = snak.get("snaktype")
    if kind not in _SNAK_TYPES:
        raise BadEntity("is not value, somevalue or novalue", f"{place}.snaktype")
    if kind != "value":
        return
    if "datavalue" not in snak:
        # Wikibase refuses such an entity, unlike one whose value it cannot read.
        raise BadEntity("snak of type value without datavalue", f"{place}.datavalue")
    fault = fault_of(snak["datavalue"], findings.repositories)
    if fault is not None:
        findings.broken_snaks.append(fault.at(f"{place}.datavalue"))


def _check_optional_text(holder: dict[str, Any], name: str, place: str) -> None:
    value = holder.get(name)
    if value is not None and not isinstance(value, str):
        raise BadEntity(f"is {kind_of(value)}, expected text", f"{place}.{name}")


def _check_property(property_id: str, place: str) -> None:
    if len(property_id) > _PROPERTY_LENGTH or not is_property_id(property_id):
        raise BadEntity("is not a property id such as P31", place)
