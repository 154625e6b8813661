"""Laws of diffs of graphs: exact, minimal, the same whatever the format, and bounded."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import pyoxigraph
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.build.entities import revisions
from tests.build.graphs import datasets, graphs
from wbd.diff.entities import diff_entities
from wbd.diff.graphs import canonical_text, dataset_of, diff_graphs
from wbd.errors import BadInput, GraphTooHard
from wbd.mapping.context import MappingContext
from wbd.mapping.entity import map_entity
from wbd.mapping.vocabulary import Vocabulary
from wbd.rdf.documents import N_QUADS, N_TRIPLES, RDF_XML, TURTLE, read_document
from wbd.rdf.formats import to_ntriples, to_rdfxml
from wbd.rdf.graph_diff import RdfDiff, apply
from wbd.rdf.turtle import to_turtle

WIKIDATA = Vocabulary.wikidata()
CONTEXT = MappingContext()
P = "<http://a.test/p>"


def text(lines: list[str]) -> bytes:
    return to_ntriples(lines).encode()


def canonical(lines: list[str]) -> list[str]:
    return sorted(canonical_text(read_document(text(lines), N_QUADS)).decode().split("\n")[:-1])


def renamed(lines: list[str], seed: int) -> list[str]:
    """The same graph with other labels, in another order."""
    rng = random.Random(seed)
    names: dict[pyoxigraph.BlankNode, pyoxigraph.BlankNode] = {}

    def other(term: object) -> object:
        if isinstance(term, pyoxigraph.BlankNode):
            return names.setdefault(term, pyoxigraph.BlankNode(f"z{rng.getrandbits(64):x}"))
        return term

    quads = [pyoxigraph.Quad(*map(other, quad)) for quad in dataset_of(lines)]  # type: ignore[arg-type]
    rng.shuffle(quads)
    return (pyoxigraph.serialize(quads, format=pyoxigraph.RdfFormat.N_QUADS) or b"").decode().split("\n")[:-1]


@settings(deadline=None, max_examples=60)
@given(datasets, datasets)
def test_applying_a_diff_to_the_canonical_lines_of_one_side_gives_those_of_the_other(
    old: list[str], new: list[str]
) -> None:
    change = diff_graphs(text(old), text(new), media_type=N_QUADS)
    before, after = canonical(old), canonical(new)
    assert apply(change, before) == after
    assert set(change.added) == set(after) - set(before) and set(change.removed) == set(before) - set(after)
    assert bool(change) == (before != after)


@settings(deadline=None, max_examples=40)
@given(datasets, st.integers())
def test_graphs_that_differ_in_labels_and_order_only_are_the_same(lines: list[str], seed: int) -> None:
    assert not diff_graphs(text(lines), text(renamed(lines, seed)), media_type=N_QUADS)


@settings(deadline=None, max_examples=30)
@given(graphs, graphs)
def test_the_diff_is_the_same_in_every_format(old: list[str], new: list[str]) -> None:
    expected = diff_graphs(text(old), text(new))
    sides: list[tuple[Any, str | None]] = [
        (to_turtle(old, WIKIDATA).encode(), TURTLE),
        (dataset_of(old), None),
        (list(dataset_of(old)), None),
    ]
    with contextlib.suppress(BadInput):
        sides.append((to_rdfxml(old).encode(), RDF_XML))
    for side, media_type in sides:
        assert diff_graphs(side, text(new), media_type=media_type, new_media_type=N_TRIPLES) == expected
    reverse = diff_graphs(text(new), dataset_of(old), media_type=N_TRIPLES)
    assert (reverse.added, reverse.removed) == (expected.removed, expected.added)


@settings(deadline=None, max_examples=30)
@given(revisions())
def test_graphs_of_entities_differ_as_the_entities_do(sides: tuple[dict[str, object], dict[str, object]]) -> None:
    old, new = (map_entity(side, CONTEXT) for side in sides)
    expected = diff_entities(*sides, CONTEXT)
    change = diff_graphs(to_turtle(old, WIKIDATA).encode(), to_turtle(new, WIKIDATA).encode(), keep_labels=True)
    # Parsers write language tags in lower case.
    lower = RdfDiff(*([line.lower() for line in lines] for lines in parts(expected)))
    assert [[line.lower() for line in lines] for lines in parts(change)] == list(parts(lower))


def parts(diff: RdfDiff) -> tuple[list[str], ...]:
    return diff.added, diff.removed, diff.linked_shared, diff.unlinked_shared


def test_what_looks_like_a_label_in_a_literal_is_text_and_takes_no_time() -> None:
    """Once, the line was searched for its start at each of them."""
    lines = [f'<http://a.test/s> {P} "{"_:" * 500_000}" .', f'<http://a.test/s> {P} " _:x" .', f"_:a {P} _:b ."]
    assert not diff_graphs(text(lines), text(renamed(lines, 1)))
    assert diff_graphs(text(lines), text(lines[2:])).removed == sorted(lines[:2])


def test_an_empty_side_adds_or_removes_everything() -> None:
    lines = [f"<http://a.test/s> {P} <http://a.test/o> ."]
    assert diff_graphs(b"", text(lines), media_type=RDF_XML, new_media_type=N_TRIPLES) == RdfDiff(added=lines)
    assert diff_graphs(text(lines), b"") == RdfDiff(removed=lines)
    assert not diff_graphs(b"", b"")


def test_one_new_blank_node_among_many_is_its_own_triples() -> None:
    lines = [line for n in range(100) for line in (f"<http://a.test/s{n}> {P} _:n{n} .", f'_:n{n} {P} "{n}" .')]
    more = [f"<http://a.test/new> {P} _:new .", f'_:new {P} "0.5" .', *lines]
    change = diff_graphs(text(lines), text(renamed(more, 1)))
    assert (len(change.added), len(change.removed)) == (2, 0)


LABEL = "16696d7ad1e9ae4903df6b9ddab8a877"
UNKNOWN = f"""@prefix wikibase: <http://wikiba.se/ontology#> .
@prefix e: <http://e.test/> .
e:statement e:value _:{LABEL} .
e:item e:truthy _:{LABEL} .
"""


def test_wikibases_own_labels_are_kept_so_a_node_that_stays_is_not_renamed() -> None:
    less = UNKNOWN.replace(f"e:item e:truthy _:{LABEL} .\n", "")
    change = diff_graphs(UNKNOWN.encode(), less.encode())
    assert change.removed == [f"<http://e.test/item> <http://e.test/truthy> _:{LABEL} ."] and not change.added
    by_content = diff_graphs(UNKNOWN.encode(), less.encode(), keep_labels=False)
    assert (len(by_content.removed), len(by_content.added)) == (2, 1)


@pytest.mark.parametrize("node", ["[]", "_:b0", f"_:{LABEL.upper()}", f"_:{LABEL}0"])
def test_labels_that_a_document_or_its_parser_made_up_are_not_kept(node: str) -> None:
    old, new = UNKNOWN, UNKNOWN.replace("e:statement", f"e:other e:value {node} .\ne:statement")
    change = diff_graphs(new.encode(), new.replace(node, "[ ]").encode())
    assert not change
    assert len(diff_graphs(old.encode(), new.encode()).added) == 1


def test_shared_nodes_are_told_apart_in_graphs_too() -> None:
    old = [
        "<http://www.wikidata.org/entity/statement/Q1-1> <http://a.test/v> <http://www.wikidata.org/value/a> .",
        '<http://www.wikidata.org/value/a> <http://a.test/w> "1" .',
        '<http://www.wikidata.org/value/b> <http://a.test/w> "2" .',
    ]
    new = [*old[2:], '<http://www.wikidata.org/value/b> <http://a.test/w> "3" .', old[1].replace("/a>", "/c>")]
    change = diff_graphs(text(old), text(new))
    assert change.linked_shared == [old[1].replace("/a>", "/c>")] and change.unlinked_shared == [old[1]]
    assert len(change.added) == 2 and len(change.removed) == 2


@settings(deadline=None, max_examples=20)
@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_shared_nodes_are_found_in_few_and_in_many(old: set[int], new: set[int]) -> None:
    def lines(numbers: set[int]) -> list[str]:
        return [f'<http://www.wikidata.org/value/{n}> <http://a.test/w> "{k}" .' for n in numbers for k in (0, 1)]

    # The second triple of a node can come and go while the node stays.
    before, after = lines(old), [line for line in lines(new) if "/1" not in line or '"0"' in line]
    change = diff_graphs(text(before), text(after))
    nodes = {line.split(" ")[0] for line in before}
    assert change.linked_shared == [line for line in change.added if line.split(" ")[0] not in nodes]
    nodes = {line.split(" ")[0] for line in after}
    assert change.unlinked_shared == [line for line in change.removed if line.split(" ")[0] not in nodes]


@pytest.mark.parametrize("side", [0, 1])
def test_a_broken_side_is_bad_input_with_its_place(side: int) -> None:
    sides = [b"<a:s> <a:p> <a:o> .\n", b"<a:s> <a:p> <a:o> .\n"]
    sides[side] += b"<a:s> <a:p> oops .\n"
    with pytest.raises(BadInput) as caught:
        diff_graphs(sides[0], sides[1])
    assert caught.value.place == "line 2, column 13"


def test_a_graph_too_hard_to_label_is_refused_within_its_limit() -> None:
    hard = [f"_:n{a} {P} _:n{b} ." for a in range(12) for b in range(12) if a != b]
    with pytest.raises(GraphTooHard, match="stopped after 100 steps"):
        diff_graphs(text(hard), b"", work_limit=100)
