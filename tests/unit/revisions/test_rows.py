"""An entity's rows count its terms, statements, qualifiers, references, sitelinks and the entities it names."""

from __future__ import annotations

import hashlib
from typing import Any

from tests.build.wikibase import (
    by_property,
    datavalue,
    entity_value,
    item,
    lexeme,
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


def rows_with(**parts: Any) -> EntityRows:
    """Return the rows of an item of these parts."""
    return rows_of(check_entity(item(**parts)))


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_an_empty_item_has_no_rows() -> None:
    rows = rows_with()
    assert all(not rows.tables[table] for table in TABLES)
    assert rows.sitelink_id is None


def test_terms_are_counted_by_type_language_and_value() -> None:
    rows = rows_with(
        labels=terms(en="one"),
        descriptions=terms(en="one"),
        aliases={"en": [term("uno"), term("uno")]},
    ).tables[TERMS]
    assert rows == {
        ("label", "en", sha256("one")): ("one", 1),
        ("description", "en", sha256("one")): ("one", 1),
        ("alias", "en", sha256("uno")): ("uno", 2),
    }


def test_the_value_of_a_long_term_is_cut_and_its_hash_covers_all_of_it() -> None:
    long = "\U0001f600" * 2501
    ((key, values),) = rows_with(labels=terms(en=long)).tables[TERMS].items()
    assert values == (long[:2500], 1)
    assert key[2] == sha256(long)


def test_equal_statements_of_two_ids_share_a_content_hash() -> None:
    main = snak("P1", text("x"))
    rows = rows_with(
        claims={"P1": [statement("Q1$a", main), statement("Q1$b", main), statement("Q1$c", snak("P1", text("y")))]}
    )
    statements = rows.tables[STATEMENTS]
    assert statements[("Q1$a",)] == statements[("Q1$b",)]
    assert statements[("Q1$a",)][1] != statements[("Q1$c",)][1]
    assert all(values[0] == "P1" and values[2] == 1 for values in statements.values())


def test_rank_qualifiers_and_references_are_content_of_a_statement() -> None:
    main = snak("P1", text("x"))
    variants = [
        statement("Q1$a", main),
        statement("Q1$a", main) | {"rank": "preferred"},
        statement("Q1$a", main, qualifiers=by_property(snak("P2", text("y")))),
        statement("Q1$a", main, references=[reference(snak("P2", text("y")))]),
    ]
    hashes = {rows_with(claims={"P1": [variant]}).tables[STATEMENTS][("Q1$a",)][1] for variant in variants}
    assert len(hashes) == 4


def test_qualifiers_and_references_are_counted_by_their_own_hash_where_they_have_one() -> None:
    given, main = "a" * 40, snak("P1", text("x"))
    qualifiers = by_property(snak("P2", text("y"), hash=given), snak("P3", text("z")))
    references = [reference(snak("P2", text("y")), hash="b" * 40)]
    claims = [statement(f"Q1${number}", main, qualifiers=qualifiers, references=references) for number in range(3)]
    tables = rows_with(claims={"P1": claims}).tables
    computed = (set(tables[QUALIFIERS]) - {(given,)}).pop()
    assert tables[QUALIFIERS] == {(given,): ("P2", 3), computed: ("P3", 3)}
    assert len(computed[0]) == 64
    assert tables[REFERENCES] == {("b" * 40,): (3,)}


def test_a_hash_that_is_none_is_not_believed() -> None:
    for bad in ("", "x" * 500, None, "A" * 40):
        tables = rows_with(
            claims={"P1": [statement("Q1$a", snak("P1", text("x")), references=[{"hash": bad, "snaks": []}])]}
        ).tables
        ((key,),) = tables[REFERENCES]
        assert len(key) == 64


def test_backlinks_are_the_entities_that_main_snaks_name_once_a_property() -> None:
    by_number = datavalue("wikibase-entityid", {"entity-type": "property", "numeric-id": 31})
    claims = {
        "P1": [
            statement("Q1$a", snak("P1", entity_value("Q5"))),
            statement("Q1$b", snak("P1", entity_value("Q5"))),
            statement("Q1$c", unknown_value("P1")),
            statement("Q1$d", snak("P1", by_number)),
            statement("Q1$e", snak("P1", entity_value("other:Q6"))),
        ],
        "P2": [
            statement("Q1$f", snak("P2", entity_value("Q5"))),
            statement("Q1$g", snak("P2", entity_value("L7-F2"))),
            statement(
                "Q1$h",
                snak("P2", text("x")),
                qualifiers={"P3": [snak("P3", entity_value("Q8"))]},
            ),
        ],
    }
    assert set(rows_with(claims=claims).tables[BACKLINKS]) == {("Q5", "P1"), ("P31", "P1"), ("Q5", "P2"), ("L7", "P2")}


def test_sitelinks_have_a_row_a_site_and_one_hash_together() -> None:
    rows = rows_with(sitelinks=sitelink("enwiki", "One"))
    assert list(rows.tables[SITELINKS]) == [("enwiki",)]
    assert rows.tables[SITELINKS][("enwiki",)][0] == "One"
    with_url = rows_with(sitelinks=sitelink("enwiki", "One", url="https://en.wikipedia.org/wiki/One"))
    badged = rows_with(sitelinks=sitelink("enwiki", "One", "Q17"))
    assert rows.sitelink_id == with_url.sitelink_id != badged.sitelink_id
    assert rows.tables[SITELINKS] != badged.tables[SITELINKS]


def test_lexemes_have_terms_of_their_own_and_statements_of_their_parts() -> None:
    claims, of_form = (by_property(statement(name, snak("P1", text("x")))) for name in ("L1$a", "L1-F1$a"))
    form = {"id": "L1-F1", "representations": terms(en="answers"), "claims": of_form}
    sense = {"id": "L1-S1", "glosses": terms(en="reply"), "claims": []}
    data = lexeme(lemmas=terms(en="answer"), claims=claims, forms=[form], senses=[sense])
    tables = rows_of(check_entity(data)).tables
    assert tables[LEXEME_TERMS] == {
        ("L1", "lemma", "en", sha256("answer")): ("answer", 1),
        ("L1-F1", "representation", "en", sha256("answers")): ("answers", 1),
        ("L1-S1", "gloss", "en", sha256("reply")): ("reply", 1),
    }
    assert set(tables[STATEMENTS]) == {("L1$a",), ("L1-F1$a",)}
    assert not tables[TERMS]


def test_a_redirect_has_one_row_and_nothing_else() -> None:
    tables = rows_of(check_entity(redirect("Q2", "Q1"))).tables
    assert {table.name: rows for table, rows in tables.items() if rows} == {REDIRECTS.name: {(): ("Q1",)}}
