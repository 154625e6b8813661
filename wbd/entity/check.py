"""The one grammar of entity JSON: parsed JSON becomes a checked Entity, and the bytes of its snapshots.

An entity that check_entity accepts has index rows, triples, and a diff against any other accepted revision of it. An
entity that it refuses has an error with its JSON path. A value that Wikibase cannot read does not cost the entity: its
snak is broken, is kept as it is, and is listed in Entity.broken_snaks.

The mapping uses its input unchecked and calls find_fault after it has failed, so that good input does not pay for the
check. This is not a full check of the data model: unknown datatypes and further members pass as they are.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from wbd.entity.check_statements import Findings, check_claims
from wbd.entity.content import content_hash
from wbd.entity.ids import (
    MAX_ID,
    EntityId,
    EntityType,
    PartType,
    is_item_id,
    is_part_id,
    normalize_mention,
    parse_id,
)
from wbd.entity.values import kind_of, shown
from wbd.errors import BadEntity, BadInput

_MODIFIED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
# Column widths of schema.sql.
_LANGUAGE = re.compile(r"[A-Za-z0-9_-]{1,50}")
_SITE = re.compile(r"[A-Za-z0-9_-]{1,50}")

# The data model nests 14 deep, from the entity to the value of a snak in a reference of a form's statement. Values of
# types that Wikibase does not know may be deeper, but orjson writes at most 254 levels and recursion has its limits.
_DEPTH_MAX: Final = 100
_INTEGER_MIN: Final = -(2**63)
_INTEGER_MAX: Final = 2**64 - 1
_PLACE_CHARACTERS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Entity:
    """
    A checked entity, or a redirect (then *redirect* is its target and *data* Wikibase's form of a redirect).

    Args:
        data: the entity as given; not to be changed.
        lastrevid: its revision number where it comes from, if it says.
        modified: when that revision was made, ISO 8601, if it says.
        content_hash: SHA-256 in hex of the canonical bytes; equal for equal content in different spelling.
        broken_snaks: the error of each snak whose value Wikibase cannot read, with the place of the fault.
    """

    id: str
    type: EntityType
    data: dict[str, Any]
    lastrevid: int | None
    modified: str | None
    redirect: str | None
    content_hash: str
    broken_snaks: tuple[BadEntity, ...] = ()


def check_entity(data: dict[str, Any], repositories: Container[str] = ()) -> Entity:
    """
    Check one parsed entity.

    Args:
        repositories: names of foreign repositories whose entities can be values.

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
        raise BadEntity(f"is {shown(given)}, but the id {data['id']} is of type {entity_id.type}", "type")
    findings = Findings(repositories)
    _check_parts(data, entity_id.type, findings)
    broken = tuple(findings.broken_snaks)
    return Entity(data["id"], entity_id.type, data, lastrevid, modified, None, _hash_of(data), broken)


def find_fault(entity: Any) -> BadEntity | None:
    """
    Return the first fault that makes an entity unfit for the mapping, with its JSON path; None for a sound one.

    Like the mapping, this takes MediaInfo, ids in lower case, and entities of foreign repositories. Broken snaks are no
    fault, because the mapping does without their values.
    """
    try:
        if not isinstance(entity, dict):
            raise BadEntity(f"is {kind_of(entity)}, expected an entity object")
        if "redirect" in entity:
            _mentioned_id(entity.get("entity"), "entity")
            _mentioned_id(entity["redirect"], "redirect")
            return None
        _mentioned_id(entity.get("id"), "id")
        if not isinstance(entity.get("type"), str) or not entity["type"]:
            raise BadEntity(f"is {shown(entity.get('type'))}, expected an entity type", "type")
        _revision_number(entity.get("lastrevid"))
        _modified(entity.get("modified"))
        _check_parts(entity, entity["type"], Findings())
    except BadEntity as error:
        return error
    return _unwritable(entity)


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


def _hash_of(data: dict[str, Any]) -> str:
    """Return the content hash. Raises BadEntity for content that cannot be written as JSON in UTF-8."""
    try:
        return content_hash(data)
    except TypeError:
        raise _unwritable(data) or BadEntity("cannot be written as JSON", "id") from None


def _unwritable(entity: Any) -> BadEntity | None:
    """Find a value that is nested too deep, an integer of over 64 bits, or text with half a surrogate pair."""
    level: list[tuple[str, Any]] = [("", entity)]
    for _ in range(_DEPTH_MAX):
        below: list[tuple[str, Any]] = []
        for place, value in level:
            if isinstance(value, dict):
                for key, member in value.items():
                    inner = f"{place}.{key}" if place else key
                    if not _is_unicode(key):
                        return BadEntity("holds half a surrogate pair in its name", shown(inner)[1:-1])
                    below.append((inner, member))
            elif isinstance(value, list):
                below += ((f"{place}[{index}]", member) for index, member in enumerate(value))
            elif isinstance(value, str) and not _is_unicode(value):
                return BadEntity("holds half a surrogate pair", place)
            elif isinstance(value, int) and not _INTEGER_MIN <= value <= _INTEGER_MAX:
                return BadEntity(f"is {shown(value)}, expected an integer of at most 64 bits", place)
        level = below
    if not level:
        return None
    place = level[0][0]
    shortened = place if len(place) <= _PLACE_CHARACTERS_MAX else f"{place[:_PLACE_CHARACTERS_MAX]}..."
    return BadEntity(f"nested over {_DEPTH_MAX} deep", shortened)


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _mentioned_id(value: Any, place: str) -> None:
    try:
        normalize_mention(value)
    except (TypeError, ValueError):
        raise BadEntity(f"is {shown(value)}, expected an entity id such as Q42", place) from None


def _entity_id(value: Any, place: str) -> EntityId:
    if not isinstance(value, str):
        raise BadEntity(f"is {kind_of(value)} ({shown(value)}), expected text such as Q42", place)
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
        raise BadEntity(f"is {shown(value)}, expected a whole number from 1 to {MAX_ID}", "lastrevid")
    return value


def _modified(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _MODIFIED.fullmatch(value):
        raise BadEntity(f"is {shown(value)}, expected a time such as 2025-01-15T10:30:00Z", "modified")
    try:
        datetime.fromisoformat(value)
    except ValueError:
        raise BadEntity(f"is {value}, which is no date or time", "modified") from None
    return value


def _check_parts(data: dict[str, Any], entity_type: str, findings: Findings) -> None:
    _check_terms(data, "labels")
    _check_terms(data, "descriptions")
    _check_aliases(data)
    _check_sitelinks(data)
    check_claims(data, "", findings)
    if entity_type == EntityType.PROPERTY and not isinstance(data.get("datatype"), str):
        raise BadEntity("property without datatype", "datatype")
    if entity_type == EntityType.LEXEME:
        _check_terms(data, "lemmas")
        for name in ("lexicalCategory", "language"):
            _item_id(data.get(name), name)
        _check_lexeme_parts(data, "forms", "representations", PartType.FORM, findings)
        _check_lexeme_parts(data, "senses", "glosses", PartType.SENSE, findings)


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
        # Exports with language fallback have texts of other languages.
        raise BadEntity(f"is {shown(term.get('language'))}, but its key is {language!r}", f"{place}.language")


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
            raise BadEntity(f"is {shown(link.get('site'))}, but its key is {site!r}", f"{place}.site")
        if not isinstance(link.get("title"), str):
            raise BadEntity(f"is {kind_of(link.get('title'))}, expected text", f"{place}.title")
        if not link["title"]:
            raise BadEntity("is empty, expected the title of a page", f"{place}.title")
        badges = link.get("badges", [])
        if not isinstance(badges, list):
            raise BadEntity(f"is {kind_of(badges)}, expected a list", f"{place}.badges")
        for index, badge in enumerate(badges):
            _item_id(badge, f"{place}.badges[{index}]")


def _check_lexeme_parts(data: dict[str, Any], name: str, terms: str, part_type: PartType, findings: Findings) -> None:
    parts = data.get(name, [])
    if parts == {}:
        return
    if not isinstance(parts, list):
        raise BadEntity(f"is {kind_of(parts)}, expected a list", name)
    ids: set[str] = set()
    for index, part in enumerate(parts):
        place = f"{name}[{index}]"
        if not isinstance(part, dict):
            raise BadEntity(f"is {kind_of(part)}, expected an object", place)
        part_id = part.get("id")
        if not isinstance(part_id, str) or not is_part_id(part_id, data["id"], part_type):
            raise BadEntity(f"is {shown(part_id)}, expected an id such as {data['id']}-{part_type}1", f"{place}.id")
        if part_id in ids:
            raise BadEntity(f"{part_id} is given twice", f"{place}.id")
        ids.add(part_id)
        _check_terms(part, terms, f"{place}.")
        features = part.get("grammaticalFeatures", [])
        if not isinstance(features, list):
            raise BadEntity(f"is {kind_of(features)}, expected a list", f"{place}.grammaticalFeatures")
        for position, feature in enumerate(features):
            _item_id(feature, f"{place}.grammaticalFeatures[{position}]")
        check_claims(part, f"{place}.", findings)


def _item_id(value: Any, place: str) -> None:
    if not is_item_id(value):
        raise BadEntity(f"is {shown(value)}, expected an item id such as Q42", place)
