"""Map entity JSON to RDF: the Wikibase RDF Dump Format 1.0.0, one N-Triples line per triple.

Pure: the same JSON and context give the same lines, in the order document, entity, terms, sitelinks, statements.
Input is used unchecked. After a failure entity/check.py finds the fault, so that good input does not pay for the check.

Rules: https://www.mediawiki.org/wiki/Wikibase/Indexing/RDF_Dump_Format, and Wikibase's behaviour where that page is
silent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn

from wbd.entity.check import find_fault
from wbd.entity.ids import normalize_mention
from wbd.entity.walk import TRIMMED, claims_of
from wbd.errors import BadEntity
from wbd.mapping import definitions
from wbd.mapping.context import DUMP, FULL, TRUTHY, UPDATER, Flavour, MappingContext, SiteLookup
from wbd.mapping.statements import StatementMapper, best_rank
from wbd.mapping.vocabulary import FORMAT_VERSION
from wbd.rdf.prefixes import CC, DCT, ONTOLEX, OWL, RDF, RDFS, SCHEMA, SKOS, WIKIBASE, XSD
from wbd.rdf.terms import iri, language_suffix, literal, wiki_quote

__all__ = ["DUMP", "FULL", "TRUTHY", "UPDATER", "Flavour", "MappingContext", "SiteLookup", "map_entity"]

FAULTS: Final = (AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError)
"""Exceptions that a fault in the JSON raises in code that takes its shape for granted."""

_A: Final = f"<{RDF}type>"
_ABOUT: Final = f"<{SCHEMA}about>"
_NAME: Final = f"<{SCHEMA}name>"
_LABEL: Final = f"<{RDFS}label>"

TERM_PREDICATES: Final[dict[str, tuple[str, ...]]] = {
    "labels": (_LABEL, f"<{SKOS}prefLabel>", _NAME),
    "descriptions": (f"<{SCHEMA}description>",),
    "aliases": (f"<{SKOS}altLabel>",),
}
"""The predicates of labels, descriptions and aliases."""

_SERVICE_PREDICATES: Final = {**TERM_PREDICATES, "labels": (_LABEL,)}
_MEDIA_PREDICATES: Final = {**TERM_PREDICATES, "labels": (_LABEL, f"<{SCHEMA}caption>")}

_LEXICAL: Final = ("lexeme", "form", "sense")
"""Types with an OntoLex type that says the same, and with predicates of their own for terms."""


def term_texts(terms: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return terms as literals with their languages, without the empty ones, which Wikibase drops."""
    texts = [f"{literal(term['value'])}{language_suffix(term['language'])}" for term in terms]
    # Quotes in a text are escaped, so two in front are an empty text. A fault in an empty term is a fault, too.
    return [text for text in texts if not text.startswith('""')]


def alias_texts(groups: Iterable[Any]) -> list[str]:
    """Return the aliases of languages in the same form; Wikibase trims them, and no other terms."""
    texts = []
    for group in groups:
        for term in alias_group(group):
            suffix, text = language_suffix(term["language"]), literal(term["value"].strip(TRIMMED))
            if text != '""':
                texts.append(f"{text}{suffix}")
    return texts


def member_texts(key: str, members: Iterable[Any]) -> list[str]:
    """Return members of labels, descriptions or aliases as literals."""
    return alias_texts(members) if key == "aliases" else term_texts(members)


def alias_group(member: Any) -> Sequence[Mapping[str, Any]]:
    """Return a member of aliases. Raises TypeError for anything but a list, also if it is empty."""
    if type(member) is not list:
        raise TypeError("not a list")
    return member


