"""Entity ids: "Q42" becomes type and number, and back. No I/O.

An id is a prefix letter and a number without leading zeros: Q items, P properties, L lexemes, E entity schemas. Forms
and senses are parts of a lexeme (L1-F2, L1-S3) and are numbered within it, so no range is ever reserved for them.
Only the canonical spelling is an id of this wiki: "q42" or "Q042" would be second keys for one entity in every table
and object.

Entity JSON also *mentions* entities: of other repositories ("commons:M1"), of MediaInfo (M), and, in old revisions, in
lower case or by type and number. Every letter and every pattern of such an id is in this module.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal

from wbd.errors import BadInput

# Ids travel as RESP integers and end in Java and PHP programs: all of those are signed 64-bit. The column is unsigned,
# so next_id can still say "one after the last".
MAX_ID = 2**63 - 1


class EntityType(StrEnum):
    """The types with ids of their own; the value is the name of the type in tables, settings and commands."""

    ITEM = "item"
    PROPERTY = "property"
    LEXEME = "lexeme"
    ENTITYSCHEMA = "entityschema"

    @property
    def prefix(self) -> str:
        return PREFIXES[self]


class PartType(StrEnum):
    """The parts that a lexeme can have; the value is the letter in their ids."""

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
_NUMBER: Final = "[1-9][0-9]{0,18}"
_ID: Final = re.compile(rf"([QPLE])({_NUMBER})(?:-([FS])({_NUMBER}))?")

# A foreign repository's id has its name in front, and an id that passed through several has their names: "a:b:Q1".
_REPOSITORIES: Final = "(?:[A-Za-z][A-Za-z0-9_-]*:)*:?"
_MENTION: Final = re.compile(rf"{_REPOSITORIES}[QPLEMqplem]{_NUMBER}(?:-[FSfs]{_NUMBER})?")
_PROPERTY: Final = re.compile(rf"{_REPOSITORIES}P{_NUMBER}")
_ITEM: Final = re.compile(rf"{_REPOSITORIES}Q{_NUMBER}")
_SCHEMA: Final = re.compile(rf"E{_NUMBER}")

# The ids that Wikibase can parse in a value. Only whole entities may be written in lower case, and their numbers are
# signed 32-bit; entity schemas are parsed by their extension, which bounds nothing.
_VALUE: Final = re.compile(
    rf"({_REPOSITORIES})(?:[QPLMqplm]([1-9][0-9]{{0,9}})|L[1-9][0-9]{{0,9}}-[FS][1-9][0-9]{{0,9}}|E{_NUMBER})"
)
_VALUE_NUMBER_MAX: Final = 2**31 - 1
# Values of before 2017 have a number instead of an id; no other types existed then.
_LETTER_OF_TYPE: Final = {"item": "Q", "property": "P"}

_TYPE_NAMES: Final = {"Q": "item", "P": "property", "L": "lexeme", "F": "form", "S": "sense", "M": "mediainfo"}
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


def is_property_id(text: object) -> bool:
    """Tell whether *text* is the id of a property, here or of a foreign repository."""
    return isinstance(text, str) and _PROPERTY.fullmatch(text) is not None


def is_item_id(text: object) -> bool:
    """Tell whether *text* is the id of an item, here or of a foreign repository."""
    return isinstance(text, str) and _ITEM.fullmatch(text) is not None


def is_schema_id(text: str) -> bool:
    """Tell whether *text* is the id of an entity schema."""
    return _SCHEMA.fullmatch(text) is not None


def is_part_id(text: str, lexeme_id: str, part: PartType) -> bool:
    """Tell whether *text* is the id of a form or sense of this lexeme."""
    match = _ID.fullmatch(text)
    return match is not None and f"{match[1]}{match[2]}" == lexeme_id and match[3] == part


def normalize_mention(text: str) -> str:
    """Return a mentioned id with its letters in upper case. Raises ValueError for anything else."""
    if not _MENTION.fullmatch(text):
        raise ValueError(f"{_shown(text)} is no entity id")
    repositories, colon, local = text.rpartition(":")
    return f"{repositories}{colon}{local.upper()}"


def repository_of(entity_id: str) -> str:
    """Return the name of the foreign repository in front of an id; "" for none."""
    return entity_id.partition(":")[0] if ":" in entity_id else ""


def mentioned_type(entity_id: str) -> str | None:
    """Return the type of a mentioned entity, form or sense; None for an entity schema, which has no terms in RDF."""
    part = entity_id.rpartition(":")[2].rpartition("-")[2]
    return _TYPE_NAMES.get(part[:1])


def value_id(value: Mapping[str, Any]) -> str:
    """
    Return the id in a wikibase-entityid value, its letters in upper case.

    Raises:
        KeyError, TypeError, ValueError: Wikibase cannot parse the id, or there is none.
    """
    text = value.get("id")
    if text is None:
        number = value["numeric-id"]
        if type(number) is not int and type(number) is not str:
            raise TypeError("numeric-id is no number")
        text = f"{_LETTER_OF_TYPE[value['entity-type']]}{number}"
    match = _VALUE.fullmatch(text)
    if match is None or (match[2] is not None and len(match[2]) > 9 and int(match[2]) > _VALUE_NUMBER_MAX):
        raise ValueError("no entity id that Wikibase can parse")
    return text if text.isupper() else f"{match[1]}{text[match.end(1) :].upper()}"


def head_of(entity_id: str) -> str | None:
    """Return the entity of this wiki that has a head for an id: the lexeme of a form; None for foreign entities."""
    match = _ID.fullmatch(entity_id)
    return None if match is None else f"{match[1]}{match[2]}"
