"""Laws of canonical labels: they follow from content, stay put, and hard graphs end in an error."""

from __future__ import annotations

import itertools
import random

import pyoxigraph
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.build.graphs import graphs, named_graphs
from wbd.diff.entities import diff_lines
from wbd.diff.graphs import dataset_of
from wbd.errors import BadInput, GraphTooHard
from wbd.rdf import labels
from wbd.rdf.labels import canonical_lines, label_by_content, rdfc_lines, split_quad

P = "<http://a.test/p>"
NT = "application/n-triples"


def renamed(lines: list[str], seed: int) -> list[str]:
    """The same graph with other labels, in another order."""
    shuffled = random.Random(seed)
    names: dict[str, str] = {}

    def other(term: str) -> str:
        return names.setdefault(term, f"_:z{shuffled.getrandbits(64):x}") if term.startswith("_:") else term

    result = []
    for line in lines:
        s, p, o, g = map(other, split_quad(line))
        result.append(f"{s} {p} {o} {g and f'{g} '}.")
    shuffled.shuffle(result)
    return result


def written(graph: pyoxigraph.Dataset) -> list[str]:
    return sorted((pyoxigraph.serialize(graph, format=pyoxigraph.RdfFormat.N_QUADS) or b"").decode().split("\n")[:-1])


ALGORITHMS = {
    "sha256": pyoxigraph.CanonicalizationAlgorithm.RDFC_1_0_SHA_256,
    "sha384": pyoxigraph.CanonicalizationAlgorithm.RDFC_1_0_SHA_384,
}


@pytest.mark.parametrize("name", ALGORITHMS)
@settings(deadline=None, max_examples=40)
@given(lines=named_graphs)
def test_plain_rdfc_labels_are_those_of_pyoxigraph(name: str, lines: list[str]) -> None:
    theirs = dataset_of(lines)
    theirs.canonicalize(ALGORITHMS[name])
    assert rdfc_lines("\n".join(lines).encode(), "application/n-quads", hash_name=name) == written(theirs)


@pytest.mark.parametrize("tail", ["_:b0 <http://a.test/q> 1 .", "_:g <http://a.test/q> _:b0 _:g ."])
def test_plain_rdfc_numbers_blank_nodes_that_name_graphs(tail: str) -> None:
    lines = [f"<http://a.test/s> {P} _:b0 _:g .", tail.replace(" 1 .", ' "1" _:g .'), f'_:g {P} "graph" .']
    theirs = dataset_of(lines)
    theirs.canonicalize(ALGORITHMS["sha256"])
    assert rdfc_lines("\n".join(lines).encode(), "application/n-quads") == written(theirs)


# Small graphs of blank nodes only, which look alike from nearly everywhere.
symmetric = st.lists(
    st.builds(lambda s, o: f"_:n{s} {P} _:n{o} .", st.integers(0, 5), st.integers(0, 5)), unique=True, max_size=9
)


def test_labels_are_those_of_content_where_rdfc_has_two_answers() -> None:
    """RDFC-1.0 does not see which of two quads is in which graph here; what it answers depends on their order."""
    lines = [
        *(f"_:n1 {P} _:n0 _:g .", f"_:n3 {P} _:n2 _:g .", f"_:n1 {P} _:n4 _:g ."),
        *(f"_:n2 {P} _:n3 _:n0 .", f"_:n4 {P} _:n1 .", f"_:n4 {P} _:n4 ."),
    ]
    assert len({tuple(label_by_content(renamed(list(order), 1))) for order in itertools.permutations(lines)}) == 1


@settings(deadline=None, max_examples=100)
@given(symmetric, symmetric, st.integers())
def test_labels_are_equal_if_and_only_if_the_graphs_are(one: list[str], other: list[str], seed: int) -> None:
    assert label_by_content(renamed(one, seed)) == label_by_content(one)
    sides = [dataset_of(one), dataset_of(other)]
    for side in sides:
        side.canonicalize(pyoxigraph.CanonicalizationAlgorithm.RDFC_1_0)
    assert (label_by_content(one) == label_by_content(other)) == (sides[0] == sides[1])


