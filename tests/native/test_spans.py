"""Promises of the comparison of snapshots, kept alike by the C code and by its Python twin."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.build.entities import revisions
from tests.build.spellings import broken, spelled
from tests.native.conftest import DIFF, ROOT, Compile, grown_bytes, origin
from wbd.diff import spans
from wbd.diff.spans import Comparison, compare_twin
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
        found = native()(one, other)
        assert found == compare_twin(one, other)
        if found is not None:
            # What is not parsed afterwards has to be JSON too.
            for text in (one, other, *found[:2]):
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
    (b'"\\b\\f\\n\\r\\t\\"\\\\\\/\\u00e9\\uFFFF"', True),
    (b'"\\x"', False),
    (b'"\\u00g0"', False),
    (b'"\\ud83d\\ude00"', False),
    (b'"\\uDfff"', False),
    (b"-0", True),
    (b"01", False),
    (b"1.", False),
    (b".5", False),
    (b"+1", False),
    (b"-", False),
    (b"1e5", True),
    (b"1E-99", True),
    (b"1e100", False),
    (b"1e", False),
    (b"9" * 200, True),
    (b"9" * 201, False),
    (b"0." + b"1" * 198, True),
    (b"0." + b"1" * 199, False),
    (b"true", True),
    (b"tru", False),
    (b"nulll", False),
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

UNUSUAL = [
    b"",
    b"[]",
    item(other=b"1") + b"x",
    item(other=b"1")[:-1],
    b'{"type":"lexeme"}',
    b'{"type":5}',
    b'{"type":"item","type":"item"}',
    b'{"typ\\u0065":"item"}',
    item(redirect=b'"Q2"'),
    item(statements=b"[]"),
    item(labels=b"{}", other=b'1,"labels":{}'),
    item(labels=b"5"),
    item(labels=b"null"),
    item(labels=b"[1]"),
    item(labels=b'{"en":[]}'),
    item(labels=b'{"en":{"language":"de"}}'),
    item(labels=b'{"en":{}}'),
    item(labels=b'{"en":{"language":"en","language":"en"}}'),
    item(labels=b'{"en":%s,"en":%s}' % (TERM, TERM)),
    item(labels=b'{"e\\u006e":%s}' % TERM),
    item(labels=b'{"en":{"language":"e\\u006e"}}'),
    item(aliases=b'{"en":%s}' % TERM),
    item(sitelinks=b'{"enwiki":1,"enwiki":1}'),
    item(claims=b'{"p1":[]}'),
    item(claims=b'{"P01":[]}'),
    item(claims=b'{"P1":{}}'),
    item(claims=b'{"P1":[1]}'),
    item(claims=b'{"P1":[%s]}' % STATEMENT.replace(b"P1", b"P2")),
    item(claims=b'{"P1":[%s]}' % STATEMENT.replace(b"Q1$a", b"\\u0051")),
    item(claims=b'{"P1":[%s]}' % STATEMENT.replace(b'"Q1$a"', b"5")),
    *(item(claims=b'{"P1":[%s]}' % STATEMENT.replace(b"Q1$a", bad)) for bad in BAD_IDS),
    item(claims=b'{"P1":[{"id":"Q1$a"}]}'),
    item(claims=b'{"P1":[{"mainsnak":{"property":"P1"}}]}'),
    item(claims=b'{"P1":[{"id":"Q1$a","mainsnak":[]}]}'),
    item(claims=b'{"P1":[%s]}' % STATEMENT.replace(b"}}", b',"datatype":"\\u0065xternal-id"}}')),
]


@pytest.mark.parametrize("text", UNUSUAL, ids=[str(n) for n in range(len(UNUSUAL))])
def test_what_is_not_taken_for_granted_is_left_to_the_parser(compare: Compare, text: bytes) -> None:
    usual = item(other=b"1")
    assert compare(usual, usual) is not None
    assert compare(text, text) is None and compare(usual, text) is None and compare(text, usual) is None


def test_an_id_that_comes_again_in_an_equal_group_is_unusual(compare: Compare) -> None:
    old = item(claims=b'{"P1":[%s]}' % STATEMENT)
    new = item(claims=b'{"P1":[%s],"P2":[%s]}' % (STATEMENT, STATEMENT.replace(b"P1", b"P2")))
    assert compare(old, new) is None and compare(new, old) is None
    assert compare(old, item(claims=b'{"P2":[%s]}' % STATEMENT.replace(b"P1", b"P2"))) is not None
    twice = item(claims=b'{"P1":[%s,%s]}' % (STATEMENT, STATEMENT))
    assert compare(twice, twice) is None and compare(twice, old) is None
    # It is parsed anyway.
    assert compare(item(other=b"1"), twice) is not None


def test_c_and_python_take_the_same_bytes_in_names() -> None:
    for byte in range(256):
        statement = STATEMENT.replace(b"Q1$a", b"Q1$" + bytes([byte]))
        both(item(other=b"1"), item(claims=b'{"P1":[%s]}' % statement))
        statement = STATEMENT[:-1] + b',"references":[{"hash":"%s","snaks":[]}]}' % bytes([byte])
        both(item(other=b"1"), item(claims=b'{"P1":[%s]}' % statement))


@given(st.lists(st.text("aQ1$-_. ", min_size=1, max_size=5), min_size=2, max_size=2, unique=True))
def test_ids_that_are_taken_for_granted_make_different_nodes(ids: list[str]) -> None:
    texts = [item(claims=b'{"P1":[%s]}' % STATEMENT.replace(b"Q1$a", one.encode())) for one in ids]
    if all(compare_twin(text, text) for text in texts):
        assert local_name(ids[0]) != local_name(ids[1])


def test_the_result_holds_what_differs_and_counts_the_rest(compare: Compare) -> None:
    group = b"[%s]" % STATEMENT.replace(b'"P1"', b'"P1","datatype":"external-id"')
    old = item(labels=b'{"en":%s,"de":{"language":"de","value":1}}' % TERM, claims=b'{"P1":%s}' % group, id=b'"Q1"')
    new = item(claims=b'{"P2":[],"P1":%s}' % group, labels=b'{"de":{"language":"de","value":12},"en":%s}' % TERM)
    found = Comparison._make(compare(old, new))
    assert found.old == b'{"labels":{"de":{"language":"de","value":1}},"type":"item","id":"Q1"}'
    assert found.new == b'{"labels":{"de":{"language":"de","value":12}},"claims":{"P2":[]},"type":"item"}'
    assert found[2:5] == (1, 0, 1)
    (row,) = found.groups()
    assert old[row.key : row.key + row.key_bytes] == b"P1"
    assert old[row.value : row.value + row.value_bytes] == group
    assert (row.statements, row.identifiers, row.opaque) == (1, 1, 1)


def test_one_sitelink_that_differs_brings_the_others_along(compare: Compare) -> None:
    links = b'{"a":1,"b":2}'
    assert compare(item(sitelinks=links), item(sitelinks=links))[:4] == (b'{"type":"item"}', b'{"type":"item"}', 0, 2)
    found = compare(item(sitelinks=links), item(sitelinks=b'{"a":1}'))
    assert found[:4] == (b'{"sitelinks":{"a":1,"b":2},"type":"item"}', b'{"sitelinks":{"a":1},"type":"item"}', 0, 0)


def test_a_number_that_begins_another_one_is_not_taken_for_it(compare: Compare) -> None:
    found = compare(item(sitelinks=b'{"a":1}'), item(sitelinks=b'{"a":12}'))
    assert found[:2] == (b'{"sitelinks":{"a":1},"type":"item"}', b'{"sitelinks":{"a":12},"type":"item"}')


SNAK = b'{"snaktype":"somevalue","property":"P1"}'
CLEAR = [
    b'"qualifiers":[]',
    b'"qualifiers":{"P2":[%s]}' % SNAK,
    b'"references":[{"hash":"0aZ_-","snaks":{"P2":[%s]}}]' % SNAK,
    b'"references":[{"hash":"0","snaks":[ ]}]',
    b'"x":"\\n\\\\u"',
]
OPAQUE = [
    b'"qualifiers":[1]',
    b'"qualifiers":null',
    b'"qualifiers":{"P2":{}}',
    b'"qualifiers":{"P2":[{}]}',
    b'"qualifiers":{"P2":[1]}',
    b'"references":{}',
    b'"references":[1]',
    b'"references":[{"snaks":[]}]',
    b'"references":[{"hash":"","snaks":[]}]',
    b'"references":[{"hash":"a.b","snaks":[]}]',
    b'"references":[{"hash":5,"snaks":[]}]',
    b'"references":[{"hash":"0"}]',
    b'"x":"\\u00e9"',
    b'"x":"\\/"',
]
CLEAR_VALUES = [
    b'{"type":"string"}',
    b'{"type":"quantity","value":5}',
    b'{"type":"time","value":{"time":"x"}}',
    b'{"value":{"time":"x"},"type":"time"}',
    b'{"type":"globecoordinate"}',
]
OPAQUE_VALUES = [
    b"5",
    b"{}",
    b'{"type":5}',
    b'{"type":"time"}',
    b'{"type":"time","value":{"time":5}}',
]


@pytest.mark.parametrize("where", ["mainsnak", "qualifiers", "references"])
def test_a_group_is_opaque_where_its_bytes_do_not_show_what_it_has(compare: Compare, where: str) -> None:
    def opaque(main: bytes, more: bytes) -> int:
        text = item(claims=b'{"P1":[{"id":"Q1$a","mainsnak":%s,%s}]}' % (main, more))
        (row,) = Comparison._make(compare(text, text)).groups()
        return row.opaque

    for more in (*CLEAR, *OPAQUE):
        assert opaque(SNAK, more) == (more in OPAQUE), more
    assert opaque(b'{"snaktype":"value","property":"P1"}', b'"x":1') == 1
    assert opaque(b'{"snaktype":5,"property":"P1"}', b'"x":1') == 1
    for value in (*CLEAR_VALUES, *OPAQUE_VALUES):
        snak = b'{"snaktype":"value","property":"P1","datavalue":%s}' % value
        more = {
            "mainsnak": b'"x":1',
            "qualifiers": b'"qualifiers":{"P1":[%s]}' % snak,
            "references": b'"references":[{"hash":"0","snaks":{"P1":[%s]}}]' % snak,
        }[where]
        assert opaque(snak if where == "mainsnak" else SNAK, more) == (value in OPAQUE_VALUES), value


def test_only_bytes_are_snapshots() -> None:
    for arguments in ((), (b"",), (b"", b"", b""), ("", b""), (b"", bytearray()), (None, b"")):
        with pytest.raises(TypeError):
            native()(*arguments)


def test_keys_whose_hashes_are_equal_are_told_apart_or_left_to_the_parser(compile_c: Compile) -> None:
    """The extension is built with one hash for all keys."""
    path = compile_c(
        "_spans.so",
        [DIFF / "_spans.c", DIFF / "spans.c", DIFF / "spans_parts.c"],
        ["-shared", "-fPIC", "-DSPANS_HASH_MASK=UINT32_C(0)"],
    )
    spec = importlib.util.spec_from_file_location("_spans", path)
    assert spec is not None and spec.loader is not None
    colliding = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(colliding)

    def links(count: int) -> bytes:
        return item(sitelinks=b"{%s}" % b",".join(b'"%d":%d' % (n, n) for n in range(count)))

    assert colliding.compare(links(20), links(21)) == compare_twin(links(20), links(21))
    assert colliding.compare(links(20), links(20)[:-2] + b',"3":1}}') is None
    assert colliding.compare(links(20_000), links(20_001)) is None
    assert native()(links(20_000), links(20_001)) is not None


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
    assert spans.compare(text, text) == compare_twin(text, text)
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
