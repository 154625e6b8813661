"""Entities of three sizes and one edit of each kind, each with the exact change of their RDF.

The entities come from a folder of real input (WBD_CORPUS), which is no part of wbd, or are generated at the same size.
An edit is what a person does in one save: a label, a statement, a qualifier, one of them without a known value, a
reference, a rank, a sitelink.
"""

from __future__ import annotations

import copy
import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from wbd.demo.entities import DATATYPES, EntityGenerator
from wbd.entity.check import check_entity, snapshot_bytes
from wbd.mapping.context import MappingContext
from wbd.mapping.entity import map_entity
from wbd.mapping.stubs import map_with_stubs
from wbd.rdf.turtle import to_turtle

Json = dict[str, Any]

SEED = 1
# Datatypes, the best ones first, and a value that no statement has.
_NEW_VALUES: tuple[tuple[tuple[str, ...], Any], ...] = (
    (("string", "external-id"), "wbd 4711"),
    (("wikibase-item",), {"entity-type": "item", "numeric-id": 4711, "id": "Q4711"}),
)

# Average number of statements of a property, as in Q42.
_STATEMENTS_A_PROPERTY = 1.5


@dataclass(frozen=True)
class Size:
    """
    An entity to edit.

    real: where it lies in WBD_CORPUS; None for one that is always generated.
    snapshot_bytes: how large it is when it is generated, as the real one.
    """

    key: str
    label: str
    real: str | None
    snapshot_bytes: int


SIZES = (
    Size("large", "Q42", "wikidata/json/Q42.json", 301_600),
    # A file of 29 KB as Special:EntityData sends it; half of that as a snapshot, which escapes no letters.
    Size("middle", "Q17633526", "wikidata/json/Q17633526.json", 14_000),
    Size("dense", "29 KB", None, 29_000),
    Size("small", "3 KB", None, 3_000),
)


@dataclass(frozen=True)
class Case:
    """One edit of one entity: the snapshots of both revisions."""

    size: str
    edit: str
    entity_id: str
    old: Json
    new: Json
    context: MappingContext

    @cached_property
    def snapshots(self) -> tuple[bytes, bytes]:
        """The JSON as the store has it."""
        return stored(self.old), stored(self.new)

    @cached_property
    def lines(self) -> tuple[set[str], set[str]]:
        """The RDF of both revisions, from the mapping alone."""
        return set(map_entity(self.old, self.context)), set(map_entity(self.new, self.context))

    @cached_property
    def exact(self) -> tuple[set[str], set[str]]:
        """The lines added and removed, by sets: Wikibase's own labels of blank nodes do not change."""
        old, new = self.lines
        return new - old, old - new

    @cached_property
    def exports(self) -> tuple[bytes, bytes]:
        """Both revisions in Turtle as Wikibase exports them, with the definitions of the properties that they use."""
        old, new = (to_turtle(lines, self.context.vocabulary).encode() for lines in self._exported)
        return old, new

    @cached_property
    def exports_nt(self) -> tuple[bytes, bytes]:
        """The same in N-Triples."""
        old, new = ("".join(f"{line}\n" for line in lines).encode() for lines in self._exported)
        return old, new

    @cached_property
    def _exported(self) -> tuple[list[str], list[str]]:
        old, new = (map_with_stubs(side, self.context, _describe) for side in (self.old, self.new))
        assert (set(new) - set(old), set(old) - set(new)) == self.exact, f"{self.size}, {self.edit}: exports differ"
        return old, new


def _describe(entity_id: str) -> Json | None:
    # An export describes a property by its predicates, and an item by terms, which change when that item does.
    return {} if entity_id.startswith("P") else None


def stored(entity: Json) -> bytes:
    """Return an entity's snapshot."""
    return snapshot_bytes(check_entity(entity), entity["lastrevid"], entity["modified"])


def load(size: Size, corpus: Path | None) -> tuple[Json, str]:
    """Return an entity and where it is from: "corpus" or "generated"."""
    if corpus is not None and size.real is not None and (corpus / size.real).is_file():
        entities: Json = orjson.loads((corpus / size.real).read_bytes())["entities"]
        (entity,) = entities.values()
        return entity, "corpus"
    return generated_of(size.snapshot_bytes), "generated"


def cases(size: Size, corpus: Path | None, context: MappingContext) -> tuple[list[Case], str]:
    """Return one case for each kind of edit, and where the entity is from."""
    entity, source = load(size, corpus)
    made = [Case(size.key, name, entity["id"], entity, edited(entity, name), context) for name in EDITS]
    for case in made:
        assert all(case.exact), f"{size.key}, {case.edit}: nothing changed"
    return made, source


def statements(entity: Json) -> list[Json]:
    return [statement for group in entity["claims"].values() for statement in group]


def edited(entity: Json, edit: str) -> Json:
    """Return the next revision, with one edit."""
    new = copy.deepcopy(entity)
    EDITS[edit](new)
    new["lastrevid"] = entity["lastrevid"] + 1
    new["modified"] = "2026-07-01T12:00:00Z"
    return new


