"""A canonical order of the blank nodes of one graph: partition refinement, and a search where that leaves ties.

Nodes start in cells by their ground triples. Cells are split by what their members are connected to until nothing
splits any more; new cells are numbered in an order that follows from content alone, and the largest part of a cell
keeps its number, so a graph of n edges takes about n log n steps. Nodes that are still alike are put first one by
one, and the least of the resulting graphs decides; a branch that leads to a graph already seen is one that a symmetry
maps onto it, and is left out together with all that the known symmetries map onto it. Nodes that nothing can tell
apart, such as the leaves of a star, are put in any order at once. Cliques, rings, stars and trees take polynomial
work; graphs made to be hard end in GraphTooHard.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
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
    """Cells of nodes: the cell of each node, and the members of the cells that have several."""

    cell_of: list[int]
    members: dict[int, set[int]]
    cells: int

    def copy(self) -> _Partition:
        return _Partition(self.cell_of[:], {cell: set(nodes) for cell, nodes in self.members.items()}, self.cells)

    def split(self, cell: int, parts: Sequence[Sequence[int]]) -> list[int]:
        """
        Take *parts* out of a cell, each into a new one; the largest part, or what is in none, keeps the number.

        Costs as many steps as the parts have nodes, however large the cell is. Returns the nodes of the new cells.
        """
        members = self.members[cell]
        rest_size = len(members) - sum(map(len, parts))
        largest = max(range(len(parts)), key=lambda n: (len(parts[n]), -n))
        others = list(parts)
        if rest_size < len(parts[largest]):
            del others[largest]
            if rest_size:
                others.insert(0, list(members.difference(*parts)))
        moved: list[int] = []
        for part in others:
            fresh = self.cells
            self.cells += 1
            if len(part) > 1:
                self.members[fresh] = set(part)
            members.difference_update(part)
            for node in part:
                self.cell_of[node] = fresh
            moved += part
        if len(members) < 2:
            del self.members[cell]
        return moved

    def first_tie(self) -> int | None:
        """Return the smallest cell of several nodes, the lowest number among equals."""
        ties = [(len(nodes), cell) for cell, nodes in self.members.items()]
        return min(ties)[1] if ties else None


class _Orbits:
    """Which nodes of a cell the known symmetries map onto each other (union by path halving)."""

    def __init__(self, nodes: Iterable[int]) -> None:
        self.parent = {node: node for node in nodes}

    def root(self, node: int) -> int:
        parent = self.parent
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    def add(self, symmetry: Sequence[int]) -> None:
        for node in self.parent:
            self.parent[self.root(node)] = self.root(symmetry[node])


_Leaf = tuple[list[str], list[int]]
"""The graph under an order, and the place of each node in it."""


class _Graph:
    def __init__(self, triples: Sequence[Triple], work: Work) -> None:
        self.triples = triples
        self.work = work
        self.names: list[str] = []
        self.symmetries: list[list[int]] = []
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
        cells: dict[str, set[int]] = defaultdict(set)
        for node, lines in enumerate(self.ground):
            cells["\n".join(sorted(lines))].add(node)
        partition = _Partition([0] * len(self.names), {}, len(cells))
        for cell, key in enumerate(sorted(cells)):
            if len(cells[key]) > 1:
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
                    if cell in partition.members:
                        seen[cell][neighbour].append((role, own))
            moved = []
            for cell in sorted(seen):
                views: dict[tuple[tuple[str, int], ...], list[int]] = defaultdict(list)
                for node, view in seen[cell].items():
                    views[tuple(sorted(view))].append(node)
                parts = [views[view] for view in sorted(views)]
                if len(parts) > 1 or len(parts[0]) < len(partition.members[cell]):
                    moved += partition.split(cell, parts)

    def leaf(self, partition: _Partition) -> _Leaf:
        self.work.spend(len(self.triples))
        place = partition.cell_of
        name = {term: f"_:n{place[node]}" for term, node in self.number.items()}
        return sorted(f"{name.get(s, s)} {p} {name.get(o, o)} ." for s, p, o in self.triples), place

    def put_first(self, partition: _Partition, cell: int, node: int) -> _Partition:
        """Return a copy with one node of a cell before the others."""
        self.work.spend(len(self.names))
        branch = partition.copy()
        self.refine(branch, branch.split(cell, [[node]]))
        return branch

    def settle_twins(self, partition: _Partition, cell: int) -> bool:
        """Put the members of a cell in any order, if they see the same nodes alike; swapping two is a symmetry then."""
        members = partition.members[cell]
        inside: set[tuple[str, ...]] = set()
        outside: set[tuple[tuple[str, int], ...]] = set()
        for node in members:
            self.work.spend(1 + len(self.neighbours[node]))
            among: dict[int, list[str]] = defaultdict(list)
            beyond = []
            for role, neighbour in self.neighbours[node]:
                if neighbour in members:
                    among[neighbour].append(role)
                else:
                    beyond.append((role, neighbour))
            outside.add(tuple(sorted(beyond)))
            inside.update(tuple(sorted(roles)) for roles in among.values())
            # Either every two members are connected, all in one way, or none are.
            if len(among) not in (0, len(members) - 1) or len(inside) > 1 or len(outside) > 1:
                return False
            if bool(among) != bool(inside):
                return False
        self.refine(partition, partition.split(cell, [[node] for node in members]))
        return True

    def next_tie(self, partition: _Partition) -> int | None:
        """Settle twins, and return the first cell that is not theirs."""
        cell = partition.first_tie()
        while cell is not None and self.settle_twins(partition, cell):
            cell = partition.first_tie()
        return cell

    def any_leaf(self, partition: _Partition) -> _Leaf:
        """Return the leaf of one branch; the partition is used up."""
        cell = self.next_tie(partition)
        while cell is not None:
            self.refine(partition, partition.split(cell, [[next(iter(partition.members[cell]))]]))
            cell = self.next_tie(partition)
        return self.leaf(partition)

    def least_leaf(self, partition: _Partition) -> _Leaf:
        """Return the leaf with the least graph; the partition is used up."""
        known = len(self.symmetries)
        # Down the first branch, and up again: what is learned of symmetries below holds further up too.
        path: list[tuple[_Partition, int, int]] = []
        cell = self.next_tie(partition)
        while cell is not None:
            node = min(partition.members[cell])
            path.append((partition, cell, node))
            partition = self.put_first(partition, cell, node)
            cell = self.next_tie(partition)
        best = self.leaf(partition)
        while path:
            best = self._least_of_cell(*path.pop(), best, known)
        return best

    def _least_of_cell(self, partition: _Partition, cell: int, first: int, best: _Leaf, known: int) -> _Leaf:
        """
        Look into the other branches of a cell whose first one has *best*.

        Symmetries from number *known* on were found below this partition. They leave its cells as they are, so they
        map branches of this cell onto each other.
        """
        orbits = _Orbits(partition.members[cell])
        for symmetry in self.symmetries[known:]:
            self.work.spend(len(orbits.parent))
            orbits.add(symmetry)
        seen = [first]
        for node in sorted(partition.members[cell]):
            if orbits.root(node) in map(orbits.root, seen):
                continue
            seen.append(node)
            found = self.any_leaf(self.put_first(partition, cell, node))
            if found[0] != best[0]:
                best = min(best, self.least_leaf(self.put_first(partition, cell, node)))
                continue
            symmetry = self.symmetry(best, found)
            self.symmetries.append(symmetry)
            orbits.add(symmetry)
        return best

    def symmetry(self, one: _Leaf, other: _Leaf) -> list[int]:
        """Return what maps each node to the node in its place in another leaf with the same graph."""
        at = [0] * len(self.names)
        for node, place in enumerate(other[1]):
            at[place] = node
        return [at[place] for place in one[1]]


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
