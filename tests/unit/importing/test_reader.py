"""Files of entities in every framing become entities with their places; the rest is rejected with a reason."""

from __future__ import annotations

import gzip
import io
import json
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.build.wikibase import item, redirect
from wbd.importing.reader import Line, read_entities


def read(text: str | bytes, limit: int = 1 << 20) -> list[Line]:
    data = text.encode() if isinstance(text, str) else text
    return list(read_entities(io.BytesIO(data), limit))


def ids(lines: list[Line]) -> list[str | None]:
    return [line.entity["id"] if line.entity is not None else None for line in lines]


ONE, TWO, THREE = (json.dumps(item(entity_id)) for entity_id in ("Q1", "Q2", "Q3"))


@pytest.mark.parametrize(
    "text",
    [
        f"[\n{ONE},\n{TWO},\n{THREE}\n]\n",
        f"[\n{ONE},\n{TWO},\n{THREE},\n",
        f"[\n{ONE},\n{TWO},\n{THREE}",
        f"{ONE}\n{TWO}\n{THREE}\n",
        f"{ONE}\r\n\r\n{TWO}\r\n{THREE}\r\n",
        f"\n\n{ONE}\n\n   \n{TWO}\n{THREE}\n\n",
        f"[{ONE},{TWO},{THREE}]",
        f"[{ONE},\n{TWO},\n{THREE}]",
        f"[ {ONE} ,\n  {TWO} ,\n  {THREE} ]\n",
        f"{ONE},\n{TWO},\n{THREE},\n",
        json.dumps([item("Q1"), item("Q2"), item("Q3")], indent=2),
        json.dumps([item("Q1"), item("Q2"), item("Q3")], indent="\t"),
        json.dumps({"entities": {"Q1": item("Q1"), "Q2": item("Q2"), "Q3": item("Q3")}, "success": 1}),
        json.dumps({"entities": {"Q1": item("Q1"), "Q2": item("Q2"), "Q3": item("Q3")}}, indent=1),
        "\n" + json.dumps({"entities": {"Q1": item("Q1"), "Q2": item("Q2"), "Q3": item("Q3")}}, indent=1),
        json.dumps({"entities": {"Q1": item("Q1"), "Q2": item("Q2")}}) + "\n" + THREE,
    ],
)
def test_every_framing_gives_the_same_entities(text: str) -> None:
    assert ids(read(text)) == ["Q1", "Q2", "Q3"]
    assert ids(read(gzip.compress(text.encode()))) == ["Q1", "Q2", "Q3"]


@pytest.mark.parametrize("indent", [None, 0, 1, 4])
def test_a_single_entity_may_be_written_over_any_number_of_lines(indent: int | None) -> None:
    entity = item("Q42", labels={"en": {"language": "en", "value": 'a { [ " ] } b'}}, aliases={}, claims=[])
    (line,) = read(json.dumps(entity, indent=indent))
    assert line.entity == entity
    assert (line.number, line.offset) == (1, 0)


@pytest.mark.parametrize("text", ["", "\n\n", "[\n]\n", "[", "[]", "[\n", '{"entities":{}}', '{"entities":[]}'])
def test_a_file_without_entities_is_no_error(text: str) -> None:
    assert read(text) == []


def test_a_bad_line_is_rejected_with_its_place_and_the_rest_goes_on() -> None:
    text = f'[\n{ONE},\n{{"id":"Q9", broken}},\n{TWO},\n{{"id":"\ufffd'.encode() + b'\xff"},\n' + f"{THREE}\n]".encode()
    lines = read(text)
    assert ids(lines) == ["Q1", None, "Q2", None, "Q3"]
    assert [line.number for line in lines] == [2, 3, 4, 5, 6]
    assert lines[1].rejection is not None and lines[1].rejection.place == "column 13"
    assert lines[3].rejection is not None and "not UTF-8" in str(lines[3].rejection)
    for line in lines:
        assert text[line.offset :].startswith(line.raw[:5])


@pytest.mark.parametrize("bad", ['{"id":"Q9", broken}', "garbage", '{"id":"Q9"', "\x00", '{"id":"Q9",'])
def test_a_bad_first_line_does_not_hide_the_entities_after_it(bad: str) -> None:
    for following in (f"{ONE}\n{TWO}\n", f"{ONE}\n{bad}\n{TWO}"):
        lines = read(f"{bad}\n{following}")
        assert [entity for entity in ids(lines) if entity] == ["Q1", "Q2"]
        assert lines[0].rejection is not None


def test_two_bad_first_lines_do_not_hide_the_entities_after_them() -> None:
    lines = read(f'{{"id":"Q8", broken\n"and":"on"}}\n{ONE}\n{TWO}\n')
    assert ids(lines) == [None, None, "Q1", "Q2"]
    assert [line.number for line in lines] == [1, 2, 3, 4]


def test_a_broken_document_is_one_rejection_with_line_and_column() -> None:
    text = json.dumps(item("Q1", labels={"en": {"language": "en", "value": "x"}}), indent=2).replace('"x"', "x")
    (line,) = read(text)
    assert line.rejection is not None
    assert line.rejection.place == "line 7, column 16"


def test_a_truncated_last_line_is_rejected() -> None:
    lines = read(f"[\n{ONE},\n{TWO[:-5]}")
    assert ids(lines) == ["Q1", None]
    assert "ends too early" in str(lines[1].rejection)


