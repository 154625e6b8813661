"""Statements to RDF: truthy values, statement nodes with rank, qualifiers, references and value nodes.

The unit is the property group: which of its statements are best depends on the ranks of all of them.

A broken snak (entity/values.py) has no value in RDF. As Wikibase does, a comment about the node says so, and everything
else about its statement is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from wbd.mapping import hashes
from wbd.mapping.context import MappingContext, PropertyTerms, Role
from wbd.mapping.values import BROKEN, FullValue, Term, serialize
from wbd.rdf.prefixes import PROV, RDF, RDFS, WIKIBASE

_NOT_LOCAL: Final = re.compile(rb"[^A-Za-z0-9_-]")
_PLAIN_LOCAL: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)

_A: Final = f"<{RDF}type>"
_DERIVED: Final = f"<{PROV}wasDerivedFrom>"
COMMENT: Final = f"<{RDFS}comment>"
"""Predicate of the note that stands in for the value of a broken snak."""

_IS_STATEMENT: Final = f"{_A} <{WIKIBASE}Statement> ."
_IS_BEST: Final = f"{_A} <{WIKIBASE}BestRank> ."
_IS_REFERENCE: Final = f"{_A} <{WIKIBASE}Reference> ."
_RANK: Final = {
    name: f"<{WIKIBASE}rank> <{WIKIBASE}{name.capitalize()}Rank> ." for name in ("deprecated", "normal", "preferred")
}


def local_name(guid: str) -> str:
    """Return the local name of a statement node: every byte that is not a word character is a hyphen."""
    name = guid.replace("$", "-")
    if _PLAIN_LOCAL.fullmatch(name):
        return name
    return _NOT_LOCAL.sub(b"-", guid.encode("utf-8", "replace")).decode()


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError("not a string")
    return value


def _snak_hash(snak: Mapping[str, Any]) -> str:
    digest = snak.get("hash")
    if digest:
        return _text(digest)
    kind = snak["snaktype"]
    value = serialize(snak.get("datavalue")) if kind == "value" else ""
    return hashes.snak_hash(kind, snak["property"], value)


def broken_notes(lines: Iterable[str]) -> int:
    """Count the notes about broken snaks of statements and references, without the copies on the entity itself."""
    return sum("triple, please ignore" in line and f'{COMMENT} "broken p' in line for line in lines)


def best_rank(statements: Iterable[Mapping[str, Any]]) -> str:
    """Return the rank of the best statements of a property: preferred if there is one."""
    for statement in statements:
        if statement.get("rank") == "preferred":
            return "preferred"
    return "normal"


def reference_name(reference: Mapping[str, Any]) -> str:
    """Return the local name of a reference node: its hash, computed where old JSON has none."""
    digest = reference.get("hash")
    if digest:
        return local_name(digest)
    groups = (reference["snaks"] or {}).values()
    return hashes.reference_hash({_snak_hash(snak) for group in groups for snak in group})


class StatementMapper:
    """Appends the lines of statements to *lines*; a line may come more than once."""

    def __init__(self, context: MappingContext, lines: list[str]) -> None:
        namespaces = context.vocabulary.namespaces
        self.lines = lines
        self.flavour = context.flavour
        self.properties = context.properties
        self.builders = context.builders
        self.nodes: set[str] = set()
        self.references: dict[str, Mapping[str, Any]] = {}
        self.wds = f"<{namespaces.wds}"
        self.wdref = f"<{namespaces.wdref}"
        self.value_namespace = namespaces.wdv
        skolem = self.flavour.query_service
        self.unknown = (f"<{context.vocabulary.skolem_base}", "> .") if skolem else ("_:", " .")

    def datatype(self, snak: Mapping[str, Any], prop: PropertyTerms) -> str:
        """Return the datatype of a snak's property, or "" when it is unknown."""
        return prop.datatype or snak.get("datatype") or ""

    def value(self, snak: Mapping[str, Any], prop: PropertyTerms) -> Term | None:
        """Return the RDF value of a value snak; None for a broken one."""
        try:
            datavalue = snak["datavalue"]
            value, kind = datavalue["value"], datavalue["type"]
            builders = self.builders
            if kind == "string":
                datatype = prop.datatype or snak.get("datatype") or ""
                if datatype == "external-id":
                    return builders.external_id(value, prop.pattern)
                build = builders.by_datatype.get(datatype)
                if build is not None:
                    return build(value)
            # A property whose datatype changed has values of its old one, which keep their own form.
            build = builders.by_type.get(kind)
            return None if build is None else build(value)
        except BROKEN:
            if type(snak.get("datatype") or "") is not str:
                # Not the value's fault but the snak's, which makes the entity unfit.
                raise
            return None

    def snak(self, node: str, owner: str, snak: Mapping[str, Any], prop: PropertyTerms, role: Role) -> None:
        """Write a main snak or qualifier on a statement node, or a snak on a reference node."""
        if snak["snaktype"] == "value":
            term = self.value(snak, prop)
            if type(term) is str:
                self.lines.append(f"{node} {role[0]} {term} .")
            elif term is not None:
                self.full_value(node, term, role)
            else:
                self.lines.append(f"{node} {COMMENT} {role[4]} .")
        else:
            self.no_value(node, owner, snak, prop, role[0], role[3])

    def full_value(self, node: str, term: Any, role: Role) -> None:
        """Write a value and its normalized form; write its value node once."""
        append = self.lines.append
        append(f"{node} {role[0]} {term.simple} .")
        if not self.flavour.full_values:
            return
        if term.normalized is not None:
            append(f"{node} {role[2]} {term.normalized} .")
        if term.node is not None:
            append(f"{node} {role[1]} {term.node} .")
            if term.node not in self.nodes:
                self.nodes.add(term.node)
                self.lines += term.lines

    def no_value(
        self, node: str, owner: str, snak: Mapping[str, Any], prop: PropertyTerms, predicate: str, namespace: str
    ) -> None:
        """Write an unknown value as a blank node or skolem IRI, and the absence of a value as a type."""
        kind = snak["snaktype"]
        if kind == "novalue":
            self.lines.append(f"{node} {prop.novalue}")
        elif kind == "somevalue":
            # Wikibase's label: the same in every export, and different in every place.
            digest = snak.get("hash")
            digest = _text(digest) if digest else hashes.snak_hash(kind, snak["property"])
            label = hashes.md5(f"{owner}-{namespace}-{self.value_namespace}-{digest}")
            before, behind = self.unknown
            self.lines.append(f"{node} {predicate} {before}{label}{behind}")
        else:
            raise ValueError("unknown snaktype")

    def group(self, subject: str, statements: Iterable[Mapping[str, Any]], best: str) -> None:
        """Write statements of one property; *best* is the rank of its best ones."""
        flavour, append, properties = self.flavour, self.lines.append, self.properties
        typed = not flavour.query_service
        for statement in statements:
            rank = statement.get("rank", "normal")
            main = statement["mainsnak"]
            prop = properties[main["property"]]
            owner = local_name(statement["id"])
            term = self.value(main, prop) if main["snaktype"] == "value" else None
            if rank == best and flavour.truthy:
                self.truthy(subject, owner, main, prop, term)
            if not flavour.statements:
                continue
            node = f"{self.wds}{owner}>"
            append(f"{subject} {prop.claim} {node} .")
            if typed:
                append(f"{node} {_IS_STATEMENT}")
            if rank == best:
                append(f"{node} {_IS_BEST}")
            append(f"{node} {_RANK[rank]}")
            if type(term) is str:
                append(f"{node} {prop.statement[0]} {term} .")
            elif term is not None:
                self.full_value(node, term, prop.statement)
            elif main["snaktype"] == "value":
                append(f"{node} {COMMENT} {prop.statement[4]} .")
            else:
                self.no_value(node, owner, main, prop, prop.statement[0], prop.statement[3])
            self._details(node, owner, statement)

    def details(self, statement: Mapping[str, Any]) -> None:
        """Write only the qualifiers and references of a statement; the rest of it but the id may be missing."""
        if self.flavour.statements:
            owner = local_name(statement["id"])
            self._details(f"{self.wds}{owner}>", owner, statement)

    def _details(self, node: str, owner: str, statement: Mapping[str, Any]) -> None:
        properties = self.properties
        qualifiers = statement.get("qualifiers")
        if qualifiers:
            for snaks in qualifiers.values():
                for snak in snaks:
                    prop = properties[snak["property"]]
                    self.snak(node, owner, snak, prop, prop.qualifier)
        for reference in statement.get("references") or ():
            groups = reference["snaks"]
            # has_snaks(), spelled out: items have hundreds of references.
            if groups and any(groups.values()):
                name = reference_name(reference)
                self.lines.append(f"{node} {_DERIVED} {self.wdref}{name}> .")
                self.reference(name, reference)

    def truthy(self, subject: str, owner: str, main: Mapping[str, Any], prop: PropertyTerms, term: Term | None) -> None:
        """Write a best value directly on the entity."""
        if type(term) is str:
            self.lines.append(f"{subject} {prop.direct} {term} .")
        elif isinstance(term, FullValue):
            self.lines.append(f"{subject} {prop.direct} {term.simple} .")
            if term.direct is not None:
                self.lines.append(f"{subject} {prop.direct_normalized} {term.direct} .")
        elif main["snaktype"] == "value":
            self.lines.append(f"{subject} {COMMENT} {prop.direct_broken} .")
        else:
            self.no_value(subject, owner, main, prop, prop.direct, prop.direct_namespace)

    def reference(self, name: str, reference: Mapping[str, Any]) -> None:
        """Write a reference node, once for equal content."""
        known = self.references.setdefault(name, reference)
        if known is not reference and known == reference:
            return
        node = f"{self.wdref}{name}>"
        if not self.flavour.query_service:
            self.lines.append(f"{node} {_IS_REFERENCE}")
        for snaks in (reference["snaks"] or {}).values():
            for snak in snaks:
                prop = self.properties[snak["property"]]
                self.snak(node, name, snak, prop, prop.reference)

    def identifiers(self, claims: Mapping[str, Sequence[Mapping[str, Any]]]) -> int:
        """Count the statements whose property is an external identifier."""
        number = 0
        for group in claims.values():
            for statement in group:
                main = statement["mainsnak"]
                if self.datatype(main, self.properties[main["property"]]) == "external-id":
                    number += 1
        return number
