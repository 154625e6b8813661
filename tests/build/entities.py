"""Generated entity JSON: items with every kind of value, small enough that two of them share parts."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

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

METRE = "http://www.wikidata.org/entity/Q11573"
KILOMETRE = "http://www.wikidata.org/entity/Q828224"

texts = st.sampled_from(["a", "b", 'quote " and \\', "line\nbreak", "žluť 木", "tab\t\x01", "\u200f", ""]) | st.text(
    max_size=6
)
languages = st.sampled_from(["en", "de", "zh-hant", "be-x-old", "mul", "simple"])


def datavalue(kind: str, value: Any) -> dict[str, Any]:
    return {"type": kind, "value": value}


def _time(stamp: str, precision: int, calendar: str) -> dict[str, Any]:
    value = {"time": stamp, "timezone": 0, "before": 0, "after": 0, "precision": precision}
    return datavalue("time", {**value, "calendarmodel": f"http://www.wikidata.org/entity/{calendar}"})


_times = st.builds(
    _time,
    st.sampled_from(
        ["+2013-00-00T00:00:00Z", "+00000002013-01-02T00:00:00Z", "-0044-03-15T00:00:00Z", "+0000-01-01T00:00:00Z"]
    ),
    st.sampled_from([7, 9, 10, 11]),
    st.sampled_from(["Q1985727", "Q1985786"]),
)
_quantities = st.builds(
    lambda amount, unit, bounds: datavalue(
        "quantity",
        {"amount": f"+{amount}", "unit": unit} | ({"upperBound": "+9", "lowerBound": "+0"} if bounds else {}),
    ),
    st.sampled_from(["0", "1.50", "7"]),
    st.sampled_from(["1", METRE, KILOMETRE]),
    st.booleans(),
)
_coordinates = st.builds(
    lambda latitude, longitude, precision: datavalue(
        "globecoordinate",
        {"latitude": latitude, "longitude": longitude, "precision": precision, "globe": None, "altitude": None},
    ),
    st.sampled_from([0, 1.5, -89.999999999999]),
    st.sampled_from([12, 1e-05]),
    st.sampled_from([None, 0.1, 1 / 3600]),
)
_strings = texts.map(lambda text: datavalue("string", text))
VALUES = {
    "wikibase-item": st.integers(1, 3).map(
        lambda n: datavalue("wikibase-entityid", {"entity-type": "item", "numeric-id": n, "id": f"Q{n}"})
    ),
    "time": _times,
    "quantity": _quantities,
    "globe-coordinate": _coordinates,
    "monolingualtext": st.builds(
        lambda text, language: datavalue("monolingualtext", {"text": text, "language": language}), texts, languages
    ),
    "url": st.sampled_from(["http://a.test/", "https://b.test/x?y=[z]#ž", " urn:c:1\n", "no scheme"]).map(
        lambda text: datavalue("string", text)
    ),
}


@st.composite
def snaks(draw: st.DrawFn, property_id: str | None = None) -> dict[str, Any]:
    name = property_id or draw(st.sampled_from(sorted(DATATYPES)))
    kind = draw(st.sampled_from(["value", "value", "value", "somevalue", "novalue"]))
    snak: dict[str, Any] = {"snaktype": kind, "property": name, "datatype": DATATYPES[name]}
    if kind == "value":
        snak["datavalue"] = draw(VALUES.get(DATATYPES[name], _strings))
    return snak


def _grouped(found: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]] | list[Any]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for snak in found:
        groups.setdefault(snak["property"], []).append(snak)
    # PHP writes an empty map as [].
    return groups or []


references = st.lists(snaks(), min_size=1, max_size=2).map(lambda found: {"snaks": _grouped(found)})


@st.composite
def statements(draw: st.DrawFn, property_id: str, number: int) -> dict[str, Any]:
    return {
        "id": f"Q1$0000-{property_id}-{number}",
        "type": "statement",
        "rank": draw(st.sampled_from(["normal", "normal", "preferred", "deprecated"])),
        "mainsnak": draw(snaks(property_id)),
        "qualifiers": _grouped(draw(st.lists(snaks(), max_size=2))),
        "references": draw(st.lists(references, max_size=2)),
    }


@st.composite
def items(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(sorted(DATATYPES)), unique=True, max_size=4))
    claims = {name: [draw(statements(name, n)) for n in range(draw(st.integers(1, 2)))] for name in names}
    labels = {code: {"language": code, "value": draw(texts)} for code in draw(st.sets(languages, max_size=3))}
    descriptions = {code: {"language": code, "value": draw(texts)} for code in draw(st.sets(languages, max_size=2))}
    aliases = {
        code: [{"language": code, "value": text} for text in draw(st.lists(texts, max_size=2))]
        for code in draw(st.sets(languages, max_size=2))
    }
    sites = draw(st.sets(st.sampled_from(["enwiki", "dewikisource", "nosuch", "zh_min_nanwiki", "commonswiki"])))
    sitelinks = {
        site: {"site": site, "title": draw(st.sampled_from(["A b", "Ž/x?"])), "badges": draw(_badges)} for site in sites
    }
    return {
        "type": "item",
        "id": "Q1",
        "labels": labels or [],
        "descriptions": descriptions,
        "aliases": aliases or [],
        "claims": claims or [],
        "sitelinks": sitelinks or [],
        "lastrevid": draw(st.integers(1, 3)),
        "modified": "2024-01-01T00:00:00Z",
    }


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
    found = {code: {"language": code, "value": draw(texts)} for code in draw(st.sets(languages, max_size=2))}
    return found or draw(st.sampled_from([{}, []]))


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
        return {"entity": "Q1", "redirect": "Q2"}
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
    snak = {"snaktype": "value", "property": "P1", "datavalue": value}
    unknown = {"snaktype": "somevalue", "property": "P1"}
    statement: dict[str, Any] = {"id": "Q1$1", "rank": "normal", "mainsnak": snak if where == "mainsnak" else unknown}
    if where == "qualifiers":
        statement["qualifiers"] = {"P1": [snak]}
    if where == "references":
        statement["references"] = [{"snaks": {"P1": [snak]}}]
    return {"type": "item", "id": "Q1", "claims": {"P1": [statement]}}
