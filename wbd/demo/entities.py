"""Generate entities that look like Wikidata's, and edits to them; a seed always gives the same ones.

There are items with terms in several languages, sitelinks with badges, and statements of every main datatype with
ranks, qualifiers and references; the properties that they use; and lexemes with forms and senses.
"""

from __future__ import annotations

import copy
import random
import uuid
from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]

LANGUAGES = ("en", "de", "fr", "es", "ru", "ja", "zh-hans", "ar", "pt-br", "uk", "nl", "sv", "sr-ec", "el")
_SITES = ("enwiki", "dewiki", "frwiki", "eswiki", "ruwiki", "jawiki", "commonswiki", "enwikisource", "frwikiquote")
_FIRST = [
    "amber",
    "birch",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "haven",
    "isle",
    "jade",
    "knoll",
    "lagoon",
    "maple",
    "north",
    "onyx",
    "prairie",
]
_LAST = [
    "archive",
    "basin",
    "bridge",
    "canal",
    "castle",
    "chapel",
    "comet",
    "forest",
    "harbour",
    "library",
    "mill",
    "museum",
    "river",
    "tower",
]
_NATIVE = {
    "ru": "озеро",
    "ja": "図書館",
    "zh-hans": "博物馆",
    "ar": "جسر",
    "uk": "вежа",
    "sr-ec": "река",
    "el": "κάστρο",
}
# Property id -> datatype. The properties are generated too.
DATATYPES = {
    "P1": "wikibase-item",
    "P2": "string",
    "P3": "time",
    "P4": "quantity",
    "P5": "globe-coordinate",
    "P6": "monolingualtext",
    "P7": "url",
    "P8": "external-id",
    "P9": "commonsMedia",
    "P10": "wikibase-property",
    "P11": "math",
    "P12": "wikibase-lexeme",
}
_TYPES_OF_VALUE = {
    "wikibase-item": "wikibase-entityid",
    "wikibase-property": "wikibase-entityid",
    "wikibase-lexeme": "wikibase-entityid",
    "time": "time",
    "quantity": "quantity",
    "globe-coordinate": "globecoordinate",
    "monolingualtext": "monolingualtext",
}