@settings(deadline=None, max_examples=40)
@given(graphs, st.integers())
def test_isomorphic_graphs_have_equal_lines(lines: list[str], seed: int) -> None:
    assert label_by_content(renamed(lines, seed)) == label_by_content(lines)


@settings(deadline=None, max_examples=40)
@given(graphs)
def test_content_labels_name_an_isomorphic_graph(lines: list[str]) -> None:
    ours, theirs = dataset_of(label_by_content(lines)), dataset_of(lines)
    for each in (ours, theirs):
        each.canonicalize(pyoxigraph.CanonicalizationAlgorithm.RDFC_1_0)
    assert ours == theirs and len(label_by_content(lines)) == len(lines)


@settings(deadline=None, max_examples=25)
@given(graphs)
def test_ground_triples_are_untouched(lines: list[str]) -> None:
    ground = {line for line in lines if not line.startswith("_:") and " _:" not in line}
    assert ground <= set(label_by_content(lines))


def test_a_new_blank_node_renames_no_other() -> None:
    lines = [f'<http://a.test/s{n}> {P} _:n{n} .\n_:n{n} {P} "{n}" .' for n in range(100)]
    old = canonical_lines("\n".join(lines).encode(), NT)
    more = [f'<http://a.test/new> {P} _:new .\n_:new {P} "0.5" .', *lines]
    change = diff_lines(old, canonical_lines("\n".join(more).encode(), NT))
    assert (len(change.added), len(change.removed)) == (2, 0)


def test_components_that_are_alike_all_stay() -> None:
    twins = [f"<http://a.test/s> {P} _:x{n} ." for n in range(3)]
    assert len(set(label_by_content(twins))) == 3
    change = diff_lines(label_by_content(twins[:2]), label_by_content(twins))
    assert (len(change.added), len(change.removed)) == (1, 0)


def test_wikibases_own_labels_can_be_kept() -> None:
    line = f"<http://a.test/s> {P} _:16696d7ad1e9ae4903df6b9ddab8a877 ."
    assert canonical_lines(line.encode(), NT, keep_labels=True) == [line]


def edges(pairs: list[tuple[int, int]]) -> list[str]:
    return [f"_:n{a} {P} _:n{b} ." for a, b in pairs]


def both_ways(pairs: list[tuple[int, int]]) -> list[str]:
    return edges([*pairs, *((b, a) for a, b in pairs)])


def gadgets(twisted: bool) -> list[str]:
    """
    Cai, Fürer and Immerman's graphs over K4: refinement alone cannot tell the twisted one from the other.

    Each corner has a node for every even choice of its three edges, each end of an edge a node for either choice.
    """
    base = list(itertools.combinations(range(4), 2))
    number: dict[object, int] = {}

    def node(*name: object) -> int:
        return number.setdefault(name, len(number))

    pairs = []
    for corner in range(4):
        own = [edge for edge in base if corner in edge]
        for chosen in [(), *itertools.combinations(own, 2)]:
            pairs += [(node(corner, chosen), node(corner, edge, edge in chosen)) for edge in own]
    for edge in base:
        crossed = twisted and edge == base[0]
        pairs += [(node(edge[0], edge, way), node(edge[1], edge, way ^ crossed)) for way in (True, False)]
    return both_ways(pairs)


SQUARES_17 = {n * n % 17 for n in range(1, 17)}
SYMMETRIC = {
    "clique": edges([(a, b) for a in range(40) for b in range(40) if a != b]),
    "several cliques": edges([(5 * c + a, 5 * c + b) for c in range(6) for a in range(5) for b in range(5) if a != b]),
    "ring": edges([(n, (n + 1) % 1000) for n in range(1000)]),
    "ring of two ways": both_ways([(n, (n + 1) % 60) for n in range(60)]),
    "star": edges([(0, n) for n in range(1, 1000)]),
    "chain": edges([(n, n + 1) for n in range(8000)]),
    "tree": edges([(n, 2 * n + k) for n in range(1, 64) for k in (0, 1)]),
    "tree of three": edges([(n, 3 * n + k) for n in range(40) for k in (1, 2, 3)]),
    "cube": both_ways([(n, n ^ 1 << k) for n in range(32) for k in range(5) if n < n ^ 1 << k]),
    "Paley": edges([(n, (n + square) % 17) for n in range(17) for square in SQUARES_17]),
    "torus": both_ways(
        [(6 * x + y, to) for x in range(6) for y in range(6) for to in (6 * x + (y + 1) % 6, 6 * (x - 5) % 36 + y)]
    ),
    "gadgets": gadgets(False),
    "gadgets twisted": gadgets(True),
    "grid": edges([(9 * x + y, 9 * x + y + 1) for x in range(9) for y in range(8)])
    + edges([(9 * x + y, 9 * (x + 1) + y) for x in range(8) for y in range(9)]),
}


