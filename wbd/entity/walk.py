"""Walk over the parts of an entity: statements, snaks and terms. Pure.

Every function takes JSON that check.py accepts. Broken snaks (check_statements.py) are yielded like all others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

Json = Mapping[str, Any]

TRIMMED: Final = " \t\n\r\0\x0b"
"""The characters that PHP's trim() removes, and Wikibase with it."""


def claims_of(holder: Json) -> Mapping[str, Sequence[Json]]:
    """Return statements by property, whatever MediaInfo calls them; PHP writes an empty map as []."""
    return holder.get("claims") or holder.get("statements") or {}


def parts_of(entity: Json) -> Iterator[Json]:
    """Yield everything that has statements: the entity, and the forms and senses of a lexeme."""
    yield entity
    if entity.get("type") == "lexeme":
        yield from entity.get("forms") or ()
        yield from entity.get("senses") or ()


def statements(holder: Json) -> Iterator[Json]:
    """Yield the statements of an entity, form or sense."""
    for group in claims_of(holder).values():
        yield from group


def snaks(statement: Json) -> Iterator[Json]:
    """Yield the main snak, qualifiers and reference snaks of a statement, or of the parts that are left of one."""
    if "mainsnak" in statement:
        yield statement["mainsnak"]
    for group in (statement.get("qualifiers") or {}).values():
        yield from group
    for reference in statement.get("references") or ():
        for group in (reference["snaks"] or {}).values():
            yield from group


def has_snaks(reference: Json) -> bool:
    """Tell whether a reference has any snak; Wikibase drops one that has none."""
    groups = reference["snaks"]
    # The second look is for {"P1": []}, which is as empty.
    return bool(groups) and any(groups.values())


def term_values(terms: Json | None) -> Iterator[tuple[str, str]]:
    """Yield language and text of labels, descriptions, lemmas and the like; Wikibase drops empty ones."""
    for term in (terms or {}).values():
        if term["value"]:
            yield term["language"], term["value"]


def alias_values(aliases: Json | None) -> Iterator[tuple[str, str]]:
    """Yield language and trimmed text of aliases; Wikibase drops empty ones."""
    for group in (aliases or {}).values():
        for alias in group:
            text = alias["value"].strip(TRIMMED)
            if text:
                yield alias["language"], text
