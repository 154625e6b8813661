"""Triples added and removed between two graphs of N-Triples lines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wbd.rdf.setdiff import difference

if TYPE_CHECKING:
    from typing_extensions import Buffer


@dataclass(frozen=True, slots=True)
class RdfDiff:
    """
    Canonical N-Triples lines that were added and removed, sorted.

    linked_shared: the lines of added about shared nodes that the old graph did not have. Other graphs in the same store
        may have them already.
    unlinked_shared: the lines of removed about shared nodes that the new graph does not have. Other graphs in the same
        store may still use them.

    A triple that was added to or removed from a shared node of both graphs is in neither.
    """

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    linked_shared: list[str] = field(default_factory=list)
    unlinked_shared: list[str] = field(default_factory=list)

    @property
    def own_added(self) -> list[str]:
        """The lines of added that are not in linked_shared."""
        return _without(self.added, self.linked_shared)

    @property
    def own_removed(self) -> list[str]:
        """The lines of removed that are not in unlinked_shared; a store of many graphs can delete them at once."""
        return _without(self.removed, self.unlinked_shared)

    def __bool__(self) -> bool:
        """Tell whether anything changed."""
        return bool(self.added or self.removed)


def _without(lines: list[str], shared: list[str]) -> list[str]:
    if not shared:
        return lines[:]
    apart = set(shared)
    return [line for line in lines if line not in apart]


def diff_ntriples(old: Buffer, new: Buffer) -> RdfDiff:
    """
    Return what changed between two graphs of canonical N-Triples text in UTF-8, with equal nodes labelled alike.

    Suited to complete graphs: lines of both never become Python objects. See difference() for limits and errors.
    """
    added, removed = difference(old, new)
    return RdfDiff(added=added.decode().split("\n")[:-1], removed=removed.decode().split("\n")[:-1])


def apply(diff: RdfDiff, lines: Iterable[str]) -> list[str]:
    """Return the sorted lines after the change; lines to remove may be missing."""
    return sorted(set(lines).difference(diff.removed).union(diff.added))
