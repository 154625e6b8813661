"""Laws of canonical labels: they follow from content, stay put, and hard graphs end in an error."""

from __future__ import annotations

import random

import pyoxigraph
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.rdf.graphs import graphs
from wbd.errors import BadInput, GraphTooHard
from wbd.rdf.diff import diff_lines
from wbd.rdf.labels import canonical_lines, label_by_content, rdfc_lines

P = "<http://a.test/p>"
NT = "application/n-triples"


def renamed(lines: list[str], seed: int) -> list[str]:
    """The same graph with other labels, in another order."""
    text = "\n".join(lines).encode()
    shuffled = random.Random(seed)
    names: dict[str, str] = {}
    result = []
    for quad in pyoxigraph.parse(text, format=pyoxigraph.RdfFormat.N_TRIPLES, lenient=True):
        terms = [str(quad.subject), str(quad.predicate), str(quad.object)]
        for n in (0, 2):
            if terms[n].startswith("_:"):
                terms[n] = names.setdefault(terms[n], f"_:z{shuffled.getrandbits(64):x}")
        result.append(f"{' '.join(terms)} .")
    shuffled.shuffle(result)
    return result


def dataset(lines: list[str]) -> pyoxigraph.Dataset:
    quads = pyoxigraph.parse("\n".join(lines).encode(), format=pyoxigraph.RdfFormat.N_TRIPLES, lenient=True)
    return pyoxigraph.Dataset(quads)


@settings(deadline=None, max_examples=40)
@given(graphs)
def test_plain_rdfc_labels_are_those_of_pyoxigraph(lines: list[str]) -> None:
    theirs = dataset(lines)
    theirs.canonicalize(pyoxigraph.CanonicalizationAlgorithm.RDFC_1_0)
    assert rdfc_lines("\n".join(lines).encode(), NT) == sorted(f"{quad.triple} ." for quad in theirs)


@settings(deadline=None, max_examples=40)
@given(graphs, st.integers())
def test_isomorphic_graphs_have_equal_lines(lines: list[str], seed: int) -> None:
    assert label_by_content(renamed(lines, seed)) == label_by_content(lines)


@settings(deadline=None, max_examples=40)
@given(graphs)
def test_content_labels_name_an_isomorphic_graph(lines: list[str]) -> None:
    ours, theirs = dataset(label_by_content(lines)), dataset(lines)
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


SYMMETRIC = {
    "clique": edges([(a, b) for a in range(12) for b in range(12) if a != b]),
    "ring": edges([(n, (n + 1) % 60) for n in range(60)]),
    "star": edges([(0, n) for n in range(1, 30)]),
    "chain": edges([(n, n + 1) for n in range(2000)]),
    "grid": edges([(9 * x + y, 9 * x + z) for x in range(9) for y in range(9) for z in (y + 1,) if z < 9])
    + edges([(9 * x + y, 9 * (x + 1) + y) for x in range(8) for y in range(9)]),
}


@pytest.mark.parametrize("name", sorted(SYMMETRIC))
def test_symmetric_graphs_are_labelled_and_labels_do_not_depend_on_names(name: str) -> None:
    lines = SYMMETRIC[name]
    assert label_by_content(renamed(lines, 1)) == label_by_content(renamed(lines, 2))


def test_rings_that_refinement_cannot_tell_apart_have_other_labels() -> None:
    six = edges([(n, (n + 1) % 6) for n in range(6)])
    # Joined to one hub, so that they are one component: a ring of six against two of three.
    three = edges([(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)])
    hub = [f"_:hub {P} _:n{n} ." for n in range(6)]
    assert label_by_content(six + hub) != label_by_content(three + hub)


def test_the_work_limit_raises_instead_of_hanging() -> None:
    with pytest.raises(GraphTooHard, match="stopped after 5000 steps"):
        label_by_content(SYMMETRIC["clique"], work_limit=5_000)
    with pytest.raises(GraphTooHard, match="12 blank nodes"):
        rdfc_lines("\n".join(SYMMETRIC["clique"]).encode(), NT)
    with pytest.raises(GraphTooHard):
        rdfc_lines("\n".join(SYMMETRIC["chain"]).encode(), NT)


@pytest.mark.parametrize("media_type", ["text/turtle", "text/turtle; charset=utf-8", "application/n-triples"])
def test_a_syntax_error_has_line_and_column(media_type: str) -> None:
    with pytest.raises(BadInput) as caught:
        canonical_lines(b"<http://a.test/s> <http://a.test/p> <http://a.test/o> .\n<http://a.test/s> oops", media_type)
    assert caught.value.place.startswith("line 2, column")


def test_an_unknown_media_type_is_refused() -> None:
    with pytest.raises(BadInput, match="no parser for 'text/html'"):
        canonical_lines(b"", "text/html")
