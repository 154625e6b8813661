"""Promises of the comparison of snapshots, kept alike by the C code and by its Python twin."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.build.entities import revisions
from tests.build.spellings import broken, spelled
from tests.native.conftest import DIFF, ROOT, Compile, grown_bytes, origin
from tests.native.spans_twin import compare_twin, without_hashes
from wbd.diff import spans
from wbd.diff.spans import Comparison, comparison_of
from wbd.mapping.statements import local_name

Compare = Callable[[bytes, bytes], Any]


def native() -> Compare:
    origin("wbd.diff._spans")
    from wbd.diff._spans import compare

    return compare


@pytest.fixture(params=["c", "python"])
def compare(request: pytest.FixtureRequest) -> Compare:
    return native() if request.param == "c" else compare_twin


def both(old: bytes, new: bytes) -> None:
    for one, other in ((old, new), (new, old), (new, new)):
        compared = native()(one, other)
        assert without_hashes(compared) == compare_twin(one, other)
        if compared is not None:
            # Parts that are not parsed afterwards must be JSON too.
            for text in (one, other, *comparison_of(one, other, compared)[:2]):
                orjson.loads(text)


@settings(deadline=None, max_examples=60)
@given(revisions(), st.data())
def test_c_and_python_return_the_same(sides: tuple[dict[str, Any], dict[str, Any]], data: st.DataObject) -> None:
    old, new = (data.draw(st.just(orjson.dumps(side)) | spelled(side)) for side in sides)
    both(old, new)
    both(data.draw(broken(old)), new)


@settings(deadline=None, max_examples=200)
@given(st.binary(), st.lists(st.sampled_from([b"{", b"}", b"[", b"]", b",", b":", b'"a"', b'"', b"1", b" "])))
def test_c_and_python_return_the_same_for_any_bytes(data: bytes, tokens: list[bytes]) -> None:
    both(data, b"".join(tokens))
    for value in (data, b"".join(tokens)):
        both(b'{"x":' + value + b"}", b'{"labels":{"en":{"language":"en","value":' + value + b"}}}")


def item(**parts: bytes) -> bytes:
    return b'{"type":"item",' + b",".join(b'"%s":%s' % (key.encode(), value) for key, value in parts.items()) + b"}"


VALUES = [
    (b'"\xc3\xa9\xed\x9f\xbf\xf4\x8f\xbf\xbf\xef\xbf\xbf\x7f"', True),
    (b'"\xc0\x80"', False),
    (b'"\xe0\x80\x80"', False),
    (b'"\xed\xa0\x80"', False),
    (b'"\xf0\x80\x80\x80"', False),
    (b'"\xf4\x90\x80\x80"', False),
    (b'"\xf5\x80\x80\x80"', False),
    (b'"\x80"', False),
    (b'"\xc3"', False),
    (b'"1234567\xc3\x28"', False),
    (b'"\x1f"', False),
    (b'"\\b\\f\\n\\r\\t\\"\\\\"', True),
    (b'"\\/"', False),
    (b'"\\u00e9"', False),
    (b'"\\x"', False),
    (b'"\\', False),
    (b"-0", True),
    (b"01", False),
    (b"1.", False),
    (b".5", False),
    (b"+1", False),
    (b"-", False),
    (b"1e5", True),
    (b"1e-99", True),
    (b"1E5", False),
    (b"1e+5", False),
    (b"1e100", False),
    (b"1e", False),
    (b"9" * 200, True),
    (b"9" * 201, False),
    (b"0." + b"1" * 198, True),
    (b"0." + b"1" * 199, False),
    (b"true", True),
    (b"tru", False),
    (b"nulll", False),
    (b" 1", False),
    (b"1 ", False),
    (b"[1, 2]", False),
    (b"NaN", False),
    (b"[1,]", False),
    (b"[,1]", False),
    (b"[1 2]", False),
    (b'{"a":1,}', False),
    (b'{"a" 1}', False),
    (b"{1:1}", False),
    (b'{"a":1]', False),
    (b"[1}", False),
    (b"[" * 63 + b"]" * 63, True),
    (b"[" * 64 + b"]" * 64, False),
    (b'{"a":' * 63 + b"1" + b"}" * 63, True),
    (b'{"a":' * 64 + b"1" + b"}" * 64, False),
    (b"", False),
]


@pytest.mark.parametrize(("value", "usual"), VALUES, ids=[str(n) for n in range(len(VALUES))])
def test_a_part_that_is_not_looked_into_is_json_all_the_same(compare: Compare, value: bytes, usual: bool) -> None:
    text = item(other=value)
    assert (compare(text, text) is not None) == usual
    if usual:
        orjson.loads(text)


STATEMENT = b'{"id":"Q1$a","mainsnak":{"property":"P1"}}'
TERM = b'{"language":"en"}'
BAD_IDS = [b"", b"Q1", b"Q1-a", b"Q1-a$b", b"$a", b"Q1$", b"Q1$a$b", b"Q1$a b", b"Q1.$a", b"Q1$\xc3\xa9"]

REFERENCES = b'{"id":"Q1$a","mainsnak":{"property":"P1"},"references":%s}'
UNUSUAL = [
    b"",
    b"[]",
    b'"a"',
    item(other=b"1") + b"x",
    item(other=b"1")[:-1],
    b'{"typ\\u0065":"item"}',
    item(labels=b"{}", other=b'1,"labels":{}'),
    item(sitelinks=b"1", other=b'1,"sitelinks":1'),
    item(labels=b"5"),
    item(labels=b"null"),
    item(labels=b"[1]"),
    item(labels=b'{"en":[]}'),
    item(labels=b'{"en":{"language":"de"}}'),
    item(labels=b'{"en":{"language":5}}'),
    item(labels=b'{"en":{}}'),
    item(labels=b'{"en":{"language":"en","language":"en"}}'),
    item(descriptions=b'{"en":{}}'),
    item(aliases=b'{"en":%s}' % TERM),
    item(aliases=b'{"en":[%s,{}]}' % TERM),
    item(claims=b'{"p1":[]}'),
    item(claims=b'{"P-1":[]}'),
    item(claims=b'{"":[]}'),
    item(claims=b'{"P1":{}}'),
    item(claims=b'{"P1":[1]}'),
    item(claims=b'{"P1":[%s]}' % STATEMENT.replace(b"P1", b"P2")),
    item(claims=b'{"P1":[%s]}' % STATEMENT.replace(b'"Q1$a"', b"5")),
    *(item(claims=b'{"P1":[%s]}' % STATEMENT.replace(b"Q1$a", bad)) for bad in BAD_IDS),
    item(claims=b'{"P1":[{"id":"Q1$a"}]}'),
    item(claims=b'{"P1":[{"mainsnak":{"property":"P1"}}]}'),
    item(claims=b'{"P1":[{"id":"Q1$a","mainsnak":[]}]}'),
    item(claims=b'{"P1":[{"id":"Q1$a","mainsnak":{}}]}'),
    *(
        item(claims=b'{"P1":[%s]}' % (REFERENCES % bad))
        for bad in (
            *(b"{}", b"null", b"[1]", b'[{"hash":""}]', b'[{"hash":"a.b"}]', b'[{"hash":5}]'),
            *(b'[{"hash":"\\n"}]', b'[{"hash":"a","hash":"a"}]'),
        )
    ),
]


@pytest.mark.parametrize("text", UNUSUAL, ids=[str(n) for n in range(len(UNUSUAL))])
def test_what_is_not_taken_for_granted_is_left_to_the_parser(compare: Compare, text: bytes) -> None:
    usual = item(other=b"1")
    assert compare(usual, usual) is not None
    assert compare(text, text) is None and compare(usual, text) is None and compare(text, usual) is None


def test_a_key_or_id_of_an_unchanged_part_that_comes_again_is_unusual(compare: Compare) -> None:
    old = item(claims=b'{"P1":[%s]}' % STATEMENT)
    other_group = STATEMENT.replace(b"P1", b"P2")
    new = item(claims=b'{"P1":[%s],"P2":[%s]}' % (STATEMENT, other_group))
    assert compare(old, new) is None and compare(new, old) is None
    assert compare(old, item(claims=b'{"P2":[%s]}' % other_group)) is not None
    twice = item(claims=b'{"P1":[%s,%s]}' % (STATEMENT, STATEMENT))
    assert compare(twice, twice) is None
    for maps in ({"labels": b'{"en":%s,"en":%s}' % (TERM, TERM)}, {"claims": b'{"P1":[],"P1":[]}'}):
        assert compare(item(**maps), item(**maps)) is None
    # These are changed, so they are parsed anyway.
    assert compare(item(other=b"1"), twice) is not None
    assert compare(twice, old) is not None


def test_c_and_python_take_the_same_bytes_in_names() -> None:
    for byte in range(256):
        statement = STATEMENT.replace(b"Q1$a", b"Q1$" + bytes([byte]))
        both(item(other=b"1"), item(claims=b'{"P1":[%s]}' % statement))
        statement = REFERENCES % (b'[{"hash":"%s"}]' % bytes([byte]))
        both(item(other=b"1"), item(claims=b'{"P1":[%s]}' % statement))


@given(st.lists(st.text("aQ1$-_. ", min_size=1, max_size=5), min_size=2, max_size=2, unique=True))
def test_ids_that_are_taken_for_granted_make_different_nodes(ids: list[str]) -> None:
    texts = [item(claims=b'{"P1":[%s]}' % STATEMENT.replace(b"Q1$a", one.encode())) for one in ids]
    if all(compare_twin(text, text) for text in texts):
        assert local_name(ids[0]) != local_name(ids[1])


def compared(compare: Compare, old: bytes, new: bytes) -> Comparison:
    return comparison_of(old, new, compare(old, new))


def test_the_reduced_texts_have_what_differs_and_the_rows_the_unchanged_groups(compare: Compare) -> None:
    group = b"[%s]" % STATEMENT.replace(b'"P1"', b'"P1","datatype":"external-id"')
    old = item(labels=b'{"en":%s,"de":{"language":"de","value":1}}' % TERM, claims=b'{"P1":%s}' % group, id=b'"Q1"')
    new = item(labels=b'{"en":%s,"de":{"language":"de","value":12}}' % TERM, claims=b'{"P2":[],"P1":%s}' % group)
    comparison = compared(compare, old, new)
    assert comparison.old == b'{"type":"item","id":"Q1","labels":{"de":{"language":"de","value":1}}}'
    assert comparison.new == b'{"type":"item","labels":{"de":{"language":"de","value":12}},"claims":{"P2":[]}}'
    assert comparison.statements() == 1
    (row,) = comparison.groups()
    assert old[row.start : row.start + row.size_bytes] == b'"P1":' + group
    assert (row.key_bytes, row.statements, row.identifiers, row.opaque) == (2, 1, 1, 0)


@pytest.mark.parametrize(("reference", "opaque"), [(b"{}", True), (b'{"snaks":[]}', True), (b'{"hash":"0"}', False)])
def test_a_group_is_opaque_if_a_reference_has_no_hash(compare: Compare, reference: bytes, opaque: bool) -> None:
    text = item(claims=b'{"P1":[%s],"P2":[]}' % (REFERENCES % (b'[{"hash":"0"},%s]' % reference)))
    comparison = compared(compare, text, text)
    assert [bool(row.opaque) for row in comparison.groups()] == [opaque, False]
    assert comparison.any_opaque() == opaque


def test_one_sitelink_that_differs_brings_the_others_along(compare: Compare) -> None:
    links = b'{"a":1,"b":2}'
    assert compared(compare, item(sitelinks=links), item(sitelinks=links))[:2] == (b'{"type":"item"}',) * 2
    comparison = compared(compare, item(sitelinks=links), item(sitelinks=b'{"a":1}'))
    assert comparison[:2] == (b'{"type":"item","sitelinks":{"a":1,"b":2}}', b'{"type":"item","sitelinks":{"a":1}}')


def test_a_number_that_begins_another_one_is_not_taken_for_it(compare: Compare) -> None:
    assert compare(item(sitelinks=b"1"), item(sitelinks=b"12")) is None
    comparison = compared(compare, item(sitelinks=b"12"), item(sitelinks=b"1"))
    assert comparison[:2] == (b'{"type":"item","sitelinks":12}', b'{"type":"item","sitelinks":1}')


def labels(names: Iterable[int]) -> bytes:
    return b"{%s}" % b",".join(b'"%d":{"language":"%d"}' % (name, name) for name in names)


@pytest.mark.parametrize(("removed", "unchanged"), [(1, 1), (254, 1), (255, 0)])
def test_parts_behind_a_gap_of_the_window_are_found(compare: Compare, removed: int, unchanged: int) -> None:
    """The first row of the window is the type's."""
    old, new = item(labels=labels(range(removed + 1))), item(labels=labels([removed]))
    comparison = compared(compare, old, new)
    assert (b'"labels"' in comparison.new) == (not unchanged)
    # New parts in any number make no gap.
    comparison = compared(compare, new, old)
    assert b'"labels"' not in comparison.old and len(orjson.loads(comparison.new)["labels"]) == removed