def _new_snak(entity: Json) -> Json:
    """Return a new snak of a property that the entity uses, so that an export defines no property anew."""
    mains = [statement["mainsnak"] for statement in statements(entity)]
    for datatypes, value in _NEW_VALUES:
        for snak in mains:
            if snak.get("datatype") in datatypes and snak["snaktype"] == "value":
                made = {**snak, "datavalue": {"value": value, "type": snak["datavalue"]["type"]}}
                return {**made, "hash": _digest(made)}
    raise AssertionError(f"{entity['id']} has no statement whose property could be used again")


def _middle(entity: Json) -> Json:
    choices = statements(entity)
    return choices[len(choices) // 2]


def _label(entity: Json) -> None:
    language = "en" if "en" in entity["labels"] else next(iter(entity["labels"]))
    entity["labels"][language]["value"] += " (edited)"


def _statement(entity: Json) -> None:
    snak = _new_snak(entity)
    guid = f"{entity['id']}${uuid.UUID(int=SEED)}"
    statement = {"mainsnak": snak, "type": "statement", "id": guid, "rank": "normal"}
    entity["claims"][snak["property"]].append(statement)


def _qualifier(entity: Json) -> None:
    statement, snak = _middle(entity), _new_snak(entity)
    statement.setdefault("qualifiers", {}).setdefault(snak["property"], []).append(snak)
    statement["qualifiers-order"] = list(statement["qualifiers"])


def _unknown(entity: Json) -> None:
    statement = _middle(entity)
    property_id = _new_snak(entity)["property"]
    snak = {"snaktype": "somevalue", "property": property_id, "hash": _digest(property_id)}
    statement.setdefault("qualifiers", {}).setdefault(property_id, []).append(snak)
    statement["qualifiers-order"] = list(statement["qualifiers"])


def _reference(entity: Json) -> None:
    snak = _new_snak(entity)
    snaks = {snak["property"]: [snak]}
    reference = {"hash": _digest(snaks), "snaks": snaks, "snaks-order": list(snaks)}
    _middle(entity).setdefault("references", []).append(reference)


def _rank(entity: Json) -> None:
    statement = _middle(entity)
    statement["rank"] = "normal" if statement["rank"] == "preferred" else "preferred"


def _sitelink(entity: Json) -> None:
    links = entity["sitelinks"]
    site = "enwiki" if "enwiki" in links else next(iter(links), "enwiki")
    title = links[site]["title"] if site in links else "Page"
    links[site] = {"site": site, "title": f"{title} (edited)", "badges": []}


EDITS: dict[str, Callable[[Json], None]] = {
    "label": _label,
    "statement": _statement,
    "qualifier": _qualifier,
    # Brings a blank node, the only one here that does.
    "unknown value": _unknown,
    "reference": _reference,
    "rank": _rank,
    "sitelink": _sitelink,
}


def _digest(value: Any) -> str:
    """Return a stand-in for Wikibase's hash: equal for equal values."""
    return hashlib.sha1(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), usedforsecurity=False).hexdigest()


def generated(count: int, seed: int = SEED) -> Json:
    """Return an item of *count* statements, spread over as many properties as a real item has."""
    # An item of the demonstration has six statements or so, and comes after its properties.
    entities = list(EntityGenerator(len(DATATYPES) + count // 3 + 20, 0, seed).revisions())
    items = [entity for entity in entities if entity["type"] == "item"]
    entity = {**items[0], "id": "Q4200042", "claims": {}, "labels": {}, "sitelinks": {}}
    spread = max(1, round(count / _STATEMENTS_A_PROPERTY / len(DATATYPES)))
    for number, statement in enumerate([one for item in items for one in statements(item)][:count]):
        snak = statement["mainsnak"]
        # Properties of the same datatype; a snak says its datatype itself.
        snak["property"] = f"P{int(snak['property'][1:]) + len(DATATYPES) * (number % spread)}"
        statement["id"] = f"{entity['id']}${statement['id'].partition('$')[2]}"
        _add_hashes(statement)
        entity["claims"].setdefault(snak["property"], []).append(statement)
    for item in items:
        entity["labels"].update(item["labels"])
        entity["sitelinks"].update(item["sitelinks"])
    return entity


def _add_hashes(statement: Json) -> None:
    """Add the hashes that today's revisions have; only revisions of about 2014 need them computed."""
    snaks = [statement["mainsnak"], *(snak for group in statement.get("qualifiers", {}).values() for snak in group)]
    for reference in statement.get("references", ()):
        snaks += (snak for group in reference["snaks"].values() for snak in group)
        reference["hash"] = _digest(reference["snaks"])
    for snak in snaks:
        snak["hash"] = hashlib.md5(orjson.dumps(snak), usedforsecurity=False).hexdigest()


def generated_of(size_bytes: int) -> Json:
    """Return an item whose snapshot has about *size_bytes* bytes."""
    few, many = len(stored(generated(20))), len(stored(generated(220)))
    a_statement = (many - few) / 200
    return generated(max(2, 20 + round((size_bytes - few) / a_statement)))
