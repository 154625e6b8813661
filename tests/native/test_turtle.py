"""Promises of the writer of Turtle, kept alike by the C code and by its Python twin."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.build.graphs import graphs
from tests.native.conftest import NATIVE_DIR, ROOT, grown_bytes, origin
from wbd.errors import BadInput
from wbd.mapping.vocabulary import Vocabulary
from wbd.rdf.turtle import to_turtle, turtle_twin

Write = Callable[[list[str], dict[str, str]], str | None]

WIKIDATA = Vocabulary.wikidata()
# Prefixes longer than what they stand for, a namespace twice, and one that is the end of another.
AWKWARD = Vocabulary("u:", "http://b.test/", foreign={"a-very-long-name-of-a-wiki": "v:", "other": "u:"})
NAME = "<http://schema.org/name>"


@pytest.fixture(scope="module")
def write_sorted() -> Write:
    origin("wbd.rdf._turtle")
    from wbd.rdf._turtle import write_sorted

    return write_sorted


def test_tests_use_the_build_that_was_asked_for(write_sorted: Write) -> None:
    if NATIVE_DIR:
        assert Path(str(sys.modules["wbd.rdf._turtle"].__file__)).parent == NATIVE_DIR


def outcome(write: Callable[[list[str], Vocabulary], str], lines: list[str], vocabulary: Vocabulary) -> str:
    try:
        return write(lines, vocabulary)
    except BadInput as error:
        return f"refused: {error}"


@settings(deadline=None, max_examples=300)
@given(graphs, st.sampled_from([WIKIDATA, AWKWARD]))
def test_sorted_lines_are_written_in_c_as_by_the_twin(
    write_sorted: Write, lines: list[str], vocabulary: Vocabulary
) -> None:
    lines.sort()
    assert write_sorted(lines, dict(vocabulary.prefixes)) == turtle_twin(lines, vocabulary)


# Pieces of lines, whole ones and such as break them.
_pieces = st.sampled_from(
    [
        "<u:",
        "<v:x>",
        "_:a",
        "_:",
        "_",
        "<",
        ">",
        " ",
        " .",
        '"',
        '"x"',
        "^^",
        "^",
        "@en",
        "é",
        "\ud800",
        "\x00",
        "#",
        "-",
    ]
)


@settings(deadline=None, max_examples=500)
@given(graphs, st.lists(st.tuples(st.integers(0, 200), _pieces), max_size=3), st.booleans())
def test_broken_and_unsorted_lines_end_as_with_the_twin(
    lines: list[str], changes: list[tuple[int, str]], is_sorted: bool
) -> None:
    for place, piece in changes:
        if lines:
            at = place % len(lines)
            cut = place % (len(lines[at]) + 1)
            lines[at] = lines[at][:cut] + piece + lines[at][cut + place % 2 :]
    if is_sorted:
        lines.sort()
    assert outcome(to_turtle, lines, AWKWARD) == outcome(turtle_twin, lines, AWKWARD)


@pytest.mark.parametrize(
    "lines",
    [
        [f'<u:b> {NAME} "x" .', f'<u:a> {NAME} "x" .'],
        [f'<u:a> {NAME} "xy" .', f'<u:a> {NAME} "x" .'],
        [f'<u:a> {NAME} "\ud800" .'],
        [f"<u:a> {NAME} _x ."],
        [""],
    ],
)
def test_unusual_lines_are_left_to_the_twin(write_sorted: Write, lines: list[str]) -> None:
    assert write_sorted(lines, dict(WIKIDATA.prefixes)) is None


def test_a_local_name_is_shortened_only_where_it_needs_no_escape(write_sorted: Write) -> None:
    for code in range(1, 0x180):
        for local in (chr(code), f"a{chr(code)}", f"a{chr(code)}a", f"{chr(code)}a"):
            lines = [f"<u:{local}> {NAME} <http://b.test/{local}> ."]
            taken = write_sorted(lines, dict(AWKWARD.prefixes))
            if taken is None:
                with pytest.raises(BadInput):
                    turtle_twin(lines, AWKWARD)
                continue
            assert taken == turtle_twin(lines, AWKWARD)
            safe = re.fullmatch(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?", local, re.ASCII)
            assert (f" data:{local} ." in taken) == bool(safe)


@pytest.mark.parametrize("arguments", [(), ([],), ((), {}), ([], []), ([1], {}), ([], {1: ""}), ([], {"": b""})])
def test_other_types_raise(write_sorted: Write, arguments: tuple[object, ...]) -> None:
    with pytest.raises(TypeError):
        write_sorted(*arguments)  # type: ignore[arg-type]


def test_results_and_arguments_are_let_go(write_sorted: Write) -> None:
    line, prefixes = "".join((f"<u:a> {NAME} ", '"é" .')), dict(AWKWARD.prefixes)

    def calls() -> None:
        for _ in range(1000):
            write_sorted([line], prefixes)
            write_sorted([line, ""], prefixes)
            with pytest.raises(TypeError):
                write_sorted([line, 1], prefixes)  # type: ignore[list-item]

    write_sorted([line], prefixes)
    counts = sys.getrefcount(line), sys.getrefcount(prefixes), sys.getrefcount(None)
    # One byte a call would be 1,000.
    assert grown_bytes(calls) < 1000
    assert (sys.getrefcount(line), sys.getrefcount(prefixes)) == counts[:2]
    assert sys.getrefcount(None) < counts[2] + 100


def test_turtle_is_written_without_the_extension() -> None:
    code = """
import sys
sys.modules["wbd.rdf._turtle"] = None
from wbd.rdf.turtle import to_turtle
from wbd.mapping.vocabulary import Vocabulary
assert to_turtle(['<u:a> <u:b> "x" .'], Vocabulary.wikidata()) == '<u:a> <u:b> "x" .\\n'
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
