"""Promises of the set difference over lines, kept alike by the C code and by its Python twin."""

from __future__ import annotations

import importlib.util
import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.build.graphs import graphs
from tests.native.conftest import NATIVE_DIR, RDF, Compile, origin
from wbd.diff.entities import diff_lines
from wbd.errors import BadInput
from wbd.rdf import setdiff
from wbd.rdf.graph_diff import diff_ntriples
from wbd.rdf.setdiff import difference_twin

Difference = Callable[[Any, Any], tuple[bytes, bytes]]


def native() -> Difference:
    origin("wbd.rdf._setdiff")
    from wbd.rdf._setdiff import difference

    return difference


@pytest.fixture(params=["c", "python"])
def difference(request: pytest.FixtureRequest) -> Difference:
    return native() if request.param == "c" else difference_twin


# Few and short lines, so that both texts share some; any bytes, NUL and broken UTF-8 among them.
lines = st.sampled_from([b"", b"a", b"ab", b"a\x00", b"a\xff", b"\r", b"a" * 7, b"a" * 8, b"a" * 30]) | st.binary()
texts = st.lists(lines, max_size=30).map(b"\n".join) | st.binary()


def content(text: bytes) -> set[bytes]:
    return set(text.split(b"\n")) - {b""}


@settings(deadline=None, max_examples=400)
@given(texts, texts)
def test_c_and_python_return_the_same(old: bytes, new: bytes) -> None:
    assert native()(old, new) == difference_twin(old, new)


@settings(deadline=None, max_examples=100)
@given(graphs, graphs, st.randoms(use_true_random=False))
def test_c_and_python_return_the_same_for_graphs_in_any_order(old: list[str], new: list[str], random: Any) -> None:
    shared = old + new[: len(new) // 2]
    random.shuffle(shared)
    before, after = ("".join(f"{line}\n" for line in side).encode() for side in (shared, new))
    assert native()(before, after) == difference_twin(before, after)
    assert diff_ntriples(before, after) == diff_lines(shared, new)


@settings(deadline=None, max_examples=100)
@given(texts, texts)
def test_removing_one_and_adding_the_other_gives_the_new_text(old: bytes, new: bytes) -> None:
    for difference in (native(), difference_twin):
        added, removed = difference(old, new)
        assert content(old) - content(removed) | content(added) == content(new)
        assert not content(added) & content(old) and not content(removed) & content(new)
        assert difference(new, old) == (removed, added)


@settings(deadline=None, max_examples=100)
@given(texts, texts)
def test_the_lines_of_a_result_are_unique_and_ascending_and_each_is_ended(old: bytes, new: bytes) -> None:
    for difference in (native(), difference_twin):
        for result in difference(old, new):
            *rows, after_last = result.split(b"\n")
            assert after_last == b"" and rows == sorted(set(rows))


@pytest.mark.parametrize(
    ("old", "new", "added", "removed"),
    [
        (b"", b"", b"", b""),
        (b"\n\n", b"\n", b"", b""),
        (b"a\nb\n", b"b\nc\n", b"c\n", b"a\n"),
        (b"a\nb", b"b\na\n", b"", b""),
        (b"a\na\na\n", b"b\nb", b"b\n", b"a\n"),
        (b"", b"b\na\n\nb", b"a\nb\n", b""),
        (b"a\r\nb\n", b"a\nb\r\n", b"a\nb\r\n", b"a\r\nb\n"),
        (b"a\x00b\n", b"a\n", b"a\n", b"a\x00b\n"),
        (b"", b"\xff\n\xc3\xa9\nz\n", b"z\n\xc3\xa9\n\xff\n", b""),
        (b"", b"ab\na\x01\na\n", b"a\na\x01\nab\n", b""),
    ],
)
def test_small_texts(difference: Difference, old: bytes, new: bytes, added: bytes, removed: bytes) -> None:
    assert difference(old, new) == (added, removed)


def test_a_large_text_in_any_order_differs_by_its_edits_alone(difference: Difference) -> None:
    old = [b"<http://a.test/%d> <http://a.test/p> <http://a.test/%d> ." % (i, i % 7) for i in range(40_000)]
    new = [*old[20_000:], b"<new>", *old[: 20_000 - 1]]
    assert difference(b"\n".join(old), b"\n".join(new)) == (b"<new>\n", old[20_000 - 1] + b"\n")
    everything = b"".join(line + b"\n" for line in sorted(old))
    assert difference(b"\n".join(old), b"") == (b"", everything)
    assert difference(b"", b"\n".join(reversed(old))) == (everything, b"")


def test_a_line_may_be_of_any_size(difference: Difference) -> None:
    long = b"x" * 5_000_000
    assert difference(long + b"y\n", long + b"z") == (long + b"z\n", long + b"y\n")


def test_any_buffer_is_a_text_and_is_given_back(difference: Difference, tmp_path: Path) -> None:
    old, new = bytearray(b"a\nb\n"), memoryview(b"xxb\nc\nxx")[2:6]
    assert difference(old, new) == (b"c\n", b"a\n")
    old.append(0)
    new.release()
    path = tmp_path / "graph.nt"
    path.write_bytes(b"a\nd\n")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert difference(b"a\n", mapped) == (b"d\n", b"")


def test_what_is_no_buffer_is_refused(difference: Difference) -> None:
    for wrong in ("a\n", None, [b"a"], 7):
        with pytest.raises(TypeError):
            difference(wrong, b"")
        with pytest.raises(TypeError):
            difference(b"", wrong)
    with pytest.raises(BufferError):
        difference(b"", memoryview(b"abcdef")[::2])
    with pytest.raises(TypeError):
        difference(b"")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        difference(b"", b"", b"")  # type: ignore[call-arg]


def test_more_lines_than_the_limit_are_refused_with_the_limit(compile_c: Compile) -> None:
    """The extension is built with a limit of 8 for this; the real one would take 200 GiB to reach."""
    sources = [RDF / "_setdiff.c", RDF / "setdiff.c"]
    path = compile_c("_setdiff.so", sources, ["-shared", "-fPIC", "-DSETDIFF_MAX_LINES=UINT64_C(8)"])
    spec = importlib.util.spec_from_file_location("_setdiff", path)
    assert spec is not None and spec.loader is not None
    limited = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(limited)
    eight = b"1\n2\n3\n4\n5\n6\n7\n8\n1\n"
    assert limited.difference(eight, b"8\n") == (b"", b"1\n2\n3\n4\n5\n6\n7\n")
    with pytest.raises(BadInput, match="more than 8 different lines; graphs set aside"):
        limited.difference(eight, b"9\n")


def test_the_public_function_is_the_extension_where_it_is_built() -> None:
    assert setdiff.difference(b"a\nb\n", b"b\nc\n") == (b"c\n", b"a\n")
    assert setdiff._difference is native()


def test_the_extension_under_test_is_the_one_that_was_asked_for() -> None:
    for name in ("wbd.rdf._setdiff", "wbd.diff._spans", "wbd.ids._segment"):
        assert not NATIVE_DIR or origin(name).parent == NATIVE_DIR
