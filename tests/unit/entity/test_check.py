"""The check refuses malformed entities with their JSON path, and gives equal content one hash."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.build.spellings import nested
from tests.build.wikibase import (
    by_property,
    entity_value,
    item,
    lexeme,
    no_value,
    prop,
    redirect,
    reference,
    sitelink,
    snak,
    statement,
    term,
    terms,
    text,
    unknown_value,
)
from wbd.entity.check import check_entity, snapshot_bytes, snapshot_key
from wbd.entity.content import content_hash
from wbd.errors import BadEntity
from wbd.importing.reader import read_entities
from wbd.revisions.rows import STATEMENTS, rows_of

Change = Callable[[dict[str, Any]], Any]


def full_item() -> dict[str, Any]:
    named = snak("P3", entity_value("Q2", number=2), datatype="wikibase-item")
    first = statement(
        "Q1$1",
        snak("P1", text("x")),
        qualifiers=by_property(unknown_value("P2")),
        references=[reference(no_value("P3"), named, hash="a" * 40)],
    )
    return item(
        labels=terms(en="one"),
        descriptions=terms(en="first"),
        aliases={"en": [term("uno")]},
        claims=by_property(first),
        sitelinks=sitelink("enwiki", "One", "Q17"),
        lastrevid=7,
        modified="2025-01-15T10:30:00Z",
    )


def full_lexeme() -> dict[str, Any]:
    form = {
        "id": "L1-F1",
        "representations": terms(en="answers"),
        "grammaticalFeatures": ["Q146786"],
        "claims": by_property(statement("L1-F1$1", snak("P1", text("x")))),
    }
    sense = {"id": "L1-S1", "glosses": terms(en="reply"), "claims": []}
    return lexeme(lemmas=terms(en="answer"), forms=[form], senses=[sense])


def test_a_whole_item_passes_and_gives_its_parts() -> None:
    entity = check_entity(full_item())
    assert (entity.id, entity.type, entity.lastrevid, entity.modified) == ("Q1", "item", 7, "2025-01-15T10:30:00Z")
    assert entity.redirect is None


@pytest.mark.parametrize(
    "data",
    [
        item(),
        item(labels=[], descriptions=[], aliases=[], claims=[], sitelinks=[]),
        prop(claims={}),
        {"type": "entityschema", "id": "E1"},
        {"type": "lexeme", "id": "L1", "lexicalCategory": "Q1", "language": "Q2", "forms": {}, "senses": []},
        full_lexeme(),
    ],
)
def test_small_and_php_shaped_entities_pass(data: dict[str, Any]) -> None:
    assert check_entity(data).id == data["id"]


def remove(*path: Any) -> Change:
    def change(data: dict[str, Any]) -> None:
        *way, last = path
        for step in way:
            data = data[step]
        del data[last]

    return change


def put(value: Any, *path: Any) -> Change:
    def change(data: dict[str, Any]) -> None:
        *way, last = path
        for step in way:
            data = data[step]
        data[last] = value

    return change


MAIN = ("claims", "P1", 0, "mainsnak")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (remove("id"), "id"),
        (put(42, "id"), "id"),
        (put(None, "id"), "id"),
        (put(["Q1"], "id"), "id"),
        (put("q1", "id"), "id"),
        (put("Q01", "id"), "id"),
        (put("Q1\x00", "id"), "id"),
        (put("Q" + "9" * 5000, "id"), "id"),
        (put("Q99999999999999999999", "id"), "id"),
        (put("L1-F1", "id"), "id"),
        (remove("type"), "type"),
        (put("property", "type"), "type"),
        (put({}, "type"), "type"),
        (put("7", "lastrevid"), "lastrevid"),
        (put(True, "lastrevid"), "lastrevid"),
        (put(0, "lastrevid"), "lastrevid"),
        (put(1.5, "lastrevid"), "lastrevid"),
        (put(2**63, "lastrevid"), "lastrevid"),
        (put("yesterday", "modified"), "modified"),
        (put("2025-13-01T00:00:00Z", "modified"), "modified"),
        (put("text", "labels"), "labels"),
        (put(None, "labels"), "labels"),
        (put(["x"], "descriptions"), "descriptions"),
        (put({"en": "one"}, "labels"), "labels.en"),
        (put(7, "labels", "en", "value"), "labels.en.value"),
        (put("de", "labels", "en", "language"), "labels.en.language"),
        (put({"e n": {"language": "e n", "value": ""}}, "labels"), "labels.e n"),
        (put({"language": "en", "value": "x"}, "aliases", "en"), "aliases.en"),
        (put("x", "aliases", "en", 0), "aliases.en[0]"),
        (put("dewiki", "sitelinks", "enwiki", "site"), "sitelinks.enwiki.site"),
        (remove("sitelinks", "enwiki", "title"), "sitelinks.enwiki.title"),
        (put("", "sitelinks", "enwiki", "title"), "sitelinks.enwiki.title"),
        (put("\ud800", "labels", "en", "value"), "labels.en.value"),
        (put({"a": [2**64]}, "future"), "future.a[0]"),
        (put({"\udc00": 1}, "future"), "future.\\udc00"),
        (put(["star"], "sitelinks", "enwiki", "badges"), "sitelinks.enwiki.badges[0]"),
        (put([1], "claims"), "claims"),
        (put({"Q5": []}, "claims"), "claims.Q5"),
        (put({}, "claims", "P1"), "claims.P1"),
        (put("x", "claims", "P1", 0), "claims.P1[0]"),
        (remove("claims", "P1", 0, "id"), "claims.P1[0].id"),
        (put("a b", "claims", "P1", 0, "id"), "claims.P1[0].id"),
        (put("x" * 101, "claims", "P1", 0, "id"), "claims.P1[0].id"),
        (put("best", "claims", "P1", 0, "rank"), "claims.P1[0].rank"),
        (remove(*MAIN), "claims.P1[0].mainsnak"),
        (put("P9", *MAIN, "property"), "claims.P1[0].mainsnak.property"),
        (put("maybe", *MAIN, "snaktype"), "claims.P1[0].mainsnak.snaktype"),
        (remove(*MAIN, "datavalue"), "claims.P1[0].mainsnak.datavalue"),
        (put("x", "claims", "P1", 0, "qualifiers"), "claims.P1[0].qualifiers"),
        (put({"P9": []}, "claims", "P1", 0, "references"), "claims.P1[0].references"),
        (put([{}], "claims", "P1", 0, "references"), "claims.P1[0].references[0]"),
        (put({}, "claims", "P1", 0, "references", 0, "hash"), "claims.P1[0].references[0].hash"),
        (put([], *MAIN, "hash"), "claims.P1[0].mainsnak.hash"),
        (put({"a": 1}, *MAIN, "datatype"), "claims.P1[0].mainsnak.datatype"),
    ],
)
def test_a_malformed_entity_is_refused_with_the_json_path(change: Change, place: str) -> None:
    data = full_item()
    change(data)
    with pytest.raises(BadEntity) as caught:
        check_entity(data)
    assert caught.value.place.startswith(place)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (remove("language"), "language"),
        (put("noun", "lexicalCategory"), "lexicalCategory"),
        (put({"x": 1}, "forms"), "forms"),
        (put("L2-F1", "forms", 0, "id"), "forms[0].id"),
        (put(7, "forms", 0, "representations"), "forms[0].representations"),
        (put(["plural"], "forms", 0, "grammaticalFeatures"), "forms[0].grammaticalFeatures[0]"),
        (put("x", "forms", 0, "claims"), "forms[0].claims"),
        (put("L1-F2", "senses", 0, "id"), "senses[0].id"),
    ],
)
def test_a_malformed_lexeme_is_refused_with_the_json_path(change: Change, place: str) -> None:
    data = full_lexeme()
    change(data)
    with pytest.raises(BadEntity) as caught:
        check_entity(data)
    assert caught.value.place == place


def test_one_statement_id_twice_in_an_entity_is_refused() -> None:
    data = full_item()
    data["claims"]["P5"] = [statement("Q1$1", snak("P5", text("x")))]
    with pytest.raises(BadEntity, match="twice") as caught:
        check_entity(data)
    assert caught.value.place == "claims.P5[0].id"


def test_a_property_needs_its_datatype() -> None:
    with pytest.raises(BadEntity, match="datatype"):
        check_entity({"type": "property", "id": "P1"})


@pytest.mark.parametrize("data", [redirect("Q2", "Q1"), item("Q2", redirect="Q1")])
def test_a_redirect_has_one_form_whichever_it_came_in(data: dict[str, Any]) -> None:
    entity = check_entity({**data, "lastrevid": 9})
    assert (entity.id, entity.redirect, entity.lastrevid) == ("Q2", "Q1", 9)
    snapshot = orjson.loads(snapshot_bytes(entity, 9, "2025-01-15T10:30:00Z"))
    assert snapshot == {"entity": "Q2", "redirect": "Q1", "lastrevid": 9, "modified": "2025-01-15T10:30:00Z"}


@pytest.mark.parametrize("target", [None, 7, "Q2", "P1", "nowhere"])
def test_a_redirect_to_nowhere_itself_or_another_type_is_refused(target: Any) -> None:
    with pytest.raises(BadEntity) as caught:
        check_entity(item("Q2", redirect=target))
    assert caught.value.place == "redirect"


def test_revision_and_page_fields_are_not_content() -> None:
    data = full_item()
    other = {**data, "lastrevid": 8, "modified": "2026-01-01T00:00:00Z", "pageid": 1, "ns": 0, "title": "Q1"}
    assert content_hash(data) == content_hash(other)
    assert content_hash(data) != content_hash({**data, "labels": {}})


def test_empty_maps_of_php_and_missing_ones_are_the_same_content() -> None:
    bare = item()
    empty: dict[str, Any] = {name: {} for name in ("labels", "descriptions", "aliases", "claims", "sitelinks")}
    php: dict[str, Any] = {name: [] for name in empty}
    assert content_hash(bare) == content_hash({**bare, **empty}) == content_hash({**bare, **php})
    full = full_lexeme()
    spelt = copy.deepcopy(full)
    spelt["senses"][0]["claims"] = {}
    assert content_hash(full) == content_hash(spelt)


@pytest.mark.parametrize("value", ["x", {"en": "x"}, ["x", {"claims": []}, None], 5])
def test_members_of_lexemes_can_be_anything_in_an_item(value: Any) -> None:
    """Found by make fuzz: members of an item were taken for the forms of a lexeme."""
    assert check_entity(item(forms=value, senses=value)).content_hash != content_hash(item())


@given(st.randoms(use_true_random=False))
def test_the_order_of_keys_is_not_content(random: Any) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            pairs = [(key, shuffled(inner)) for key, inner in value.items()]
            random.shuffle(pairs)
            return dict(pairs)
        return [shuffled(inner) for inner in value] if isinstance(value, list) else value

    assert content_hash(shuffled(full_item())) == content_hash(full_item())


def test_the_snapshot_is_the_entity_as_given_with_number_and_time_of_its_revision() -> None:
    data = {**full_item(), "future": {"member": [1, None]}}
    snapshot = orjson.loads(snapshot_bytes(check_entity(data), 12, "2026-02-03T04:05:06Z"))
    assert snapshot == {**data, "lastrevid": 12, "modified": "2026-02-03T04:05:06Z"}


def test_the_key_of_a_snapshot_holds_the_hash_of_its_bytes() -> None:
    digest = hashlib.sha256(b"{}").hexdigest()[:16]
    assert snapshot_key("Q1", 12, b"{}") == f"Q1/r12-{digest}.json"
    longest = snapshot_key("Q" + "9" * 19, 2**63, b"")
    assert len(longest) <= 200


def test_statements_under_the_name_that_mediainfo_has_for_them_are_checked() -> None:
    data = item(claims=[], statements={"P1": [statement("Q1$1", snak("P1", text("x")))]})
    assert set(rows_of(check_entity(data)).tables[STATEMENTS]) == {("Q1$1",)}
    with pytest.raises(BadEntity) as caught:
        check_entity({**data, "statements": "x"})
    assert caught.value.place == "statements"


def test_an_entity_nested_too_deep_to_be_stored_is_refused_with_the_place() -> None:
    with pytest.raises(BadEntity, match="nested over 100 deep") as caught:
        check_entity(item(future=nested(2000)))
    assert caught.value.place.startswith("future[0][0]") and len(caught.value.place) < 210


def test_every_real_entity_passes() -> None:
    folder = os.environ.get("WBD_CORPUS")
    if not folder:
        pytest.skip("WBD_CORPUS is not set")
    root = Path(folder)
    files = [*root.glob("wikidata/json/*.json"), *root.glob("wikidata/revisions/*.json"), *root.glob("dump/*.gz")]
    checked = 0
    for path in [*files, *root.glob("wikibase-rdf/entities/*.json")]:
        for line in read_entities(path):
            assert line.entity is not None
            entity = check_entity(line.entity)
            again = check_entity(json.loads(snapshot_bytes(entity, 5, "2025-01-15T10:30:00Z")))
            assert again.content_hash == entity.content_hash
            checked += 1
    assert checked >= 49
