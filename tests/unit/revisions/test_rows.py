"""An entity's rows count its terms, statements, qualifiers, references, sitelinks and the entities it names."""

from __future__ import annotations

import hashlib
from typing import Any

from wbd.entity.check import check_entity
from wbd.revisions.rows import (
    BACKLINKS,
    LEXEME_TERMS,
    QUALIFIERS,
    REDIRECTS,
    REFERENCES,
    SITELINKS,
    STATEMENTS,
    TABLES,
    TERMS,
    EntityRows,
    rows_of,
)


def item(**more: Any) -> EntityRows:
    return rows_of(check_entity({"type": "item", "id": "Q1", **more}))


def snak(prop: str, value: Any, kind: str = "string", **more: Any) -> dict[str, Any]:
    return {"snaktype": "value", "property": prop, "datavalue": {"type": kind, "value": value}, **more}


def entity_value(entity_id: str) -> dict[str, Any]:
    return {"entity-type": "item", "id": entity_id}


def claim(statement_id: str, main: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": statement_id, "rank": "normal", "mainsnak": main, **more}


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_an_empty_item_has_no_rows() -> None:
    rows = item()
    assert all(not rows.tables[table] for table in TABLES)
    assert rows.sitelink_id is None


def test_terms_are_counted_by_type_language_and_value() -> None:
    rows = item(
        labels={"en": {"language": "en", "value": "one"}},
        descriptions={"en": {"language": "en", "value": "one"}},
        aliases={"en": [{"language": "en", "value": "uno"}, {"language": "en", "value": "uno"}]},
    ).tables[TERMS]
    assert rows == {
        ("label", "en", sha256("one")): ("one", 1),
        ("description", "en", sha256("one")): ("one", 1),
        ("alias", "en", sha256("uno")): ("uno", 2),
    }


def test_the_value_of_a_long_term_is_cut_and_its_hash_covers_all_of_it() -> None:
    long = "\U0001f600" * 2501
    ((key, values),) = item(labels={"en": {"language": "en", "value": long}}).tables[TERMS].items()
    assert values == (long[:2500], 1)
    assert key[2] == sha256(long)


def test_equal_statements_of_two_ids_share_a_content_hash() -> None:
    main = snak("P1", "x")
    rows = item(claims={"P1": [claim("Q1$a", main), claim("Q1$b", main), claim("Q1$c", snak("P1", "y"))]})
    statements = rows.tables[STATEMENTS]
    assert statements[("Q1$a",)] == statements[("Q1$b",)]
    assert statements[("Q1$a",)][1] != statements[("Q1$c",)][1]
    assert all(values[0] == "P1" and values[2] == 1 for values in statements.values())


def test_rank_qualifiers_and_references_are_content_of_a_statement() -> None:
    main = snak("P1", "x")
    variants = [
        claim("Q1$a", main),
        claim("Q1$a", main) | {"rank": "preferred"},
        claim("Q1$a", main, qualifiers={"P2": [snak("P2", "y")]}),
        claim("Q1$a", main, references=[{"snaks": {"P2": [snak("P2", "y")]}}]),
    ]
    hashes = {item(claims={"P1": [variant]}).tables[STATEMENTS][("Q1$a",)][1] for variant in variants}
    assert len(hashes) == 4


def test_qualifiers_and_references_are_counted_by_their_own_hash_where_they_have_one() -> None:
    given, main = "a" * 40, snak("P1", "x")
    qualifiers = {"P2": [snak("P2", "y", hash=given)], "P3": [snak("P3", "z")]}
    references = [{"hash": "b" * 40, "snaks": {"P2": [snak("P2", "y")]}}]
    claims = [claim(f"Q1${number}", main, qualifiers=qualifiers, references=references) for number in range(3)]
    tables = item(claims={"P1": claims}).tables
    computed = (set(tables[QUALIFIERS]) - {(given,)}).pop()
    assert tables[QUALIFIERS] == {(given,): ("P2", 3), computed: ("P3", 3)}
    assert len(computed[0]) == 64
    assert tables[REFERENCES] == {("b" * 40,): (3,)}


def test_a_hash_that_is_none_is_not_believed() -> None:
    for bad in ("", "x" * 500, None, "A" * 40):
        tables = item(claims={"P1": [claim("Q1$a", snak("P1", "x"), references=[{"hash": bad, "snaks": []}])]}).tables
        ((key,),) = tables[REFERENCES]
        assert len(key) == 64


def test_backlinks_are_the_entities_that_main_snaks_name_once_a_property() -> None:
    by_number = {"entity-type": "property", "numeric-id": 31}
    claims = {
        "P1": [
            claim("Q1$a", snak("P1", entity_value("Q5"), "wikibase-entityid")),
            claim("Q1$b", snak("P1", entity_value("Q5"), "wikibase-entityid")),
            claim("Q1$c", {"snaktype": "somevalue", "property": "P1"}),
            claim("Q1$d", snak("P1", by_number, "wikibase-entityid")),
            claim("Q1$e", snak("P1", entity_value("other:Q6"), "wikibase-entityid")),
        ],
        "P2": [
            claim("Q1$f", snak("P2", entity_value("Q5"), "wikibase-entityid")),
            claim("Q1$g", snak("P2", entity_value("L7-F2"), "wikibase-entityid")),
            claim(
                "Q1$h",
                snak("P2", "x"),
                qualifiers={"P3": [snak("P3", entity_value("Q8"), "wikibase-entityid")]},
            ),
        ],
    }
    assert set(item(claims=claims).tables[BACKLINKS]) == {("Q5", "P1"), ("P31", "P1"), ("Q5", "P2"), ("L7", "P2")}


def test_sitelinks_have_a_row_a_site_and_one_hash_together() -> None:
    link = {"site": "enwiki", "title": "One", "badges": []}
    rows = item(sitelinks={"enwiki": link})
    assert list(rows.tables[SITELINKS]) == [("enwiki",)]
    assert rows.tables[SITELINKS][("enwiki",)][0] == "One"
    with_url = item(sitelinks={"enwiki": {**link, "url": "https://en.wikipedia.org/wiki/One"}})
    badged = item(sitelinks={"enwiki": {**link, "badges": ["Q17"]}})
    assert rows.sitelink_id == with_url.sitelink_id != badged.sitelink_id
    assert rows.tables[SITELINKS] != badged.tables[SITELINKS]


def test_lexemes_have_terms_of_their_own_and_statements_of_their_parts() -> None:
    def text(value: str) -> dict[str, Any]:
        return {"en": {"language": "en", "value": value}}

    data = {
        "type": "lexeme",
        "id": "L1",
        "lemmas": text("answer"),
        "lexicalCategory": "Q1",
        "language": "Q2",
        "claims": {"P1": [claim("L1$a", snak("P1", "x"))]},
        "forms": [
            {"id": "L1-F1", "representations": text("answers"), "claims": {"P1": [claim("L1-F1$a", snak("P1", "x"))]}}
        ],
        "senses": [{"id": "L1-S1", "glosses": text("reply"), "claims": []}],
    }
    tables = rows_of(check_entity(data)).tables
    assert tables[LEXEME_TERMS] == {
        ("L1", "lemma", "en", sha256("answer")): ("answer", 1),
        ("L1-F1", "representation", "en", sha256("answers")): ("answers", 1),
        ("L1-S1", "gloss", "en", sha256("reply")): ("reply", 1),
    }
    assert set(tables[STATEMENTS]) == {("L1$a",), ("L1-F1$a",)}
    assert not tables[TERMS]


def test_a_redirect_has_one_row_and_nothing_else() -> None:
    tables = rows_of(check_entity({"entity": "Q2", "redirect": "Q1"})).tables
    assert {table.name: rows for table, rows in tables.items() if rows} == {REDIRECTS.name: {(): ("Q1",)}}
