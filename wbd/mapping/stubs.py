"""The rest of a full export: short descriptions of the entities that an entity refers to, and its redirects.

The diff stream leaves these out: they belong to other entities and change when those do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from wbd.entity.walk import claims_of
from wbd.mapping import definitions
from wbd.mapping.context import MappingContext
from wbd.mapping.entity import EntityMapper, map_entity
from wbd.mapping.values import check_id, entity_id_of
from wbd.rdf.prefixes import ONTOLEX, OWL, RDF, SKOS, WIKIBASE

Describe = Callable[[str], Mapping[str, Any] | None]
"""Entity id -> its JSON with the terms to show (labels, descriptions, lemmas ...), or None if there is none."""

_A: Final = f"<{RDF}type>"

# Entity type by the letter of a whole entity, or of a part of a lexeme.
_TYPES: Final = {"Q": "item", "P": "property", "L": "lexeme", "F": "form", "S": "sense", "M": "mediainfo"}

# What lexemes and their parts are, where their terms are, and the predicate of those.
_LEXICAL: Final = {
    "lexeme": (f"<{ONTOLEX}LexicalEntry>", "lemmas", f"<{WIKIBASE}lemma>"),
    "form": (f"<{ONTOLEX}Form>", "representations", f"<{ONTOLEX}representation>"),
    "sense": (f"<{ONTOLEX}LexicalSense>", "glosses", f"<{SKOS}definition>"),
}


def entity_type(entity_id: str) -> str | None:
    """Return the type of an entity by its id, or None for a letter that Wikibase does not give out."""
    part = entity_id.rpartition(":")[2].rpartition("-")[2]
    return _TYPES.get(part[:1])


def _snaks(entity: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for part in (entity, *(entity.get("forms") or ()), *(entity.get("senses") or ())):
        for group in claims_of(part).values():
            for statement in group:
                yield statement["mainsnak"]
                for snaks in (statement.get("qualifiers") or {}).values():
                    yield from snaks
                for reference in statement.get("references") or ():
                    for snaks in (reference["snaks"] or {}).values():
                        yield from snaks


def mentioned(entity: Mapping[str, Any]) -> list[str]:
    """
    Return the ids of the entities that *entity*, sound as map_entity has it, refers to, each once.

    Properties that it uses count, entities that are values, and the language, category and features of lexemes;
    the entity itself and its parts do not, nor do units, globes and badges.
    """
    found: dict[str, None] = {}
    for snak in _snaks(entity):
        found[check_id(snak["property"])] = None
        datavalue = snak.get("datavalue") or {}
        if snak["snaktype"] == "value" and datavalue["type"] == "wikibase-entityid":
            found[entity_id_of(datavalue["value"])] = None
    if entity["type"] == "lexeme":
        found[check_id(entity["language"])] = None
        found[check_id(entity["lexicalCategory"])] = None
        for form in entity.get("forms") or ():
            found.update((check_id(feature), None) for feature in form.get("grammaticalFeatures") or ())
    own = {check_id(entity["id"])}
    own.update(check_id(part["id"]) for key in ("forms", "senses") for part in entity.get(key) or ())
    return [entity_id for entity_id in found if entity_id not in own]


def stub_lines(entity_id: str, description: Mapping[str, Any], context: MappingContext) -> list[str]:
    """Return what a full export says about another entity: type, terms, and for a property its predicates."""
    kind = entity_type(entity_id)
    if kind is None:
        return []
    shown = {**description, "id": entity_id, "type": kind, "aliases": None}
    if kind == "property":
        shown["datatype"] = context.datatypes.get(entity_id) or description.get("datatype") or "string"
        shown["datatype"] = definitions.spelled(shown["datatype"])
    mapper = EntityMapper(shown, context)
    mapper.definition()
    if kind in _LEXICAL:
        node_type, key, predicate = _LEXICAL[kind]
        mapper.lines.append(f"{mapper.subject} {_A} {node_type} .")
        mapper.texts(description.get(key), mapper.subject, predicate)
    else:
        mapper.terms()
    return mapper.lines


def map_with_stubs(
    entity: Mapping[str, Any], context: MappingContext, describe: Describe, redirects: Iterable[str] = ()
) -> list[str]:
    """
    Map an entity to all that Special:EntityData exports of it.

    Args:
        describe: terms of the entities that it refers to; those that it knows nothing of are left out.
        redirects: ids that redirect to the entity.

    Raises:
        BadEntity: as map_entity.
    """
    lines = dict.fromkeys(map_entity(entity, context))
    for entity_id in mentioned(entity):
        description = describe(entity_id)
        if description is not None:
            lines.update(dict.fromkeys(stub_lines(entity_id, description, context)))
    target = context.vocabulary.entity_iri(check_id(entity["id"]))
    for source in redirects:
        lines[f"<{context.vocabulary.entity_iri(check_id(source))}> <{OWL}sameAs> <{target}> ."] = None
    return list(lines)