def test_only_bytes_are_snapshots() -> None:
    for arguments in ((), (b"",), (b"", b"", b""), ("", b""), (b"", bytearray()), (None, b"")):
        with pytest.raises(TypeError):
            native()(*arguments)


def test_keys_whose_hashes_are_equal_are_told_apart_or_left_to_the_parser(compile_c: Compile) -> None:
    """The extension is built with one first slot for all hashes."""
    path = compile_c(
        "_spans.so",
        [DIFF / "_spans.c", DIFF / "spans.c"],
        ["-shared", "-fPIC", "-DSPANS_HASH_MASK=UINT32_C(0)"],
    )
    spec = importlib.util.spec_from_file_location("_spans", path)
    assert spec is not None and spec.loader is not None
    colliding = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(colliding)

    few, one_more = item(labels=labels(range(20))), item(labels=labels(range(21)))
    assert without_hashes(colliding.compare(few, one_more)) == compare_twin(few, one_more)
    assert colliding.compare(few, item(labels=labels([*range(20), 3]))) is None
    many, one_more = item(labels=labels(range(100))), item(labels=labels(range(101)))
    assert colliding.compare(many, one_more) is None
    assert native()(many, one_more) is not None


def test_results_and_arguments_are_let_go() -> None:
    compare = native()
    old, new = item(claims=b'{"P1":[%s]}' % STATEMENT), item(labels=b'{"en":%s}' % TERM)

    def calls() -> None:
        for _ in range(1000):
            compare(old, new)
            compare(old, b"{")

    counts = sys.getrefcount(old), sys.getrefcount(new), sys.getrefcount(None)
    assert grown_bytes(calls) < 1000
    assert (sys.getrefcount(old), sys.getrefcount(new)) == counts[:2] and sys.getrefcount(None) < counts[2] + 100


def test_the_public_function_is_the_extension_where_it_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    assert spans.compare_native is native()
    text = item(other=b"1")
    assert spans.compare(text, text) == compared(compare_twin, text, text)
    assert spans.compare(text, b"") is None
    monkeypatch.setattr(spans, "compare_native", None)
    assert spans.compare(text, text) is None


def test_snapshots_are_compared_without_the_extension() -> None:
    code = """
import sys
sys.modules["wbd.diff._spans"] = None
from wbd.diff import spans
from wbd.mapping.context import MappingContext
from wbd.diff.snapshots import diff_snapshots
assert spans.compare_native is None
old, new = (b'{"type":"item","id":"Q1","lastrevid":%d,"modified":"2026-01-01T00:00:00Z"}' % number for number in (1, 2))
assert diff_snapshots(old, new, MappingContext.wikidata()).removed
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