class EntityMapper:
    """Collects the lines of one entity; its parts can be written one by one."""

    def __init__(self, entity: Mapping[str, Any], context: MappingContext) -> None:
        self.entity = entity
        self.kind: str = entity["type"]
        self.context = context
        self.flavour = context.flavour
        self.lines: list[str] = []
        self.elsewhere: Mapping[str, int] = {}
        """Counts of the parts that were left out of *entity*."""
        self.term_predicates = _SERVICE_PREDICATES if self.flavour.query_service else TERM_PREDICATES
        if self.kind == "mediainfo":
            self.term_predicates = _MEDIA_PREDICATES
        self.statement_mapper = StatementMapper(context, self.lines)
        self.entity_id = normalize_mention(entity["id"])
        namespaces, self.local = context.vocabulary.locate(self.entity_id)
        self.subject = f"<{namespaces.wd}{self.local}>"

    def _wd(self, entity_id: str) -> str:
        return f"<{self.context.vocabulary.entity_iri(normalize_mention(entity_id))}>"

    def document(self, revision: int | None, modified: str | None) -> None:
        """Write the document node; for a query service, write its facts about the entity instead."""
        if not self.flavour.query_service:
            node, append = self._document_node(), self.lines.append
            append(f"{node} {_A} <{SCHEMA}Dataset> .")
            append(f"{node} {_ABOUT} {self.subject} .")
            if self.flavour.version_info:
                append(f"{node} <{CC}license> {iri(self.context.vocabulary.license)} .")
                append(f'{node} <{SCHEMA}softwareVersion> "{FORMAT_VERSION}" .')
        self.document_facts(revision, modified)

    def document_facts(self, revision: int | None, modified: str | None) -> None:
        """Write the part of the document that two revisions of an entity can have differently."""
        node, append = self._document_node(), self.lines.append
        if revision is not None:
            append(f'{node} <{SCHEMA}version> "{int(revision)}"^^<{XSD}integer> .')
        if modified is not None:
            append(f"{node} <{SCHEMA}dateModified> {literal(modified)}^^<{XSD}dateTime> .")
        if self.flavour.counts:
            for name, number in self.counts():
                number += self.elsewhere.get(name, 0)
                append(f'{node} <{WIKIBASE}{name}> "{number}"^^<{XSD}integer> .')

    def _document_node(self) -> str:
        return self.subject if self.flavour.query_service else iri(f"{self.context.vocabulary.data_base}{self.local}")

    def counts(self) -> list[tuple[str, int]]:
        """Return the counts that Wikibase writes for this type of entity."""
        entity = self.entity
        claims = claims_of(entity)
        statements = sum(map(len, claims.values()))
        if self.kind == "item":
            return [
                ("statements", statements),
                ("sitelinks", len(entity.get("sitelinks") or ())),
                ("identifiers", self.statement_mapper.identifiers(claims)),
            ]
        if self.kind != "lexeme":
            return [("statements", statements)]
        for part in (*(entity.get("forms") or ()), *(entity.get("senses") or ())):
            statements += sum(map(len, claims_of(part).values()))
        return [("statements", statements)]

    def definition(self) -> None:
        """Write the types of the entity, and for a property its predicates."""
        skolem = self.flavour.query_service
        if not (skolem and (self.kind == "item" or self.kind in _LEXICAL)):
            type_name = f"{self.kind[0].upper()}{self.kind[1:]}"
            self.lines.append(f"{self.subject} {_A} {iri(WIKIBASE + type_name)} .")
        if self.kind == "mediainfo":
            self.lines.append(f"{self.subject} {_A} <{SCHEMA}MediaObject> .")
        if self.kind == "property":
            vocabulary, datatype = self.context.vocabulary, self.entity["datatype"]
            self.lines += definitions.property_lines(self.entity_id, datatype, vocabulary, skolem=skolem)

    def terms(self) -> None:
        """Write labels, descriptions and aliases."""
        append, subject = self.lines.append, self.subject
        for key, predicates in self.term_predicates.items():
            for text in member_texts(key, (self.entity.get(key) or {}).values()):
                for predicate in predicates:
                    append(f"{subject} {predicate} {text} .")

    def sitelinks(self) -> None:
        """Write the pages of an item on other wikis."""
        for link in (self.entity.get("sitelinks") or {}).values():
            self.sitelink(link)

    def sitelink(self, link: Mapping[str, Any]) -> None:
        """Write a page and the group of its wiki; nothing for an unknown site."""
        site = self.context.site_terms[link["site"]]
        if site is None:
            return
        append, title = self.lines.append, link["title"]
        page = iri(site.path.replace("$1", wiki_quote(title.replace(" ", "_"))))
        for line in site.lines:
            append(f"{page} {line}")
        append(f"{page} {_ABOUT} {self.subject} .")
        append(f"{page} {_NAME} {literal(title)}{site.suffix} .")
        for badge in link.get("badges") or ():
            append(f"{page} <{WIKIBASE}badge> {self._wd(badge)} .")
        append(site.group_line)

    def statements(self, holder: Mapping[str, Any], subject: str) -> None:
        """Write all statements of an entity, form or sense."""
        for group in claims_of(holder).values():
            self.statement_mapper.group(subject, group, best_rank(group))

    def lexeme(self) -> None:
        """Write the parts that only lexemes have: lemmas, language, category, forms and senses."""
        append, subject, entity = self.lines.append, self.subject, self.entity
        typed = not self.flavour.query_service
        append(f"{subject} {_A} <{ONTOLEX}LexicalEntry> .")
        self.texts(entity.get("lemmas"), subject, f"<{WIKIBASE}lemma>")
        append(f"{subject} <{DCT}language> {self._wd(entity['language'])} .")
        append(f"{subject} <{WIKIBASE}lexicalCategory> {self._wd(entity['lexicalCategory'])} .")
        for form in entity.get("forms") or ():
            node = self._wd(form["id"])
            append(f"{subject} <{ONTOLEX}lexicalForm> {node} .")
            if typed:
                append(f"{node} {_A} <{WIKIBASE}Form> .")
            append(f"{node} {_A} <{ONTOLEX}Form> .")
            self.texts(form.get("representations"), node, f"<{ONTOLEX}representation>")
            for feature in form.get("grammaticalFeatures") or ():
                append(f"{node} <{WIKIBASE}grammaticalFeature> {self._wd(feature)} .")
            self.statements(form, node)
        for sense in entity.get("senses") or ():
            node = self._wd(sense["id"])
            append(f"{subject} <{ONTOLEX}sense> {node} .")
            if typed:
                append(f"{node} {_A} <{WIKIBASE}Sense> .")
            append(f"{node} {_A} <{ONTOLEX}LexicalSense> .")
            self.texts(sense.get("glosses"), node, f"<{SKOS}definition>")
            self.statements(sense, node)

    def texts(self, terms: Mapping[str, Any] | None, subject: str, predicate: str) -> None:
        """Write terms under a predicate of their own, and also as labels unless it is for a query service."""
        labels = not self.flavour.query_service
        for text in term_texts((terms or {}).values()):
            if labels:
                self.lines.append(f"{subject} {_LABEL} {text} .")
            self.lines.append(f"{subject} {predicate} {text} .")

    def everything(self, revision: int | None, modified: str | None) -> None:
        """Write all parts."""
        self.document(revision, modified)
        self.definition()
        self.terms()
        if self.kind == "lexeme":
            self.lexeme()
        if self.flavour.sitelinks:
            self.sitelinks()
        self.statements(self.entity, self.subject)


