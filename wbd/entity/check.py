"""Parsed entity JSON becomes a checked Entity with its content hash, and the bytes of its snapshots.

No I/O, no clock. What passes here has the shape that the mapping to RDF and the tables of rows take for granted; it
is not a full check of the data model: unknown datatypes and further members pass as they are.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from wbd.entity.check_statements import check_claims, kind_of
from wbd.entity.content import content_hash
from wbd.entity.ids import MAX_ID, EntityType, parse_id
from wbd.errors import BadEntity, BadInput

_MODIFIED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
# Column widths of schema.sql.
_LANGUAGE = re.compile(r"[A-Za-z0-9_-]{1,50}")
_SITE = re.compile(r"[A-Za-z0-9_-]{1,50}")


@dataclass(frozen=True, slots=True)
class Entity:
    """
    A checked entity, or a redirect (then *redirect* is its target and *data* Wikibase's form of a redirect).

    Args:
        data: the entity as given; not to be changed.
        lastrevid: its revision number where it comes from, if it says.
        modified: when that revision was made, ISO 8601, if it says.
        content_hash: SHA-256 in hex of the canonical bytes; equal for equal content in different spelling.
    """

    id: str
    type: EntityType
    data: dict[str, Any]
    lastrevid: int | None
    modified: str | None
    redirect: str | None
    content_hash: str


def check_entity(data: dict[str, Any]) -> Entity:
    """
    Check one parsed entity.

    Raises:
        BadEntity: with the JSON path of the first fault.
    """
    lastrevid = _revision_number(data.get("lastrevid"))
    modified = _modified(data.get("modified"))
    if "redirect" in data:
        return _redirect(data, lastrevid, modified)
    if "id" not in data:
        raise BadEntity('entity without id; expected a member such as "id": "Q42"', "id")
    entity_id = _entity_id(data["id"], "id")
    given = data.get("type")
    if given is None:
        raise BadEntity("entity without type; expected item, property, lexeme or entityschema", "type")
    if given != entity_id.type:
        raise BadEntity(f"is {_shown(given)}, but the id {data['id']} is of type {entity_id.type}", "type")
    _check_parts(data, entity_id.type)
    return Entity(data["id"], entity_id.type, data, lastrevid, modified, None, content_hash(data))


def snapshot_bytes(entity: Entity, revision_id: int, modified: str) -> bytes:
    """Return the JSON to store: the entity as given, with the number and the time of its revision."""
    return orjson.dumps({**entity.data, "lastrevid": revision_id, "modified": modified})


def snapshot_key(entity_id: str, revision_id: int, snapshot: bytes) -> str:
    """
    Return the object's key, which holds a hash of its bytes.

    Two writers that race for one revision number so never write different bytes to one key.
    """
    return f"{entity_id}/r{revision_id}-{hashlib.sha256(snapshot).hexdigest()[:16]}.json"


def _redirect(data: dict[str, Any], lastrevid: int | None, modified: str | None) -> Entity:
    source = "id" if "id" in data else "entity"
    entity_id = _entity_id(data.get(source), source)
    target = _entity_id(data["redirect"], "redirect")
    if target.type != entity_id.type:
        raise BadEntity(f"{entity_id} is of type {entity_id.type}, its target {target} is not", "redirect")
    if target == entity_id:
        raise BadEntity(f"{entity_id} redirects to itself", "redirect")
    content = {"entity": str(entity_id), "redirect": str(target)}
    return Entity(str(entity_id), entity_id.type, content, lastrevid, modified, str(target), content_hash(content))


def _entity_id(value: Any, place: str) -> Any:
    if not isinstance(value, str):
        raise BadEntity(f"is {kind_of(value)} ({_shown(value)}), expected text such as Q42", place)
    try:
        entity_id = parse_id(value)
    except BadInput as error:
        raise BadEntity(error.message, error.place).at(place) from None
    if entity_id.part:
        raise BadEntity(f"{value} is a part of {entity_id.entity}, not an entity", place)
    return entity_id


def _revision_number(value: Any) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not 1 <= value <= MAX_ID:
        raise BadEntity(f"is {_shown(value)}, expected a whole number from 1 to {MAX_ID}", "lastrevid")
    return value


def _modified(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _MODIFIED.fullmatch(value):
        raise BadEntity(f"is {_shown(value)}, expected a time such as 2025-01-15T10:30:00Z", "modified")
    try:
        datetime.fromisoformat(value)
    except ValueError:
        raise BadEntity(f"is {value}, which is no date or time", "modified") from None
    return value


def _check_parts(data: dict[str, Any], entity_type: EntityType) -> None:
    _check_terms(data, "labels")
    _check_terms(data, "descriptions")
    _check_aliases(data)
    _check_sitelinks(data)
    seen: set[str] = set()
    check_claims(data, "", seen)
    if entity_type is EntityType.PROPERTY and not isinstance(data.get("datatype"), str):
        raise BadEntity("property without datatype", "datatype")
    if entity_type is EntityType.LEXEME:
        _check_terms(data, "lemmas")
        for name in ("lexicalCategory", "language"):
            _item_id(data.get(name), name)
        _check_lexeme_parts(data, "forms", "representations", seen)
        _check_lexeme_parts(data, "senses", "glosses", seen)


def _map(holder: dict[str, Any], name: str, prefix: str = "") -> dict[str, Any]:
    """Return an optional map; PHP writes an empty one as []."""
    value = holder.get(name)
    if value is None or value == []:
        if value is None and name in holder:
            raise BadEntity("is null, expected an object", prefix + name)
        return {}
    if not isinstance(value, dict):
        raise BadEntity(f"is {kind_of(value)}, expected an object", prefix + name)
    return value


def _check_terms(holder: dict[str, Any], name: str, prefix: str = "") -> None:
    for language, term in _map(holder, name, prefix).items():
        _check_term(language, term, f"{prefix}{name}.{language}")


def _check_term(language: str, term: Any, place: str) -> None:
    if not _LANGUAGE.fullmatch(language):
        raise BadEntity("language code expected: up to 50 letters, digits, '-' and '_'", place)
    if not isinstance(term, dict):
        raise BadEntity(f"is {kind_of(term)}, expected an object with language and value", place)
    if not isinstance(term.get("value"), str):
        raise BadEntity(f"is {kind_of(term.get('value'))}, expected text", f"{place}.value")
    if term.get("language") != language:
        # As with language fallback, where the text is another language's.
        raise BadEntity(f"is {_shown(term.get('language'))}, but its key is {language!r}", f"{place}.language")


def _check_aliases(data: dict[str, Any]) -> None:
    for language, aliases in _map(data, "aliases").items():
        place = f"aliases.{language}"
        if not isinstance(aliases, list):
            raise BadEntity(f"is {kind_of(aliases)}, expected a list", place)
        for index, alias in enumerate(aliases):
            _check_term(language, alias, f"{place}[{index}]")


def _check_sitelinks(data: dict[str, Any]) -> None:
    for site, link in _map(data, "sitelinks").items():
        place = f"sitelinks.{site}"
        if not _SITE.fullmatch(site):
            raise BadEntity("site id expected: up to 50 letters, digits, '-' and '_'", place)
        if not isinstance(link, dict):
            raise BadEntity(f"is {kind_of(link)}, expected an object with site and title", place)
        if link.get("site") != site:
            raise BadEntity(f"is {_shown(link.get('site'))}, but its key is {site!r}", f"{place}.site")
        if not isinstance(link.get("title"), str):
            raise BadEntity(f"is {kind_of(link.get('title'))}, expected text", f"{place}.title")
        badges = link.get("badges", [])
        if not isinstance(badges, list):
            raise BadEntity(f"is {kind_of(badges)}, expected a list", f"{place}.badges")
        for index, badge in enumerate(badges):
            _item_id(badge, f"{place}.badges[{index}]")


def _check_lexeme_parts(data: dict[str, Any], name: str, terms: str, seen: set[str]) -> None:
    parts = data.get(name, [])
    if parts == {}:
        return
    if not isinstance(parts, list):
        raise BadEntity(f"is {kind_of(parts)}, expected a list", name)
    ids: set[str] = set()
    letter = "F" if name == "forms" else "S"
    for index, part in enumerate(parts):
        place = f"{name}[{index}]"
        if not isinstance(part, dict):
            raise BadEntity(f"is {kind_of(part)}, expected an object", place)
        part_id = part.get("id")
        if not isinstance(part_id, str) or not re.fullmatch(rf"{data['id']}-{letter}[1-9][0-9]{{0,18}}", part_id):
            raise BadEntity(f"is {_shown(part_id)}, expected an id such as {data['id']}-{letter}1", f"{place}.id")
        if part_id in ids:
            raise BadEntity(f"{part_id} is given twice", f"{place}.id")
        ids.add(part_id)
        _check_terms(part, terms, f"{place}.")
        features = part.get("grammaticalFeatures", [])
        if not isinstance(features, list):
            raise BadEntity(f"is {kind_of(features)}, expected a list", f"{place}.grammaticalFeatures")
        for position, feature in enumerate(features):
            _item_id(feature, f"{place}.grammaticalFeatures[{position}]")
        check_claims(part, f"{place}.", seen)


def _item_id(value: Any, place: str) -> None:
    # A foreign repository's id has its prefix: wd:Q42.
    if not isinstance(value, str) or not re.fullmatch(r"(?:[a-z0-9-]+:)?Q[1-9][0-9]{0,18}", value):
        raise BadEntity(f"is {_shown(value)}, expected an item id such as Q42", place)


def _shown(value: Any) -> str:
    shown = ascii(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
