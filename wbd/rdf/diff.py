"""What changed between two graphs, or between two revisions of an entity.

Laws: apply(diff(a, b), a) is b as a set, added and removed share nothing, and nothing that a and b share is in either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wbd.rdf.mapping import MappingContext, map_entity


@dataclass(frozen=True, slots=True)
class RdfDiff:
    """Sorted canonical N-Triples lines that came and went."""

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Tell whether anything changed."""
        return bool(self.added or self.removed)


def diff_lines(old: Iterable[str], new: Iterable[str]) -> RdfDiff:
    """Return what changed between two graphs of canonical lines."""
    before, after = set(old), set(new)
    return RdfDiff(added=sorted(after - before), removed=sorted(before - after))


def apply(diff: RdfDiff, lines: Iterable[str]) -> list[str]:
    """Return the sorted lines after the change; lines that it removes need not be there."""
    return sorted(set(lines).difference(diff.removed).union(diff.added))


def diff_entities(
    old: Mapping[str, Any] | None,
    new: Mapping[str, Any] | None,
    context: MappingContext,
    *,
    old_revision: int | None = None,
    new_revision: int | None = None,
    old_modified: str | None = None,
    new_modified: str | None = None,
) -> RdfDiff:
    """
    Return what changed in the RDF of an entity.

    Args:
        old: the entity before, or None when it did not exist or was deleted.
        new: the entity after, or None when it is deleted.

    Raises:
        BadEntity: a side breaks the data model.
    """
    before: list[str] = []
    after: list[str] = []
    if old is not None:
        before = map_entity(old, context, revision_id=old_revision, modified=old_modified)
    if new is not None:
        after = map_entity(new, context, revision_id=new_revision, modified=new_modified)
    return diff_lines(before, after)