def map_entity(
    entity: Mapping[str, Any],
    context: MappingContext,
    *,
    revision_id: int | None = None,
    modified: str | None = None,
) -> list[str]:
    """
    Map one entity to canonical N-Triples lines, each ending in `` .``, none twice.

    A redirect (``{"entity": "Q1", "redirect": "Q2"}``) is one owl:sameAs triple. Language tags keep Wikibase's
    spelling, upper case included.

    Args:
        revision_id: replaces the entity's own lastrevid; without either, the version is left out.
        modified: replaces the entity's own modified, ISO 8601 in UTC.

    Raises:
        BadEntity: the JSON breaks the data model; its place is the JSON path.
    """
    try:
        if "redirect" in entity:
            return [_redirect(entity, context)]
        mapper = EntityMapper(entity, context)
        mapper.everything(
            entity.get("lastrevid") if revision_id is None else revision_id,
            entity.get("modified") if modified is None else modified,
        )
    except FAULTS as error:
        raise_fault(error, entity)
    return list(dict.fromkeys(mapper.lines))


def raise_fault(error: Exception, *entities: object) -> NoReturn:
    """Raise BadEntity for the first fault in *entities*, as the cause of *error*; raise *error* if there is none."""
    for entity in entities:
        fault = find_fault(entity)
        if fault is not None:
            raise BadEntity(f"{fault.message}; entity set aside", fault.place) from error
    # The input is sound, so this is a fault of the mapping and must not be hidden.
    raise error


def _redirect(entity: Mapping[str, Any], context: MappingContext) -> str:
    source = context.vocabulary.entity_iri(normalize_mention(entity["entity"]))
    target = context.vocabulary.entity_iri(normalize_mention(entity["redirect"]))
    return f"<{source}> <{OWL}sameAs> <{target}> ."
