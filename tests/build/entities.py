"""Generated entity JSON: items with every kind of value, small enough that two of them share parts."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.build.wikibase import (
    GREGORIAN,
    KILOMETRE,
    METRE,
    by_property,
    coordinate,
    datavalue,
    entity_value,
    item,
    monolingual,
    no_value,
    quantity,
    redirect,
    reference,
    sitelink,
    snak,
    statement,
    term,
    text,
    time,
    unknown_value,
)

DATATYPES = {
    "P1": "wikibase-item",
    "P2": "string",
    "P3": "time",
    "P4": "quantity",
    "P5": "globe-coordinate",
    "P6": "monolingualtext",
    "P7": "external-id",
    "P8": "url",
    "P9": "commonsMedia",
    "P10": "musical-notation",
}

texts = st.sampled_from(["a", "b", 'quote " and \\', "line\nbreak", "žluť 木", "tab\t\x01", "\u200f", ""]) | st.text(
    max_size=6
)
languages = st.sampled_from(["en", "de", "zh-hant", "be-x-old", "mul", "simple"])


_times = st.builds(
    time,
    st.sampled_from(
        ["+2013-00-00T00:00:00Z", "+00000002013-01-02T00:00:00Z", "-0044-03-15T00:00:00Z", "+0000-01-01T00:00:00Z"]
    ),
    st.sampled_from([7, 9, 10, 11]),
    st.sampled_from([GREGORIAN, "http://www.wikidata.org/entity/Q1985786"]),
)
_quantities = st.builds(
    lambda amount, unit, bounds: quantity(
        f"+{amount}", unit, **({"upperBound": "+9", "lowerBound": "+0"} if bounds else {})
    ),
    st.sampled_from(["0", "1.50", "7"]),
    st.sampled_from(["1", METRE, KILOMETRE]),
    st.booleans(),
)
_coordinates = st.builds(
    lambda latitude, longitude, precision: coordinate(latitude, longitude, precision, altitude=None),
    st.sampled_from([0, 1.5, -89.999999999999]),
    st.sampled_from([12, 1e-05]),
    st.sampled_from([None, 0.1, 1 / 3600]),
)
_strings = texts.map(text)
VALUES = {
    "wikibase-item": st.integers(1, 3).map(lambda n: entity_value(f"Q{n}", number=n)),
    "time": _times,
    "quantity": _quantities,
    "globe-coordinate": _coordinates,
    "monolingualtext": st.builds(monolingual, texts, languages),
    "url": st.sampled_from(["http://a.test/", "https://b.test/x?y=[z]#ž", " urn:c:1\n", "no scheme"]).map(text),
}


@st.composite
def snaks(draw: st.DrawFn, property_id: str | None = None) -> dict[str, Any]:
    name = property_id or draw(st.sampled_from(sorted(DATATYPES)))
    kind = draw(st.sampled_from(["value", "value", "value", "somevalue", "novalue"]))
    if kind == "value":
        return snak(name, draw(VALUES.get(DATATYPES[name], _strings)), datatype=DATATYPES[name])
    return (unknown_value if kind == "somevalue" else no_value)(name, datatype=DATATYPES[name])


def _grouped(drawn: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]] | list[Any]:
    # PHP writes an empty map as [].
    return by_property(*drawn) or []


references = st.lists(snaks(), min_size=1, max_size=2).map(lambda drawn: reference(*drawn))


@st.composite
def statements(draw: st.DrawFn, property_id: str, number: int) -> dict[str, Any]:
    rank = draw(st.sampled_from(["normal", "normal", "preferred", "deprecated"]))
    main = draw(snaks(property_id))
    return statement(
        f"Q1$0000-{property_id}-{number}",
        main,
        rank=rank,
        qualifiers=_grouped(draw(st.lists(snaks(), max_size=2))),
        references=draw(st.lists(references, max_size=2)),
    )


@st.composite
def items(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(sorted(DATATYPES)), unique=True, max_size=4))
    claims = {name: [draw(statements(name, n)) for n in range(draw(st.integers(1, 2)))] for name in names}
    labels = {code: term(draw(texts), code) for code in draw(st.sets(languages, max_size=3))}
    descriptions = {code: term(draw(texts), code) for code in draw(st.sets(languages, max_size=2))}
    aliases = {
        code: [term(value, code) for value in draw(st.lists(texts, max_size=2))]
        for code in draw(st.sets(languages, max_size=2))
    }
    sites = draw(st.sets(st.sampled_from(["enwiki", "dewikisource", "nosuch", "zh_min_nanwiki", "commonswiki"])))
    sitelinks: dict[str, Any] = {}
    for site in sites:
        sitelinks |= sitelink(site, draw(st.sampled_from(["A b", "Ž/x?"])), *draw(_badges))
    return item(
        labels=labels or [],
        descriptions=descriptions,
        aliases=aliases or [],
        claims=claims or [],
        sitelinks=sitelinks or [],
        lastrevid=draw(st.integers(1, 3)),
        modified="2024-01-01T00:00:00Z",
    )


_badges = st.lists(st.sampled_from(["Q5", "Q6"]), unique=True)


@st.composite
def revisions(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two revisions of an item; the newer takes some parts from another one."""
    old, other = draw(items()), draw(items())
    new = dict(old)
    for key in ("labels", "descriptions", "aliases", "claims", "sitelinks"):
        members = dict(old[key] or {})
        for name in sorted({*members, *(other[key] or {})}):
            fate = draw(st.sampled_from(["keep", "keep", "take", "drop"]))
            if fate == "take" and name in (other[key] or {}):
                members[name] = other[key][name]
            elif fate == "drop":
                members.pop(name, None)
        new[key] = members
    return old, new


