"""The diff of two snapshots is that of the entities that they hold, whatever the bytes are."""

from __future__ import annotations

import copy
import dataclasses
import gzip
import importlib.util
import itertools
import os
import zlib
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.build.entities import revisions
from tests.build.spellings import broken, spelled
from tests.build.wikibase import (
    KILOMETRE,
    METRE,
    by_property,
    coordinate,
    item,
    quantity,
    reference,
    sitelink,
    snak,
    statement,
    term,
    terms,
    text,
    time,
)
from tests.conftest import without
from wbd.demo.entities import EntityGenerator
from wbd.diff import snapshots
from wbd.diff.entities import diff_entities
from wbd.diff.snapshots import diff_changed_parts, diff_snapshots
from wbd.errors import BadEntity
from wbd.mapping.context import FULL, TRUTHY, UPDATER, MappingContext
from wbd.rdf.graph_diff import RdfDiff

CONTEXT = MappingContext(
    formatter_uris={"P7": "http://ids.test/$1"}, units={METRE: ("1", METRE), KILOMETRE: ("1000", METRE)}
)
CORPUS = Path(os.environ.get("WBD_CORPUS", "/nonexistent"))
NATIVE = importlib.util.find_spec("wbd.diff._spans") is not None


@pytest.fixture
def native() -> None:
    if not NATIVE:
        without("wbd.diff._spans is not built")


def hashed(value: Any) -> Any:
    """Give every reference the hash that revisions of today have."""
    if isinstance(value, dict):
        value = {key: hashed(member) for key, member in value.items()}
        if "snaks" in value:
            value["hash"] = f"{zlib.crc32(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)):08x}"
    return [hashed(member) for member in value] if isinstance(value, list) else value