def test_a_line_over_the_limit_is_rejected_with_its_place_and_the_rest_goes_on() -> None:
    long = json.dumps(item("Q9", filler="x" * 5000))
    lines = read(f"[\n{ONE},\n{long},\n{TWO}\n]", limit=2000)
    assert ids(lines) == ["Q1", None, "Q2"]
    assert str(lines[1].rejection) == f"line of {len(long) + 1} bytes, over import_max_line_bytes 2000; skipped"
    assert len(lines[1].raw) <= 4096


def test_a_document_over_the_limit_is_rejected() -> None:
    (line,) = read(json.dumps(item("Q9", filler=["x" * 50] * 100), indent=1), limit=2000)
    assert "over import_max_line_bytes 2000" in str(line.rejection)


def test_entities_after_bad_lines_are_read_even_when_the_file_is_over_the_limit_of_a_document() -> None:
    text = '{"id":"Q8", broken\n"and":"on"}\n' + f"{ONE}\n" * 100 + THREE
    lines = read(text, limit=1000)
    assert Counter(ids(lines)) == {None: 2, "Q1": 100, "Q3": 1}
    assert lines[-1].number == 103
    assert text[lines[-1].offset :] == THREE


def test_truncated_gzip_delivers_what_came_before_then_one_rejection() -> None:
    head = gzip.compress(f"[\n{ONE},\n{TWO},\n".encode())
    lines = read(head + gzip.compress(f"{THREE},\n".encode())[:-12])
    assert [entity for entity in ids(lines) if entity][:2] == ["Q1", "Q2"]
    assert [line.rejection is not None for line in lines] == [False] * (len(lines) - 1) + [True]
    assert "truncated" in str(lines[-1].rejection) and "of the compressed file" in str(lines[-1].rejection)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"type":"item","id":"Q1","id":"Q2"}', "id"),
        ('{"type":"item","id":"Q1","claims":{"P31":[],"P31":[]}}', "claims.P31"),
        ('{"entities":{"Q1":{"id":"Q1","labels":{"en":1,"en":2}}}}', "entities.Q1.labels.en"),
        ('[{"id":"Q1","labels":{"en":1,"en":2}}]', "[0].labels.en"),
    ],
)
def test_an_entity_with_a_key_given_twice_is_rejected_since_one_would_be_lost(text: str, place: str) -> None:
    (line,) = read(text)
    assert line.rejection is not None
    assert line.rejection.place == place
    assert "given twice" in str(line.rejection)


def test_of_a_document_only_the_entity_given_twice_is_rejected() -> None:
    lines = read(f'{{"entities":{{"Q1":{ONE},"Q2":{TWO},"Q1":{ONE}}}}}')
    assert ids(lines) == [None, "Q2"]


@pytest.mark.parametrize("text", ["42", '"Q1"', "null", "[[1]]", "[null]", '{"entities":5}', '{"entities":{"Q1":7}}'])
def test_json_that_is_no_entity_is_rejected(text: str) -> None:
    (line,) = read(text)
    assert line.rejection is not None


def test_redirects_come_out_in_one_form() -> None:
    asked_by_old_id = {"entities": {"Q2": {**item("Q1", lastrevid=5), "redirects": {"from": "Q2", "to": "Q1"}}}}
    (from_page,) = read(json.dumps(redirect("Q2", "Q1")))
    assert from_page.entity == {"id": "Q2", "redirect": "Q1"}
    target, old_id = read(json.dumps(asked_by_old_id))
    assert target.entity == item("Q1", lastrevid=5)
    assert old_id.entity == {"type": "item", "id": "Q2", "redirect": "Q1"}


def test_an_entity_that_does_not_exist_or_stands_under_another_id_is_rejected() -> None:
    lines = read(json.dumps({"entities": {"Q1": {"id": "Q1", "missing": ""}, "Q2": item("Q3")}}))
    assert "missing on the wiki" in str(lines[0].rejection)
    assert lines[1].rejection is not None and lines[1].rejection.place == "entities.Q2.id"


def test_a_file_that_is_something_else_is_given_up_after_a_bound() -> None:
    lines = read("col1,col2\n" * 50_000)
    assert len(lines) == 10_001
    assert "the rest of the file is not read" in str(lines[-1].rejection)


@given(
    st.lists(
        st.sampled_from([ONE, TWO, THREE]) | st.text(alphabet='{}[]",:\\x0 \n', max_size=12) | st.just("]"),
        max_size=12,
    )
)
def test_nothing_raises_whatever_the_file_holds(parts: list[str]) -> None:
    for line in read("\n".join(parts), limit=1024):
        assert (line.entity is None) != (line.rejection is None)


@given(st.binary(max_size=300))
def test_nothing_raises_on_random_bytes_behind_a_magic_number(data: bytes) -> None:
    for magic in (b"", b"\x1f\x8b\x08\x00", b"BZh9", b"\x28\xb5\x2f\xfd"):
        for line in read(magic + data, limit=1024):
            assert (line.entity is None) != (line.rejection is None)


def test_the_real_dump_gives_its_entities() -> None:
    folder = os.environ.get("WBD_CORPUS")
    if not folder:
        pytest.skip("WBD_CORPUS is not set")
    lines = list(read_entities(Path(folder) / "dump" / "wikidata-50-lines.json.gz"))
    assert len(lines) == 49
    assert not [line.rejection for line in lines if line.rejection]
