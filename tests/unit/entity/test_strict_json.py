"""JSON texts are read whole or refused with a place; no key is lost silently."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wbd.entity.strict_json import parse, show_path
from wbd.errors import BadInput

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("raw", "place", "reason"),
    [
        (b'{"id":"Q1",}', "column 11", "broken JSON"),
        (b'{"id":"Q1"', "column 11", "ends too early"),
        (b'{"id":"\xff\xfe"}', "column 8", "not UTF-8: bytes ff fe"),
        ('{"é":"'.encode() + b'\x80"}', "column 8", "not UTF-8"),
        (b'{"id":\x00"Q1"}', "column 7", "NUL character"),
        (b'{"a":1}{"b":2}', "column 8", "broken JSON"),
        (b'{"a":NaN}', "column 6", "broken JSON"),
        (b'{"a":"\\ud800"}', "column", "broken JSON"),
        (b'{\n "a": 1,\n "b": x}', "line 3, column 7", "broken JSON"),
        (b"1e999", "column 1", "broken JSON"),
        (b"[" * 2000, "column", "broken JSON"),
        (b"[" * 300 + b"]" * 300, "", "nested more than 250 deep"),
    ],
)
def test_broken_text_is_refused_with_place_and_reason(raw: bytes, place: str, reason: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(raw)
    assert reason in str(caught.value)
    assert caught.value.place.startswith(place)


@pytest.mark.parametrize(
    ("raw", "paths"),
    [
        (b'{"a":1,"a":2}', ["a"]),
        (b'{"claims":{"P31":[],"P31":[]}}', ["claims.P31"]),
        (b'{"a":[{"b":1},{"b":1,"b":2}]}', ["a[1].b"]),
        # Spellings that hide the key from a plain count of '":'.
        (b'{"a" :1,"a" :2}', ["a"]),
        (b'{"a":1,"\\u0061":2}', ["a"]),
        (b'{"a":"\\u0022:","a":2}', ["a"]),
        (b'{"x":"\\"\\u003a","a":1,"a":2}', ["a"]),
        (b'{"x":"\\u0022:","a":1,"a":2}', ["a"]),
    ],
)
def test_a_key_given_twice_is_found_however_it_is_spelt(raw: bytes, paths: list[str]) -> None:
    assert [show_path(path) for path in parse(raw).duplicates] == paths


@given(JSON, st.sampled_from([None, 1]), st.sampled_from([(",", ":"), (", ", " : ")]), st.booleans())
def test_any_spelling_of_a_value_reads_as_the_value_without_duplicates(
    value: Any, indent: int | None, separators: tuple[str, str], ascii_only: bool
) -> None:
    raw = json.dumps(value, indent=indent, separators=separators, ensure_ascii=ascii_only).encode()
    parsed = parse(raw)
    assert parsed.value == value
    assert parsed.duplicates == []


@given(st.dictionaries(st.text(max_size=6), JSON, min_size=1, max_size=4), st.data())
def test_any_key_written_twice_is_found(value: dict[str, Any], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(value)))
    pairs = [*value.items(), (key, data.draw(JSON))]
    ascii_only = data.draw(st.booleans())

    def dump(part: Any) -> str:
        return json.dumps(part, ensure_ascii=ascii_only)

    raw = "{" + ",".join(f"{dump(name)}:{dump(inner)}" for name, inner in pairs) + "}"
    assert (key,) in parse(raw.encode()).duplicates