def _texts_of(draw: st.DrawFn) -> Any:
    drawn = {code: term(draw(texts), code) for code in draw(st.sets(languages, max_size=2))}
    return drawn or draw(st.sampled_from([{}, []]))


def _claims_of(draw: st.DrawFn) -> Any:
    names = draw(st.lists(st.sampled_from(["P1", "P3", "P7"]), unique=True, max_size=2))
    return {name: [draw(statements(name, 0))] for name in names} or draw(st.sampled_from([{}, []]))


@st.composite
def entities(draw: st.DrawFn) -> dict[str, Any]:
    """Sound entities of every type, and redirects."""
    kind = draw(st.sampled_from(["item", "item", "property", "lexeme", "mediainfo", "redirect"]))
    if kind == "item":
        return draw(items())
    if kind == "redirect":
        return redirect("Q1", "Q2")
    entity: dict[str, Any] = {"type": kind, "id": {"property": "P1", "lexeme": "L1", "mediainfo": "M1"}[kind]}
    entity["statements" if kind == "mediainfo" else "claims"] = _claims_of(draw)
    if kind == "lexeme":
        forms = [{"id": "L1-F1", "representations": _texts_of(draw), "grammaticalFeatures": ["Q1"]}]
        entity.update(lemmas=_texts_of(draw), language="Q1", lexicalCategory="Q2")
        entity["forms"] = [{**form, "claims": _claims_of(draw)} for form in forms]
        entity["senses"] = [{"id": "L1-S1", "glosses": _texts_of(draw), "claims": _claims_of(draw)}]
    else:
        entity["labels"] = _texts_of(draw)
    if kind == "property":
        entity["datatype"] = draw(st.sampled_from(["quantity", "external-id", "wikibase-item"]))
    return entity


odd_datavalues = st.one_of(
    st.sampled_from([None, "x", 5, [], {}, {"type": "string"}, {"value": "x"}, {"type": [], "value": 1}]),
    st.builds(
        datavalue,
        st.sampled_from(["string", "time", "quantity", "globecoordinate", "monolingualtext", "wikibase-entityid", "x"]),
        st.sampled_from([None, "x", 5, [], {}, ["Q1"]]),
    ),
    st.builds(
        lambda value, name, odd: {**value, "value": {**value["value"], name: odd}},
        st.one_of(_times, _quantities, _coordinates, VALUES["monolingualtext"], VALUES["wikibase-item"]),
        st.sampled_from(
            [
                *("time", "timezone", "before", "after", "precision", "calendarmodel", "amount", "unit", "upperBound"),
                *("lowerBound", "latitude", "longitude", "globe", "text", "language", "id", "entity-type"),
            ]
        ),
        st.sampled_from(
            [None, "", "x", "0", "1.5", " 1", 0, -1, 400, 1.5, True, [], {}, "Q0", "q5", "other:Q5", "form"]
        ),
    ),
)
"""Odd datavalues; Wikibase can read some of them, and the others make their snak a broken one."""

PLACES = ("mainsnak", "qualifiers", "references")
"""Where a snak can stand."""


def item_with(where: str, value: Any) -> dict[str, Any]:
    """Return an item whose one statement has a value snak of P1 in this place, and otherwise only unknown values."""
    given = snak("P1", value)
    made = statement("Q1$1", given if where == "mainsnak" else unknown_value("P1"))
    if where == "qualifiers":
        made["qualifiers"] = by_property(given)
    if where == "references":
        made["references"] = [reference(given)]
    return item(claims=by_property(made))
