"""
Plain builders of Wikibase's entity JSON. Each returns new objects, which a test may change.

Further members of any part are given by keyword: item("Q2", lastrevid=7), snak("P1", text("x"), datatype="string").
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

GREGORIAN = "http://www.wikidata.org/entity/Q1985727"
METRE = "http://www.wikidata.org/entity/Q11573"
KILOMETRE = "http://www.wikidata.org/entity/Q828224"


def item(entity_id: str = "Q1", **parts: Any) -> Json:
    """Return an item of these parts only."""
    return {"type": "item", "id": entity_id, **parts}


def labelled_item(number: int, label: str = "one", **parts: Any) -> Json:
    """Return the item Q*number* with an English label."""
    return item(f"Q{number}", labels=terms(en=label), **parts)


def prop(entity_id: str = "P1", datatype: str = "string", **parts: Any) -> Json:
    """Return a property of a datatype."""
    return {"type": "property", "id": entity_id, "datatype": datatype, **parts}


def lexeme(entity_id: str = "L1", **parts: Any) -> Json:
    """Return an English noun without lemmas, forms or senses, unless *parts* hold them."""
    return {"type": "lexeme", "id": entity_id, "lemmas": {}, "language": "Q1860", "lexicalCategory": "Q1084", **parts}


def redirect(entity_id: str, target: str) -> Json:
    """Return a redirect in the form of Wikidata's pages."""
    return {"entity": entity_id, "redirect": target}


def term(value: Any, language: str = "en") -> Json:
    """Return a label, description, alias, lemma, representation or gloss."""
    return {"language": language, "value": value}


def terms(**values: Any) -> Json:
    """Return one term for each language: terms(en="one", de="eins")."""
    return {language: term(value, language) for language, value in values.items()}


def sitelink(site: str, title: str, *badges: str, **parts: Any) -> Json:
    """Return a map with one sitelink, under the name of its site."""
    return {site: {"site": site, "title": title, "badges": list(badges), **parts}}


def statement(statement_id: str, main_snak: Json, **parts: Any) -> Json:
    """Return a statement of normal rank without qualifiers and references, unless *parts* say otherwise."""
    return {"id": statement_id, "type": "statement", "rank": "normal", "mainsnak": main_snak, **parts}


def snak(property_id: str, datavalue: Any, **parts: Any) -> Json:
    """Return a value snak."""
    return {"snaktype": "value", "property": property_id, "datavalue": datavalue, **parts}


def unknown_value(property_id: str, **parts: Any) -> Json:
    """Return a snak which says that there is a value, and not which."""
    return {"snaktype": "somevalue", "property": property_id, **parts}


def no_value(property_id: str, **parts: Any) -> Json:
    """Return a snak which says that there is no value."""
    return {"snaktype": "novalue", "property": property_id, **parts}


def by_property(*members: Json) -> dict[str, list[Json]]:
    """Group statements or snaks by their properties, as claims, qualifiers and a reference's snaks are."""
    groups: dict[str, list[Json]] = {}
    for member in members:
        groups.setdefault(member.get("mainsnak", member)["property"], []).append(member)
    return groups


def reference(*snaks: Json, **parts: Any) -> Json:
    """Return a reference, without a hash unless *parts* hold one."""
    return {**parts, "snaks": by_property(*snaks)}


def datavalue(kind: str, value: Any) -> Json:
    """Return a data value of any type and content, malformed ones included."""
    return {"type": kind, "value": value}


def text(value: Any) -> Json:
    """Return a string."""
    return datavalue("string", value)


def monolingual(value: str, language: str = "en") -> Json:
    """Return a text in a language."""
    return datavalue("monolingualtext", {"text": value, "language": language})


def time(stamp: str, precision: int = 11, calendar: str = GREGORIAN) -> Json:
    """Return a time in UTC; precision 11 is a day, 9 a year."""
    value = {"time": stamp, "timezone": 0, "before": 0, "after": 0, "precision": precision, "calendarmodel": calendar}
    return datavalue("time", value)


def quantity(amount: Any = "+1", unit: Any = "1", **bounds: Any) -> Json:
    """Return an amount; the unit "1" stands for none."""
    return datavalue("quantity", {"amount": amount, "unit": unit, **bounds})


def coordinate(latitude: float, longitude: float, precision: float | None = 0.1, **parts: Any) -> Json:
    """Return a position in degrees, on the Earth unless *parts* name another globe."""
    value = {"latitude": latitude, "longitude": longitude, "precision": precision, "globe": None, **parts}
    return datavalue("globecoordinate", value)


def entity_value(entity_id: str, entity_type: str = "item", number: int | None = None) -> Json:
    """Return a value that names an entity by its id, and by its number if there is one."""
    numeric = {} if number is None else {"numeric-id": number}
    return datavalue("wikibase-entityid", {"entity-type": entity_type, **numeric, "id": entity_id})
