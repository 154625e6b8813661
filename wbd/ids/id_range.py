"""Consecutive ids of one type, and the spelling of reserved ids in settings. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from wbd.entity.ids import MAX_ID, EntityType, parse_type
from wbd.errors import BadInput


@dataclass(frozen=True, slots=True)
class IdRange:
    """Consecutive ids of one type; *first* and *last* inclusive, at least one id."""

    entity_type: EntityType
    first: int
    last: int

    def __post_init__(self) -> None:
        if not 1 <= self.first <= self.last <= MAX_ID:
            raise BadInput(f"{self.entity_type.value} range {self.first}..{self.last} outside 1..{MAX_ID} or empty")

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        prefix = self.entity_type.prefix
        return f"{prefix}{self.first}..{prefix}{self.last}"

    def numbers(self) -> range:
        """Return the numbers of the ids, in order."""
        return range(self.first, self.last + 1)


def parse_reserved(entity_type: EntityType | str, text: str) -> list[IdRange]:
    """
    Read the reserved ids of one type, such as ``1-1000, 4115189``.

    Raises:
        BadInput: not numbers and spans separated by commas, or outside 1..MAX_ID.
    """
    kind = parse_type(entity_type)
    ranges = []
    for part in filter(None, (one.strip() for one in text.split(","))):
        first, dash, last = (one.strip() for one in part.partition("-"))
        if not (first.isascii() and first.isdigit() and (not dash or (last.isascii() and last.isdigit()))):
            raise BadInput(f"{part!r} is not an id number or a span such as 1-1000", f"reserved {kind.value} ids")
        if max(len(first), len(last)) > len(str(MAX_ID)):
            raise BadInput(f"{part!r} is over {MAX_ID}", f"reserved {kind.value} ids")
        ranges.append(IdRange(kind, int(first), int(last or first)))
    return ranges
