"""The rest of a full export: short descriptions of the entities that an entity refers to, and its redirects.

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

# What lexemes and their parts are, where their terms are, and the predicate of those.
_LEXICAL: Final = {
    "lexeme": (f"<{ONTOLEX}LexicalEntry>", "lemmas", f"<{WIKIBASE}lemma>"),
    "form": (f"<{ONTOLEX}Form>", "representations", f"<{ONTOLEX}representation>"),
    "sense": (f"<{ONTOLEX}LexicalSense>", "glosses", f"<{SKOS}definition>"),
}


def mentioned(entity: Mapping[str, Any]) -> list[str]:
    """
    Return the ids of the entities that *entity*, sound as map_entity has it, refers to, each once.

    Properties that it uses count, entities that are values, and the language, category and features of lexemes;
    the entity itself and its parts do not, nor do units, globes and badges.
    """
    found: dict[str, None] = {}
    for part in parts_of(entity):
        for statement in statements(part):
            for snak in snaks(statement):
                found[normalize_mention(snak["property"])] = None
                if snak["snaktype"] == "value":
                    found.update(dict.fromkeys(_value_ids(snak)))
    if entity["type"] == "lexeme":
        found[normalize_mention(entity["language"])] = None
        found[normalize_mention(entity["lexicalCategory"])] = None
        for form in entity.get("forms") or ():
            found.update((normalize_mention(feature), None) for feature in form.get("grammaticalFeatures") or ())
    own = {normalize_mention(entity["id"])}
    own.update(normalize_mention(part["id"]) for key in ("forms", "senses") for part in entity.get(key) or ())
    return [entity_id for entity_id in found if entity_id not in own]


def _value_ids(snak: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the entity that is the value of a snak; nothing for another value, and for a broken one."""
    try:
        datavalue = snak["datavalue"]
        return (value_id(datavalue["value"]),) if datavalue["type"] == "wikibase-entityid" else ()
    except BROKEN:
        return ()


def stub_lines(entity_id: str, description: Mapping[str, Any], context: MappingContext) -> list[str]:
    """Return what a full export says about another entity: type, terms, and for a property its predicates."""
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
    target = context.vocabulary.entity_iri(normalize_mention(entity["id"]))
    for source in redirects:
        lines[f"<{context.vocabulary.entity_iri(normalize_mention(source))}> <{OWL}sameAs> <{target}> ."] = None
    return list(lines)