@st.composite
def sides(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    old, new = draw(revisions())
    return (hashed(old), hashed(new)) if draw(st.booleans()) else (old, new)


def outcome(function: Any, old: bytes, new: bytes, context: MappingContext) -> RdfDiff | tuple[type, str]:
    try:
        change: RdfDiff = function(old, new, context)
    except (BadEntity, AttributeError, TypeError, orjson.JSONDecodeError) as error:
        return type(error), str(error)
    return change


def parsed(old: bytes, new: bytes, context: MappingContext) -> RdfDiff:
    return diff_entities(orjson.loads(old), orjson.loads(new), context)


def check(old: bytes, new: bytes, context: MappingContext = CONTEXT) -> None:
    for one, other in ((old, new), (new, old)):
        assert outcome(diff_snapshots, one, other, context) == outcome(parsed, one, other, context)


@settings(deadline=None, max_examples=15)
@given(sides())
def test_the_diff_of_snapshots_is_that_of_their_entities(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    for flavour in (FULL, TRUTHY, UPDATER):
        check(orjson.dumps(both[0]), orjson.dumps(both[1]), dataclasses.replace(CONTEXT, flavour=flavour))


@settings(deadline=None, max_examples=15)
@given(sides(), st.data())
def test_in_any_spelling(both: tuple[dict[str, Any], dict[str, Any]], data: st.DataObject) -> None:
    # To draw an entity takes longer than all the rest.
    for _ in range(2):
        old, new = (data.draw(st.just(orjson.dumps(side)) | spelled(side)) for side in both)
        check(old, new)


@settings(deadline=None, max_examples=20)
@given(sides(), st.data())
def test_broken_bytes_have_the_same_outcome(both: tuple[dict[str, Any], dict[str, Any]], data: st.DataObject) -> None:
    old, new = map(orjson.dumps, both)
    for _ in range(3):
        check(old, data.draw(broken(new)))
        # The same on both sides: an equal part is broken.
        at = data.draw(st.integers(0, len(old)))
        piece = data.draw(st.sampled_from([b"x", b"", b"{", b'"', b"\xff", b"1", b",", b"\\u00e9"]))
        check(old[:at] + piece + old[at + 1 :], old[:at] + piece + old[at + 1 :].replace(b'"Q1$', b'"Q1$2', 1))


@settings(deadline=None, max_examples=8)
@given(sides())
def test_statements_that_two_groups_share_make_no_difference(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    both = copy.deepcopy(both)
    for side in both:
        for group in (side["claims"] or {}).values():
            group[0]["id"] = "Q1$same"
    check(orjson.dumps(both[0]), orjson.dumps(both[1]))


def revision(**parts: Any) -> dict[str, Any]:
    return item(**{"lastrevid": 1, "modified": "2024-01-01T00:00:00Z", **parts})


def group(prop: str, value: Any, **parts: Any) -> dict[str, Any]:
    return by_property(statement(f"Q1${prop}-0", snak(prop, value), **parts))


TEXT = text("x")
TIME = time("+2013-01-01T00:00:00Z")
PLACE, OTHER_PLACE, CLOSE_PLACE = coordinate(1.0, 2), coordinate(1, 2.0), coordinate(1.0000000000000002, 2)
LONG, SHORT = quantity("+1", KILOMETRE), quantity("+1000", METRE)
REFERENCE = reference(snak("P2", TEXT), hash="abc")
MANY = [{**REFERENCE, "hash": f"a{number}"} for number in range(snapshots._NEEDLES_MAX + 1)]
BARE = {"snaks": REFERENCE["snaks"]}


@pytest.mark.parametrize(
    ("unchanged", "changed"),
    [
        (group("P1", TIME), group("P2", TIME)),
        (group("P1", PLACE), group("P2", PLACE)),
        (group("P1", OTHER_PLACE), group("P2", PLACE)),
        (group("P1", CLOSE_PLACE), group("P2", PLACE)),
        (group("P1", LONG), group("P2", SHORT)),
        (group("P1", TEXT, references=[REFERENCE]), group("P2", TEXT, references=[REFERENCE])),
        (group("P1", TEXT, references=MANY), group("P2", TEXT, references=MANY)),
        (group("P1", TEXT, references=[BARE]), group("P2", TEXT, references=[BARE])),
        (group("P1", TEXT, qualifiers=by_property(snak("P3", TIME))), group("P2", TIME)),
    ],
    ids=[
        "time",
        "coordinate",
        "coordinate in other digits",
        "coordinate that rounds to the same digits",
        "quantity",
        "reference",
        "more than are searched for",
        "no hash",
        "qualifier",
    ],
)
@pytest.mark.usefixtures("native")
def test_a_shared_node_that_an_equal_part_has_stays(unchanged: dict[str, Any], changed: dict[str, Any]) -> None:
    old, new = (orjson.dumps(revision(claims=claims)) for claims in (unchanged, {**unchanged, **changed}))
    change = diff_changed_parts(old, new, CONTEXT)
    assert change == parsed(old, new, CONTEXT)
    nodes = {line.split()[0] for line in change.added} if change else {"/value/"}
    assert not any("/value/" in node or "/reference/" in node for node in nodes)
    check(old, new)
    check(old.replace(b"time", b"tim\\u0065"), new.replace(b"time", b"tim\\u0065"))
    check(old.replace(b"+2013", b"\\u002b2013"), new.replace(b"+2013", b"\\u002b2013", 1))
    check(old.replace(b"abc", b"a\\u0062c"), new.replace(b"abc", b"a\\u0062c", 1))


@pytest.mark.usefixtures("native")
def test_counts_are_those_of_all_parts() -> None:
    claims = {f"P{n}": group(f"P{n}", TEXT)[f"P{n}"] for n in range(1, 9)}
    for name in ("P7", "P8"):
        claims[name][0]["mainsnak"]["datatype"] = "external-id"
    old = revision(claims=claims, sitelinks=sitelink("enwiki", "A"))
    for without_one in ("P1", "P8"):
        new = {**old, "claims": {name: group for name, group in claims.items() if name != without_one}}
        tables: tuple[dict[str, str], ...] = ({}, {"P1": "external-id", "P8": "string"}, {"P2": "external-id"})
        for context in [MappingContext(datatypes=table) for table in tables]:
            for one, other in ((old, new), (new, old)):
                change = diff_changed_parts(orjson.dumps(one), orjson.dumps(other), context)
                assert change is not None and change == diff_entities(one, other, context)


def test_a_term_whose_language_no_tag_can_hold_is_compared_with_all_others() -> None:
    """Both are the same literal without a tag."""
    old, new = (orjson.dumps(revision(labels=terms(x="a", y=value))) for value in "ab")
    assert diff_changed_parts(old, new, CONTEXT) is None
    check(old, new)


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("predicate", ["http://schema.org/isPartOf", "http://wikiba.se/ontology#wikiGroup"])
def test_a_text_that_looks_like_a_page_is_none(predicate: str) -> None:
    page = text(f"> <{predicate}> <https://en.wikipedia.org/> .")
    links = sitelink("enwiki", "A")
    old, new = revision(sitelinks=links), revision(sitelinks=links, claims=group("P2", page))
    assert diff_changed_parts(orjson.dumps(old), orjson.dumps(new), CONTEXT) == diff_entities(old, new, CONTEXT)
    check(orjson.dumps(old), orjson.dumps(new))


def test_statements_whose_ids_make_one_node_are_compared_with_all_others() -> None:
    unchanged, changed = group("P1", TEXT), group("P2", TEXT)
    unchanged["P1"][0]["id"], changed["P2"][0]["id"] = "Q1$a", "Q1-a"
    old, new = (orjson.dumps(revision(claims=claims)) for claims in (unchanged, {**unchanged, **changed}))
    assert diff_changed_parts(old, new, CONTEXT) is None
    change = diff_snapshots(old, new, CONTEXT)
    assert not any("ontology#rank" in line for line in change.added)
    check(old, new)


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("edit", ["labels", "aliases", "claims", "sitelinks", "lastrevid"])
def test_ordinary_edits_are_not_parsed_whole(edit: str) -> None:
    """Without this the other tests would pass if nothing were ever taken apart."""
    old = revision(
        labels=terms(en="a", de="a"),
        aliases={"en": [term("b")]},
        claims={**group("P1", TIME), **group("P2", TEXT, references=[REFERENCE])},
        sitelinks=sitelink("enwiki", "A"),
    )
    changes = {
        "labels": terms(en="c"),
        "aliases": [],
        "claims": group("P2", TIME),
        "sitelinks": {},
        "lastrevid": 2,
    }
    new = {**old, edit: changes[edit]}
    assert diff_changed_parts(orjson.dumps(old), orjson.dumps(new), CONTEXT) == diff_entities(old, new, CONTEXT)
    assert diff_changed_parts(orjson.dumps(old), orjson.dumps(new), CONTEXT, "Q2") is None


@pytest.mark.parametrize("text", [b"", b"[]", b"5", b"null", b'"Q1"', b"{}", b"{", b'{"type":"item"}', b"\xff"])
def test_what_is_no_entity_has_the_same_outcome(text: bytes) -> None:
    snapshot = orjson.dumps(revision())
    assert diff_changed_parts(text, snapshot, CONTEXT) is None
    check(text, snapshot)
    check(text, text)


@pytest.mark.parametrize("seed", [1, 2])
def test_generated_histories(seed: int) -> None:
    context = MappingContext.wikidata()
    heads: dict[str, bytes] = {}
    taken = 0
    for entity in EntityGenerator(15, 40, seed=seed).revisions():
        new = orjson.dumps(entity)
        old = heads.get(entity["id"])
        if old is not None:
            check(old, new, context)
            taken += diff_changed_parts(old, new, context) is not None
        heads[entity["id"]] = new
    assert taken > 25 or not NATIVE


@pytest.mark.skipif(not CORPUS.is_dir(), reason="WBD_CORPUS names no folder of real input")
def test_real_revisions() -> None:
    context = MappingContext.wikidata()
    for name in ("Q1_110652822", "Q1_110652868"):
        assert (CORPUS / f"wikidata/revisions/{name}.json").is_file()
    old, new = ((CORPUS / f"wikidata/revisions/Q1_{n}.json").read_bytes() for n in (110652822, 110652868))
    check(old, new, context)
    for path in sorted((CORPUS / "wikidata/json").glob("*.json")):
        (entity,) = orjson.loads(path.read_bytes())["entities"].values()
        for edited in itertools.islice(edits(entity), 0, None, 3):
            check(orjson.dumps(entity), orjson.dumps(edited), context)
    with gzip.open(CORPUS / "dump/wikidata-50-lines.json.gz", "rb") as dump:
        lines = [line.rstrip(b",\n") for line in dump if len(line) > 3]
    for line in lines[:6]:
        for edited in itertools.islice(edits(orjson.loads(line)), 3):
            check(line, orjson.dumps(edited), context)


def edits(entity: dict[str, Any]) -> Any:
    """Yield the entity without one of its parts each, and with one statement less in a group."""
    for key in ("labels", "sitelinks", "claims"):
        members = entity.get(key) or {}
        for name in list(members)[:: max(1, len(members) // 3)]:
            yield {**entity, key: {other: member for other, member in members.items() if other != name}}
            if key == "claims":
                yield {**entity, key: {**members, name: members[name][:-1]}}


def test_nothing_is_needed_but_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "compare", lambda old, new: None)
    old, new = (orjson.dumps(revision(labels=terms(en=value))) for value in "ab")
    check(old, new)