@pytest.mark.parametrize("name", sorted(SYMMETRIC))
def test_symmetric_graphs_are_labelled_and_labels_do_not_depend_on_names(name: str) -> None:
    lines = SYMMETRIC[name]
    assert label_by_content(renamed(lines, 1)) == label_by_content(renamed(lines, 2))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # Joined to one hub, so that they are one component: a ring of six against two of three.
        (
            edges([(n, (n + 1) % 6) for n in range(6)]) + edges([(9, n) for n in range(6)]),
            edges([(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)]) + edges([(9, n) for n in range(6)]),
        ),
        (SYMMETRIC["gadgets"], SYMMETRIC["gadgets twisted"]),
    ],
    ids=["rings", "gadgets"],
)
def test_graphs_that_refinement_cannot_tell_apart_have_other_labels(one: list[str], other: list[str]) -> None:
    assert len(one) == len(other) and not set(label_by_content(one)) & set(label_by_content(other))


def test_a_large_graph_that_is_not_hard_is_within_the_limit() -> None:
    chooser = random.Random(1)
    lines = sorted({*edges([(n, chooser.randrange(5000)) for n in range(5000) for _ in range(2)])})
    assert label_by_content(renamed(lines, 1)) == label_by_content(lines)


def test_the_work_limit_raises_instead_of_hanging() -> None:
    with pytest.raises(GraphTooHard, match="stopped after 500 steps"):
        label_by_content(SYMMETRIC["cube"], work_limit=500)
    with pytest.raises(GraphTooHard, match="steps; graph set aside"):
        label_by_content(edges([(n, 2 * n + k) for n in range(1, 2**13) for k in (0, 1)]))


def test_too_many_triples_with_blank_nodes_are_refused_before_memory_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "MAX_BLANK_TRIPLES", 100)
    with pytest.raises(GraphTooHard, match="over 100 triples with blank nodes"):
        label_by_content(edges([(n, n) for n in range(101)]))


@pytest.mark.parametrize(
    "lines",
    [
        edges([(a, b) for a in range(12) for b in range(12) if a != b]),
        edges([(n, n + 1) for n in range(2000)]),
        edges([(0, n) for n in range(1, 12)]),
        both_ways([(n, n ^ 1 << k) for n in range(32) for k in range(5) if n < n ^ 1 << k]),
        edges([(n, 2 * n + k) for n in range(1, 2**10) for k in (0, 1)]),
    ],
    ids=["clique", "chain", "star", "cube", "tree"],
)
def test_plain_rdfc_ends_within_its_limit_whatever_the_graph(lines: list[str]) -> None:
    """Some of them RDFC-1.0 can label, in exponential time."""
    try:
        canonical = rdfc_lines("\n".join(lines).encode(), NT)
    except GraphTooHard as error:
        assert "graph set aside" in str(error)
    else:
        theirs = dataset_of(lines)
        theirs.canonicalize(pyoxigraph.CanonicalizationAlgorithm.RDFC_1_0)
        assert canonical == written(theirs)


@pytest.mark.parametrize("media_type", ["text/turtle", "text/turtle; charset=utf-8", "application/n-triples"])
def test_a_syntax_error_has_line_and_column(media_type: str) -> None:
    with pytest.raises(BadInput) as caught:
        canonical_lines(b"<http://a.test/s> <http://a.test/p> <http://a.test/o> .\n<http://a.test/s> oops", media_type)
    assert caught.value.place.startswith("line 2, column")


def test_an_unknown_media_type_is_refused() -> None:
    with pytest.raises(BadInput, match="no parser for 'text/html'"):
        canonical_lines(b"", "text/html")
