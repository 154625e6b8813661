"""RDFC-1.0, the W3C's canonical labels for blank nodes, with a limit on its work.

Input and output are N-Quads terms. The algorithm (https://www.w3.org/TR/rdf-canon/) is exponential on graphs whose
blank nodes look alike from everywhere, such as cliques; work is counted in hash calculations and a graph over the
limit raises. Functions are named as in the specification, so that each can be read against its section.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import permutations
from typing import Final

from wbd.errors import GraphTooHard

Quad = tuple[str, str, str, str]
"""Subject, predicate, object, and the name of the graph, "" for the default graph."""

WORK_LIMIT: Final = 20_000
"""Hash calculations: about a second of one core."""

# Hash calculations more for each blank node: graphs seen in practice need a few.
_HASHES_PER_NODE: Final = 16
# A minute or two of one core.
_MOST_HASHES: Final = 4_000_000


class _Issuer:
    """Issues identifiers in the order of asking."""

    __slots__ = ("issued", "prefix")

    def __init__(self, prefix: str, issued: dict[str, str] | None = None) -> None:
        self.prefix = prefix
        self.issued: dict[str, str] = dict(issued or {})

    def issue(self, node: str) -> str:
        if node not in self.issued:
            self.issued[node] = f"{self.prefix}{len(self.issued)}"
        return self.issued[node]

    def copy(self) -> _Issuer:
        return _Issuer(self.prefix, self.issued)


class _Canonicalizer:
    def __init__(self, quads: Iterable[Quad], work_limit: int | None, hash_name: str) -> None:
        self.hash_name = hash_name
        self.quads_of: dict[str, list[Quad]] = defaultdict(list)
        for quad in quads:
            for node in dict.fromkeys((quad[0], quad[2], quad[3])):
                if node.startswith("_:"):
                    self.quads_of[node].append(quad)
        self.canonical = _Issuer("c14n")
        self.first_degree: dict[str, str] = {}
        if work_limit is None:
            work_limit = min(WORK_LIMIT + _HASHES_PER_NODE * len(self.quads_of), _MOST_HASHES)
        self.work_limit = work_limit
        self.work = 0

    def spend(self) -> None:
        self.work += 1
        if self.work > self.work_limit:
            raise GraphTooHard(
                f"canonicalization of {len(self.quads_of)} blank nodes stopped after "
                f"{self.work_limit} hashes; graph set aside"
            )

    def hash(self, text: str) -> str:
        return hashlib.new(self.hash_name, text.encode()).hexdigest()

    def hash_first_degree_quads(self, node: str) -> str:
        known = self.first_degree.get(node)
        if known is not None:
            return known
        self.spend()

        def shown(term: str) -> str:
            if not term.startswith("_:"):
                return term
            return "_:a" if term == node else "_:z"

        lines = sorted(
            f"{shown(s)} {p} {shown(o)} {f'{shown(g)} ' if g else ''}.\n" for s, p, o, g in self.quads_of[node]
        )
        result = self.first_degree[node] = self.hash("".join(lines))
        return result

    def hash_related_blank_node(self, related: str, quad: Quad, issuer: _Issuer, position: str) -> str:
        if related in self.canonical.issued:
            name = f"_:{self.canonical.issued[related]}"
        elif related in issuer.issued:
            name = f"_:{issuer.issued[related]}"
        else:
            name = self.hash_first_degree_quads(related)
        self.spend()
        return self.hash(f"{position}{quad[1] if position != 'g' else ''}{name}")

    def hash_n_degree_quads(self, node: str, issuer: _Issuer) -> tuple[str, _Issuer]:
        self.spend()
        related_by_hash: dict[str, list[str]] = defaultdict(list)
        for quad in self.quads_of[node]:
            for position, term in (("s", quad[0]), ("o", quad[2]), ("g", quad[3])):
                if term.startswith("_:") and term != node:
                    digest = self.hash_related_blank_node(term, quad, issuer, position)
                    related_by_hash[digest].append(term)
        data = []
        for digest in sorted(related_by_hash):
            data.append(digest)
            path, issuer = self._best_path(related_by_hash[digest], issuer)
            data.append(path)
        return self.hash("".join(data)), issuer

    def _best_path(self, related: Sequence[str], issuer: _Issuer) -> tuple[str, _Issuer]:
        """Return the least path over all orders of alike nodes: step 5 of Hash N-Degree Quads."""
        chosen_path = ""
        chosen_issuer = issuer
        for order in permutations(related):
            self.spend()
            found = self._path(order, issuer.copy(), chosen_path)
            if found is not None and (not chosen_path or found[0] < chosen_path):
                chosen_path, chosen_issuer = found
        return chosen_path, chosen_issuer

    def _path(self, order: Sequence[str], issuer: _Issuer, best: str) -> tuple[str, _Issuer] | None:
        path = ""
        recursion = []

        def hopeless() -> bool:
            return bool(best) and len(path) >= len(best) and path > best

        for node in order:
            if node in self.canonical.issued:
                path += f"_:{self.canonical.issued[node]}"
            else:
                if node not in issuer.issued:
                    recursion.append(node)
                path += f"_:{issuer.issue(node)}"
            if hopeless():
                return None
        for node in recursion:
            digest, result = self.hash_n_degree_quads(node, issuer)
            path += f"_:{issuer.issue(node)}<{digest}>"
            issuer = result
            if hopeless():
                return None
        return path, issuer

    def run(self) -> dict[str, str]:
        by_hash: dict[str, list[str]] = defaultdict(list)
        for node in self.quads_of:
            by_hash[self.hash_first_degree_quads(node)].append(node)
        alike = []
        for digest in sorted(by_hash):
            nodes = by_hash[digest]
            if len(nodes) == 1:
                self.canonical.issue(nodes[0])
            else:
                alike.append(nodes)
        for nodes in alike:
            results = []
            for node in nodes:
                if node not in self.canonical.issued:
                    issuer = _Issuer("b")
                    issuer.issue(node)
                    results.append(self.hash_n_degree_quads(node, issuer))
            for _, issuer in sorted(results, key=lambda result: result[0]):
                for node in issuer.issued:
                    self.canonical.issue(node)
        return {node: f"_:{name}" for node, name in self.canonical.issued.items()}


def canonical_labels(
    quads: Iterable[Quad], work_limit: int | None = None, *, hash_name: str = "sha256"
) -> dict[str, str]:
    """
    Return blank node -> canonical blank node (``_:c14n0`` ...) of a dataset.

    Quads without blank nodes do not matter and may be left out.

    Args:
        work_limit: hash calculations; by default WORK_LIMIT and some for each blank node.
        hash_name: sha256, or sha384, which the standard knows too.

    Raises:
        GraphTooHard: over the limit.
    """
    canonicalizer = _Canonicalizer(quads, work_limit, hash_name)
    try:
        return canonicalizer.run()
    except RecursionError as error:
        nodes = len(canonicalizer.quads_of)
        raise GraphTooHard(f"canonicalization of {nodes} blank nodes nests too deep; graph set aside") from error
