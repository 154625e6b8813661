"""A canonical order of the blank nodes of one graph: partition refinement, and a search where that leaves ties.

Nodes start in cells by their ground triples. Cells are split by what their members are connected to until nothing
splits any more; new cells are numbered in an order that follows from content alone, and the largest part of a cell
keeps its number, so a graph of n edges takes about n log n steps. Nodes that are still alike are put first one by
one, and the least of the resulting graphs decides; a branch that leads to a graph already seen is one that a symmetry
maps onto it, and is left out. Cliques, rings and stars take polynomial work; graphs made to be hard end in
GraphTooHard.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from wbd.errors import GraphTooHard

Triple = tuple[str, str, str]

WORK_LIMIT: Final = 2_000_000
"""Edges and nodes looked at: a few seconds of one core."""


class Work:
    """Counts steps against a limit."""

    __slots__ = ("limit", "spent", "what")

    def __init__(self, limit: int, what: str) -> None:
        self.limit = limit
        self.spent = 0
        self.what = what

    def spend(self, steps: int) -> None:
        """Count *steps*, or raise GraphTooHard."""
        self.spent += steps
        if self.spent > self.limit:
            raise GraphTooHard(f"{self.what} stopped after {self.limit} steps; graph set aside")


@dataclass(slots=True)
class _Partition:
    """Cells of nodes: the cell of each node, the members of each cell."""

    cell_of: list[int]
    members: dict[int, list[int]]

    def copy(self) -> _Partition:
        # Member lists are replaced, never changed, so they can be shared.
        return _Partition(self.cell_of[:], dict(self.members))

    def split(self, cell: int, parts: Sequence[list[int]]) -> list[int]:
        """Divide a cell; its largest part keeps its number. Return the nodes of the others."""
        keeper = max(range(len(parts)), key=lambda n: (len(parts[n]), -n))
        moved = []
        for number, part in enumerate(parts):
            if number == keeper:
                self.members[cell] = part
                continue
            fresh = len(self.members)
            self.members[fresh] = part
            for node in part:
                self.cell_of[node] = fresh
            moved += part
        return moved

    def first_tie(self) -> int | None:
        """Return the smallest cell of several nodes, the lowest number among equals."""
        ties = [(len(nodes), cell) for cell, nodes in self.members.items() if len(nodes) > 1]
        return min(ties)[1] if ties else None


_Leaf = tuple[list[str], list[int]]
"""The graph under an order, and the place of each node in it."""


class _Graph:
    def __init__(self, triples: Sequence[Triple], work: Work) -> None:
        self.triples = triples
        self.work = work
        self.names: list[str] = []
        number: dict[str, int] = {}
        for triple in triples:
            for term in (triple[0], triple[2]):
                if term.startswith("_:") and term not in number:
                    number[term] = len(self.names)
                    self.names.append(term)
        self.number = number
        self.neighbours: list[list[tuple[str, int]]] = [[] for _ in self.names]
        self.ground: list[list[str]] = [[] for _ in self.names]
        for s, p, o in triples:
            subject, target = number.get(s), number.get(o)
            if subject is not None and target is not None and subject != target:
                # What a node sees of its neighbour: the predicate, and from which end.
                self.neighbours[subject].append((f"s{p}", target))
                self.neighbours[target].append((f"o{p}", subject))
            elif subject is not None:
                self.ground[subject].append(f"s{p} {'_:' if target is not None else o}")
            elif target is not None:
                self.ground[target].append(f"o{p} {s}")

    def start(self) -> _Partition:
        cells: dict[str, list[int]] = defaultdict(list)
        for node, lines in enumerate(self.ground):
            cells["\n".join(sorted(lines))].append(node)
        partition = _Partition([0] * len(self.names), {})
        for cell, key in enumerate(sorted(cells)):
            partition.members[cell] = cells[key]
            for node in cells[key]:
                partition.cell_of[node] = cell
        self.refine(partition, list(range(len(self.names))))
        return partition

    def refine(self, partition: _Partition, moved: list[int]) -> None:
        """Split cells until members of a cell see the same cells; *moved* are the nodes whose cell is new."""
        while moved:
            seen: dict[int, dict[int, list[tuple[str, int]]]] = defaultdict(lambda: defaultdict(list))
            for node in moved:
                self.work.spend(1 + len(self.neighbours[node]))
                own = partition.cell_of[node]
                for role, neighbour in self.neighbours[node]:
                    cell = partition.cell_of[neighbour]
                    if len(partition.members[cell]) > 1:
                        seen[cell][neighbour].append((role, own))
            moved = []
            for cell in sorted(seen):
                views: dict[tuple[tuple[str, int], ...], list[int]] = defaultdict(list)
                for node, view in seen[cell].items():
                    views[tuple(sorted(view))].append(node)
                rest = [node for node in partition.members[cell] if node not in seen[cell]]
                parts = ([rest] if rest else []) + [views[view] for view in sorted(views)]
                if len(parts) > 1:
                    moved += partition.split(cell, parts)

    def leaf(self, partition: _Partition) -> _Leaf:
        self.work.spend(len(self.triples))
        place = partition.cell_of
        name = {term: f"_:n{place[node]}" for term, node in self.number.items()}
        return sorted(f"{name.get(s, s)} {p} {name.get(o, o)} ." for s, p, o in self.triples), place

    def put_first(self, partition: _Partition, cell: int, node: int) -> _Partition:
        self.work.spend(len(self.names))
        branch = partition.copy()
        others = [other for other in branch.members[cell] if other != node]
        self.refine(branch, branch.split(cell, [others, [node]]))
        return branch

    def any_leaf(self, partition: _Partition) -> _Leaf:
        """Return the leaf of one branch."""
        cell = partition.first_tie()
        while cell is not None:
            partition = self.put_first(partition, cell, partition.members[cell][0])
            cell = partition.first_tie()
        return self.leaf(partition)

    def least_leaf(self, partition: _Partition) -> _Leaf:
        """Return the leaf with the least graph."""
        cell = partition.first_tie()
        if cell is None:
            return self.leaf(partition)
        nodes = partition.members[cell]
        best = self.least_leaf(self.put_first(partition, cell, nodes[0]))
        for node in nodes[1:]:
            branch = self.put_first(partition, cell, node)
            if self.any_leaf(branch)[0] != best[0]:
                best = min(best, self.least_leaf(branch))
        return best


def canonical_places(triples: Sequence[Triple], work: Work) -> tuple[list[str], dict[str, int]]:
    """
    Number the blank nodes of a graph by content.

    Returns:
        The lines of the graph with blank nodes ``_:n0`` ..., equal for isomorphic graphs; and the number of each
        blank node.

    Raises:
        GraphTooHard: *work* is used up.
    """
    graph = _Graph(triples, work)
    try:
        lines, place = graph.least_leaf(graph.start())
    except RecursionError as error:
        raise GraphTooHard(f"{work.what} nests too deep; graph set aside") from error
    return lines, {name: place[node] for node, name in enumerate(graph.names)}
