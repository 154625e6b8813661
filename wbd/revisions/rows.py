"""Turn a checked entity into the rows of the tables that describe its head. Pure.

Rows are keyed within the entity, so that the store writes only the rows that differ. A content hash is Wikibase's own
where the snak or reference has one, and SHA-256 of the canonical JSON otherwise, so that equal content of entities from
one source has equal hashes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from wbd.entity.check import Entity
from wbd.entity.ids import EntityType, head_of, value_id
from wbd.entity.walk import Json, alias_values, claims_of, parts_of, term_values

RowKey = tuple[str, ...]
RowValues = tuple[str | int, ...]
TableRows = dict[RowKey, RowValues]

# Widths of schema.sql, in characters. The hash beside a text covers all of it.
_VALUE_LENGTH = 2500
_TITLE_LENGTH = 500
_GIVEN_HASH = re.compile(r"[0-9a-f]{32,64}")


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A table of rows of one entity: *key* within the entity, *values* besides. Compared by identity."""

    name: str
    key: tuple[str, ...]
    values: tuple[str, ...]


BACKLINKS = Table("entity_backlinks", ("backlink_id", "property_id"), ())
STATEMENTS = Table("statement_content", ("statement_id",), ("property_id", "content_hash", "ref_count"))
QUALIFIERS = Table("qualifiers", ("content_hash",), ("property_id", "ref_count"))
# The documents' name is a reserved word.
REFERENCES = Table("`references`", ("content_hash",), ("ref_count",))
TERMS = Table("terms", ("term_type", "language", "content_hash"), ("value", "ref_count"))
LEXEME_TERMS = Table("lexeme_terms", ("owner_id", "term_type", "language", "content_hash"), ("value", "ref_count"))
SITELINKS = Table("sitelinks", ("site_id",), ("title", "content_hash", "ref_count"))
REDIRECTS = Table("entity_redirects", (), ("redirects_to",))
TABLES = (BACKLINKS, STATEMENTS, QUALIFIERS, REFERENCES, TERMS, LEXEME_TERMS, SITELINKS, REDIRECTS)


@dataclass(frozen=True, slots=True)
class EntityRows:
    """The rows of one head; sitelink_id is the hash of its sitelinks, None if it has none."""

    tables: dict[Table, TableRows]
    sitelink_id: str | None


def no_rows() -> EntityRows:
    """Return the rows of a deleted entity: none."""
    return EntityRows({table: {} for table in TABLES}, None)


def rows_of(entity: Entity) -> EntityRows:
    """Return every row that describes *entity* as a head; a redirect has exactly one."""
    tables: dict[Table, TableRows] = {table: {} for table in TABLES}
    if entity.redirect is not None:
        tables[REDIRECTS][()] = (entity.redirect,)
        return EntityRows(tables, None)
    data = entity.data
    terms = tables[TERMS]
    _add_terms(terms, (), "label", term_values(data.get("labels")))
    _add_terms(terms, (), "description", term_values(data.get("descriptions")))
    _add_terms(terms, (), "alias", alias_values(data.get("aliases")))
    for part in parts_of(data):
        _add_statements(tables, part)
    if entity.type is EntityType.LEXEME:
        lexeme_terms = tables[LEXEME_TERMS]
        _add_terms(lexeme_terms, (entity.id,), "lemma", term_values(data.get("lemmas")))
        for form in data.get("forms") or ():
            _add_terms(lexeme_terms, (form["id"],), "representation", term_values(form.get("representations")))
        for sense in data.get("senses") or ():
            _add_terms(lexeme_terms, (sense["id"],), "gloss", term_values(sense.get("glosses")))
    return EntityRows(tables, _add_sitelinks(tables[SITELINKS], data))


def _add_terms(rows: TableRows, owner: RowKey, term_type: str, terms: Iterable[tuple[str, str]]) -> None:
    for language, value in terms:
        digest = hashlib.sha256(value.encode()).hexdigest()
        _count(rows, (*owner, term_type, language, digest), (value[:_VALUE_LENGTH],))


def _add_sitelinks(rows: TableRows, data: dict[str, Any]) -> str | None:
    links = data.get("sitelinks") or {}
    for site, link in links.items():
        digest = _digest([site, link["title"], link.get("badges") or []])
        rows[(site,)] = (link["title"][:_TITLE_LENGTH], digest, 1)
    return _digest(sorted((site, values[1]) for (site,), values in rows.items())) if links else None


def _add_statements(tables: dict[Table, TableRows], holder: Json) -> None:
    backlinks, statements = tables[BACKLINKS], tables[STATEMENTS]
    qualifiers, references = tables[QUALIFIERS], tables[REFERENCES]
    for property_id, group in claims_of(holder).items():
        for statement in group:
            content = {key: value for key, value in statement.items() if key != "id"}
            statements[(statement["id"],)] = (property_id, _digest(content), 1)
            # Only the main snak counts, because a row of this table has one property, which is the statement's.
            target = _entity_value(statement["mainsnak"])
            if target is not None:
                backlinks[(target, property_id)] = ()
            for group_of_snaks in (statement.get("qualifiers") or {}).values():
                for snak in group_of_snaks:
                    _count(qualifiers, (_given_or_digest(snak),), (snak["property"],))
            for reference in statement.get("references") or ():
                _count(references, (_given_or_digest(reference),), ())


def _entity_value(snak: Json) -> str | None:
    """
    Return the entity that a snak's value names, the lexeme of a form or sense.

    Returns:
        None for any other value, a broken one, and the entity of a foreign repository, which has no head here.
    """
    if snak["snaktype"] != "value":
        return None
    try:
        datavalue = snak["datavalue"]
        return head_of(value_id(datavalue["value"])) if datavalue["type"] == "wikibase-entityid" else None
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _given_or_digest(part: Json) -> str:
    given = part.get("hash")
    if isinstance(given, str) and _GIVEN_HASH.fullmatch(given):
        return given
    return _digest({key: value for key, value in part.items() if key != "hash"})


def _digest(value: Any) -> str:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _count(rows: TableRows, key: RowKey, values: RowValues) -> None:
    """Add a row whose last value counts the occurrences of its key."""
    present = rows.get(key)
    rows[key] = (*values, 1) if present is None else (*present[:-1], int(present[-1]) + 1)