class EntityGenerator:
    """
    Makes *entities* entities and *edits* edits to them.

    Each revision is a complete entity with lastrevid and modified, as in a dump or from Special:EntityData.
    """

    def __init__(self, entities: int, edits: int, seed: int = 1) -> None:
        self._entities = entities
        self._edits = edits
        self._random = random.Random(seed)
        self._revision_id = 1000
        self._second = 0

    def revisions(self) -> Iterator[Json]:
        """Yield every revision: the creation of each entity, then the edits in their order."""
        alive = []
        for number in range(1, self._entities + 1):
            entity = self._create(number)
            alive.append(entity)
            yield self._stamped(entity)
        for _ in range(self._edits):
            position = self._random.randrange(len(alive))
            alive[position] = self._edited(alive[position])
            yield self._stamped(alive[position])

    def _create(self, number: int) -> Json:
        # The properties come first, then one lexeme for every nineteen items, like the edits on Wikidata.
        if number <= len(DATATYPES):
            return self._property(number)
        rest = number - len(DATATYPES)
        return self._lexeme(rest) if rest % 20 == 0 else self._item(rest)

    def _item(self, number: int) -> Json:
        r = self._random
        return {
            "type": "item",
            "id": f"Q{number}",
            "labels": self._terms(r.randint(1, len(LANGUAGES))),
            "descriptions": self._terms(r.randint(0, 6)),
            "aliases": {
                language: [self._term(language) for _ in range(r.randint(1, 3))]
                for language in r.sample(LANGUAGES, r.randint(0, 3))
            },
            "claims": self._claims(f"Q{number}", r.randint(1, 12)),
            "sitelinks": {site: self._sitelink(site) for site in r.sample(_SITES, r.randint(0, len(_SITES)))},
        }

    def _property(self, number: int) -> Json:
        return {
            "type": "property",
            "datatype": DATATYPES[f"P{number}"],
            "id": f"P{number}",
            "labels": self._terms(4),
            "descriptions": self._terms(2),
            "aliases": {},
            "claims": {},
        }

    def _lexeme(self, number: int) -> Json:
        entity_id = f"L{number}"
        lemma = self._random.choice(_FIRST)
        return {
            "type": "lexeme",
            "id": entity_id,
            "lemmas": {"en": {"language": "en", "value": lemma}},
            "lexicalCategory": "Q1",
            "language": "Q2",
            "claims": self._claims(entity_id, 2),
            "forms": [
                {
                    "id": f"{entity_id}-F{n}",
                    "representations": {"en": {"language": "en", "value": lemma + "s" * n}},
                    "grammaticalFeatures": ["Q3"],
                    "claims": {},
                }
                for n in (1, 2)
            ],
            "senses": [
                {
                    "id": f"{entity_id}-S1",
                    "glosses": {"en": {"language": "en", "value": f"kind of {self._random.choice(_LAST)}"}},
                    "claims": {},
                }
            ],
        }

    def _terms(self, count: int) -> Json:
        return {language: self._term(language) for language in self._random.sample(LANGUAGES, count)}

    def _term(self, language: str) -> Json:
        name = f"{self._random.choice(_FIRST)} {self._random.choice(_LAST)} {self._random.randrange(1000)}"
        return {"language": language, "value": f"{_NATIVE[language]} {name}" if language in _NATIVE else name}

    def _sitelink(self, site: str) -> Json:
        badges = ["Q17437796"] if self._random.random() < 0.1 else []
        return {"site": site, "title": self._term("en")["value"].capitalize(), "badges": badges}

    def _claims(self, entity_id: str, count: int) -> Json:
        claims: Json = {}
        for _ in range(count):
            statement = self._statement(entity_id)
            claims.setdefault(statement["mainsnak"]["property"], []).append(statement)
        return claims

    def _statement(self, entity_id: str) -> Json:
        r = self._random
        statement: Json = {
            "mainsnak": self._snak(),
            "type": "statement",
            "id": f"{entity_id}${str(uuid.UUID(int=r.getrandbits(128), version=4)).upper()}",
            "rank": r.choices(("normal", "preferred", "deprecated"), (90, 7, 3))[0],
        }
        if r.random() < 0.4:
            self._add_qualifier(statement)
        if r.random() < 0.6:
            snak = self._snak()
            statement["references"] = [{"snaks": {snak["property"]: [snak]}, "snaks-order": [snak["property"]]}]
        return statement

    def _add_qualifier(self, statement: Json) -> None:
        snak = self._snak()
        qualifiers = statement.setdefault("qualifiers", {})
        qualifiers.setdefault(snak["property"], []).append(snak)
        statement["qualifiers-order"] = list(qualifiers)

    def _snak(self) -> Json:
        r = self._random
        property_id, datatype = r.choice(list(DATATYPES.items()))
        snak: Json = {"snaktype": "value", "property": property_id, "datatype": datatype}
        kind = r.random()
        if kind < 0.04:
            return {**snak, "snaktype": "somevalue" if kind < 0.03 else "novalue"}
        value_type = _TYPES_OF_VALUE.get(datatype, "string")
        return {**snak, "datavalue": {"value": self._value(datatype), "type": value_type}}

    def _value(self, datatype: str) -> Any:
        r = self._random
        match datatype:
            case "wikibase-item" | "wikibase-property" | "wikibase-lexeme":
                kind = datatype.removeprefix("wikibase-")
                number = r.randint(1, len(DATATYPES) if kind == "property" else 500)
                return {"entity-type": kind, "numeric-id": number, "id": f"{kind[0].upper().replace('I', 'Q')}{number}"}
            case "time":
                precision = r.choice((7, 9, 9, 10, 11, 11))
                month, day = (r.randint(1, 12) if precision > 9 else 0), (r.randint(1, 28) if precision > 10 else 0)
                year = r.choice((r.randint(1500, 2025), -r.randint(1, 3000)))
                calendar = "Q1985727" if year > 1582 else "Q1985786"
                return {
                    "time": f"{'+' if year > 0 else '-'}{abs(year):04d}-{month:02d}-{day:02d}T00:00:00Z",
                    "timezone": 0,
                    "before": 0,
                    "after": 0,
                    "precision": precision,
                    "calendarmodel": f"http://www.wikidata.org/entity/{calendar}",
                }
            case "quantity":
                amount = r.randint(-1000, 100_000)
                value = {"amount": f"{amount:+d}", "unit": r.choice(("1", "http://www.wikidata.org/entity/Q11573"))}
                if r.random() < 0.3:
                    value |= {"upperBound": f"{amount + 1:+d}", "lowerBound": f"{amount - 1:+d}"}
                return value
            case "globe-coordinate":
                return {
                    "latitude": round(r.uniform(-90, 90), 4),
                    "longitude": round(r.uniform(-180, 180), 4),
                    "altitude": None,
                    "precision": 0.0001,
                    "globe": "http://www.wikidata.org/entity/Q2",
                }
            case "monolingualtext":
                term = self._term(r.choice(LANGUAGES))
                return {"text": term["value"], "language": term["language"]}
            case "url":
                return f"https://example.org/{r.choice(_FIRST)}/{r.randrange(10_000)}?q={r.choice(_LAST)}"
            case "commonsMedia":
                return f"{r.choice(_FIRST).capitalize()} {r.choice(_LAST)} {r.randrange(100)}.jpg"
            case "math":
                return f"x^{r.randint(2, 9)} + \\frac{{1}}{{{r.randint(2, 9)}}}"
            case _:
                return f'{r.choice(_FIRST)} "{r.randrange(10**6)}"'

    def _edited(self, entity: Json) -> Json:
        edited = copy.deepcopy(entity)
        if entity["type"] == "lexeme":
            edited["lemmas"]["en"]["value"] += f" {self._random.randrange(1000)}"
            return edited
        statements = [s for group in edited["claims"].values() for s in group]
        kinds: list[Callable[[], None]] = [
            lambda: edited["labels"].__setitem__("en", self._term("en")),
            lambda: edited["descriptions"].__setitem__("de", self._term("de")),
            lambda: edited["aliases"].setdefault("fr", []).append(self._term("fr")),
        ]
        if entity["type"] == "item":
            kinds += [
                lambda: self._add_statement(edited),
                lambda: edited["sitelinks"].__setitem__("dewiki", self._sitelink("dewiki")),
            ]
        if statements:
            statement = self._random.choice(statements)
            kinds += [
                lambda: self._add_qualifier(statement),
                lambda: statement.__setitem__("rank", "normal" if statement["rank"] == "preferred" else "preferred"),
                lambda: self._remove(edited, statement),
            ]
        self._random.choice(kinds)()
        return edited

    def _add_statement(self, entity: Json) -> None:
        statement = self._statement(entity["id"])
        entity["claims"].setdefault(statement["mainsnak"]["property"], []).append(statement)

    def _remove(self, entity: Json, statement: Json) -> None:
        property_id = statement["mainsnak"]["property"]
        entity["claims"][property_id].remove(statement)
        if not entity["claims"][property_id]:
            del entity["claims"][property_id]

    def _stamped(self, entity: Json) -> Json:
        self._revision_id += 1
        self._second += 7
        minute, second = divmod(self._second, 60)
        hour, minute = divmod(minute, 60)
        day, hour = divmod(hour, 24)
        month, day = divmod(day, 28)
        modified = f"2026-{month % 12 + 1:02d}-{day + 1:02d}T{hour:02d}:{minute:02d}:{second:02d}Z"
        return {**entity, "lastrevid": self._revision_id, "modified": modified}
