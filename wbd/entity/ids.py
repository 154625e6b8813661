"""Entity ids: "Q42" becomes type and number, and back. No I/O.

An id is a prefix letter and a number without leading zeros: Q items, P properties, L lexemes, E entity schemas. Forms
and senses are parts of a lexeme (L1-F2, L1-S3) and are numbered within it, so no range is ever reserved for them.
Only the canonical spelling is an id: "q42" or "Q042" would be second keys for one entity in every table and object.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from wbd.errors import BadInput

# Ids travel as RESP integers and end in Java and PHP programs: all of those are signed 64-bit. The column is unsigned,
# so next_id can still say "one after the last".
MAX_ID = 2**63 - 1


class EntityType(StrEnum):
    """The types that have ids of their own; the value is the type's name in tables, settings and commands."""

    ITEM = "item"
    PROPERTY = "property"
    LEXEME = "lexeme"
    ENTITYSCHEMA = "entityschema"

    @property
    def prefix(self) -> str:
        return PREFIXES[self]


class PartType(StrEnum):
    """What can be a part of a lexeme; the value is the letter in its id."""

    FORM = "F"
    SENSE = "S"


PREFIXES = {
    EntityType.ITEM: "Q",
    EntityType.PROPERTY: "P",
    EntityType.LEXEME: "L",
    EntityType.ENTITYSCHEMA: "E",
}
_TYPES = {prefix: entity_type for entity_type, prefix in PREFIXES.items()}

# 19 digits hold MAX_ID; without the bound a hostile line could make int() work for minutes.
_ID = re.compile(r"([QPLE])([1-9][0-9]{0,18})(?:-([FS])([1-9][0-9]{0,18}))?")
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True, order=True)
class EntityId:
    """
    One id; ``str()`` gives its canonical text, and ids sort by type, then by number (Q9 before Q10).

    part and part_number are set for forms and senses only; a lexeme sorts before its parts.
    """

    type: EntityType
    number: int
    part: PartType | Literal[""] = ""
    part_number: int = 0

    def __post_init__(self) -> None:
        _check_number(self.number, self.type.value)
        if not self.part:
            if self.part_number:
                raise BadInput(f"part number {self.part_number} without a part")
        elif self.type is not EntityType.LEXEME:
            raise BadInput(f"{self.type.value} {self.number}: only lexemes have forms and senses")
        else:
            _check_number(self.part_number, self.part.name.lower())

    def __str__(self) -> str:
        whole = f"{PREFIXES[self.type]}{self.number}"
        return f"{whole}-{self.part}{self.part_number}" if self.part else whole

    @property
    def entity(self) -> EntityId:
        """The entity that this id belongs to: the lexeme of a form or sense, else the id itself."""
        return EntityId(self.type, self.number) if self.part else self


def format_id(entity_type: EntityType, number: int) -> str:
    """Return the id as text, such as "Q42". Raises BadInput when *number* is not within 1..MAX_ID."""
    _check_number(number, entity_type.value)
    return f"{PREFIXES[entity_type]}{number}"


def parse_id(text: str, *, place: str = "") -> EntityId:
    """
    Read a canonical id, form id or sense id.

    Args:
        place: where the text stands (file and line, JSON path), for the message.

    Raises:
        BadInput: not an id, or a number over MAX_ID.
    """
    match = _ID.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise BadInput(f"{_shown(text)} is not an entity id; expected Q1, P1, L1, E1, L1-F1 or L1-S1", place)
    prefix, number, part, part_number = match.groups()
    try:
        if part is None:
            return EntityId(_TYPES[prefix], int(number))
        return EntityId(_TYPES[prefix], int(number), PartType(part), int(part_number))
    except BadInput as error:
        raise error.at(place) from None


def parse_type(text: str, *, place: str = "") -> EntityType:
    """Read the name of an entity type, in any case. Raises BadInput that lists the types there are."""
    try:
        return EntityType(text.lower())
    except (ValueError, AttributeError):
        raise BadInput(f"unknown entity type {_shown(text)}; there are: {', '.join(EntityType)}", place) from None


def _check_number(number: int, what: str) -> None:
    if not 1 <= number <= MAX_ID:
        raise BadInput(f"{what} number {number} outside 1..{MAX_ID}")


def _shown(text: object) -> str:
    shown = ascii(text)
    return shown if len(shown) <= _SHOWN_CHARACTERS else shown[:_SHOWN_CHARACTERS] + "..."
