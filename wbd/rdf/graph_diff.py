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
    Sorted canonical N-Triples lines that came and went.

    linked_shared: the part of added that is about shared nodes of which the old side had no triple. Other entities may
        have brought them already.
    unlinked_shared: the part of removed that is about shared nodes of which the new side has no triple. Other entities
        may use them still.

    A triple that came to or left a shared node that both sides have, such as the badge of a page, is in neither.
    """

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    linked_shared: list[str] = field(default_factory=list)
    unlinked_shared: list[str] = field(default_factory=list)

    @property
    def own_added(self) -> list[str]:
        """What came and is not in linked_shared."""
        return _without(self.added, self.linked_shared)

    @property
    def own_removed(self) -> list[str]:
        """What went and is not in unlinked_shared: all that a store of many entities can take away unseen."""
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

    For whole graphs: lines that both have never become Python objects. See difference() for limits and errors.
    """
    added, removed = difference(old, new)
    return RdfDiff(added=added.decode().split("\n")[:-1], removed=removed.decode().split("\n")[:-1])


def apply(diff: RdfDiff, lines: Iterable[str]) -> list[str]:
    """Return the sorted lines after the change; lines that it removes need not be there."""
    return sorted(set(lines).difference(diff.removed).union(diff.added))
