"""The lines of a diff become those about nodes that several entities can have: values, references, pages, wikis.

Such nodes are named by their content or address, so entities that use one write the same triples about it. A store of
many entities must not delete these triples with the first entity, because another may still use them. A diff therefore
lists the shared nodes that the entity gained or lost entirely separately, and the consumer decides.

The ``schema:about`` of a page is not shared: only this entity writes it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence, Set
from typing import Final

from wbd.mapping.vocabulary import Vocabulary
from wbd.rdf.graph_diff import RdfDiff
from wbd.rdf.prefixes import SCHEMA, WIKIBASE

_PART_OF: Final = f"> <{SCHEMA}isPartOf> "
_WIKI_GROUP: Final = f"> <{WIKIBASE}wikiGroup> "
_ABOUT: Final = f"> <{SCHEMA}about> "
# Sorts behind every character of an IRI.
_BEHIND: Final = "\U0010ffff"

Present = Callable[[Set[str]], Set[str]]
"""Nodes as terms -> those that a graph has triples about."""


class SharedNodes:
    """Recognizes shared nodes by the namespaces of one Wikibase, and pages and wikis by their predicates."""

    __slots__ = ("_owned", "_shared")

    def __init__(self, vocabulary: Vocabulary) -> None:
        names = vocabulary.namespaces
        self._shared = (f"<{names.wdref}", f"<{names.wdv}")
        # Most lines of an entity are about it and its statements. They are skipped, unless other nodes can have the
        # base of the entities too.
        self._owned = f"<{names.wd}" if names.wd.endswith("entity/") else ""

    def triples(self, lines: Sequence[str], present: Present) -> list[str]:
        """
        Return the lines about shared nodes that are not in another graph, in their order.

        Args:
            lines: sorted canonical lines, none of which the other graph has.
            present: returns the nodes that the other graph has.
        """
        first, behind = _span(lines, self._owned) if self._owned else (0, 0)
        by_node: dict[str, list[str]] = defaultdict(list)
        for line in (*lines[:first], *lines[behind:]):
            by_node[line[: line.index(">") + 1]].append(line)
        shared: dict[str, list[str]] = {}
        for node, about in by_node.items():
            if node.startswith(self._shared):
                shared[node] = about
            elif any(line.startswith((_PART_OF, _WIKI_GROUP), len(node) - 1) for line in about):
                shared[node] = [line for line in about if not line.startswith(_ABOUT, len(node) - 1)]
        if not shared:
            return []
        gone = present(shared.keys())
        return [line for node, about in shared.items() if node not in gone for line in about]


def subjects(lines: Iterable[str]) -> set[str]:
    """Return the subjects of lines that are IRIs, as terms."""
    return {line[: line.find(">") + 1] for line in lines}


def _span(lines: Sequence[str], prefix: str) -> tuple[int, int]:
    return bisect_left(lines, prefix), bisect_left(lines, prefix + _BEHIND)


def with_shared(diff: RdfDiff, vocabulary: Vocabulary, in_old: Present, in_new: Present) -> RdfDiff:
    """Return the diff with its linked and unlinked shared triples; *in_old* and *in_new* return the nodes of a side."""
    shared = SharedNodes(vocabulary)
    return RdfDiff(
        added=diff.added,
        removed=diff.removed,
        linked_shared=shared.triples(diff.added, in_old),
        unlinked_shared=shared.triples(diff.removed, in_new),
    )
