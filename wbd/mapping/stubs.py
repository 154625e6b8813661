"""Add stubs to a full export: short descriptions of the entities that an entity refers to, and its redirects.

The diff stream leaves these out: they belong to other entities and change when those do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from wbd.entity.ids import mentioned_type, normalize_mention, value_id
from wbd.entity.walk import parts_of, snaks, statements
from wbd.mapping import definitions
from wbd.mapping.context import MappingContext
from wbd.mapping.entity import EntityMapper, map_entity
from wbd.mapping.values import BROKEN
from wbd.rdf.prefixes import ONTOLEX, OWL, RDF, SKOS, WIKIBASE

Describe = Callable[[str], Mapping[str, Any] | None]
"""Entity id -> its JSON with the terms to show (labels, descriptions, lemmas ...), or None if there is none."""

_A: Final = f"<{RDF}type>"

# The RDF type of lexemes and their parts, the member that holds their terms, and the predicate of these terms.
_LEXICAL: Final = {
    "lexeme": (f"<{ONTOLEX}LexicalEntry>", "lemmas", f"<{WIKIBASE}lemma>"),
    "form": (f"<{ONTOLEX}Form>", "representations", f"<{ONTOLEX}representation>"),
    "sense": (f"<{ONTOLEX}LexicalSense>", "glosses", f"<{SKOS}definition>"),
}


def mentioned(entity: Mapping[str, Any]) -> list[str]:
    """
    Return the ids of the entities that *entity* refers to, each once.

    These are the properties that it uses, entities that are values, and the language, category and features of
    lexemes. The entity itself, its parts, units, globes and badges are left out.
    """
    mentions: dict[str, None] = {}
    for part in parts_of(entity):
        for statement in statements(part):
            for snak in snaks(statement):
                mentions[normalize_mention(snak["property"])] = None
                if snak["snaktype"] == "value":
                    mentions.update(dict.fromkeys(_value_ids(snak)))
    if entity["type"] == "lexeme":
        mentions[normalize_mention(entity["language"])] = None
        mentions[normalize_mention(entity["lexicalCategory"])] = None
        for form in entity.get("forms") or ():
            mentions.update((normalize_mention(feature), None) for feature in form.get("grammaticalFeatures") or ())
    own = {normalize_mention(entity["id"])}
    own.update(normalize_mention(part["id"]) for key in ("forms", "senses") for part in entity.get(key) or ())
    return [entity_id for entity_id in mentions if entity_id not in own]


def _value_ids(snak: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the entity that is the value of a snak; nothing for other values and broken ones."""
    try:
        datavalue = snak["datavalue"]
        return (value_id(datavalue["value"]),) if datavalue["type"] == "wikibase-entityid" else ()
    except BROKEN:
        return ()


def stub_lines(entity_id: str, description: Mapping[str, Any], context: MappingContext) -> list[str]:
    """Return the lines of a stub: the type and terms of another entity, and the predicates of a property."""
    kind = mentioned_type(entity_id)
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
    Map an entity to everything that Special:EntityData exports of it.

    Args:
        describe: returns the terms of an entity that this one refers to; for None there is no stub.
        redirects: ids that redirect to the entity.

    Raises:
        BadEntity: as map_entity.
    """
    lines = dict.fromkeys(map_entity(entity, context))
    for entity_id in mentioned(entity):
        description = describe(entity_id)
        if description is not None:
            lines.update(dict.fromkeys(stub_lines(entity_id, description, context)))
    target = context.vocabulary.entity_iri(normalize_mention(entity["id"]))
    for source in redirects:
        lines[f"<{context.vocabulary.entity_iri(normalize_mention(source))}> <{OWL}sameAs> <{target}> ."] = None
    return list(lines)
