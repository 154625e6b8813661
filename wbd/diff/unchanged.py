"""What unchanged parts of an entity still have of the lines that changed ones brought or took.

Value nodes, reference nodes, truthy triples and the groups of wikis can belong to several parts. A line about one that
a changed part has on one side only has not changed where an unchanged part has it on both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, Final

from wbd.diff.groups import Group
from wbd.entity.walk import has_snaks, snaks
from wbd.mapping.context import MappingContext, PropertyTerms
from wbd.mapping.entity import EntityMapper
from wbd.mapping.statements import COMMENT, StatementMapper, local_name, reference_name
from wbd.mapping.values import BROKEN


class Rest:
    """
    What both sides have alike and neither one's JSON holds: nothing, where that is whole.

    All parts are sound as far as a diff looks into them: a group's statements have its property, terms the language
    that is their key; no statement's node comes in another group. Of sitelinks there are all or none.

    Attributes:
        terms: how many labels, descriptions and languages of aliases.
    """

    __slots__ = ("sitelinks", "statements", "terms")

    def __init__(self, terms: int = 0, sitelinks: int = 0, statements: int = 0) -> None:
        self.terms = terms
        self.sitelinks = sitelinks
        self.statements = statements

    def __bool__(self) -> bool:
        """Tell whether there is anything."""
        return bool(self.terms or self.sitelinks or self.statements)

    def identifiers(self, properties: Mapping[str, PropertyTerms]) -> int:
        """Count the statements whose property is an external identifier."""
        return 0

    def groups(self, hashes: Set[str], value_keys: Set[str]) -> list[Sequence[Mapping[str, Any]]]:
        """
        Return the property groups that may have one of these references or values.

        Args:
            hashes: of references, as in the names of their nodes.
            value_keys: see _value_key.
        """
        return []


NOTHING: Final = Rest()


def wiki_of(link: Mapping[str, Any], context: MappingContext) -> tuple[str, ...]:
    """Return the wiki that a sitelink is to; nothing for a site that nobody knows."""
    site = context.site_terms[link["site"]]
    return () if site is None else (site.group_line.partition(" ")[0],)


def truthy_kept(groups: Iterable[Group], lines: Set[str], mapper: EntityMapper) -> set[str]:
    """Return the truthy lines of statements that both sides have alike, where changed *lines* may be some of them."""
    kept: list[str] = []
    if not (mapper.flavour.truthy and any(group.alike for group in groups)):
        return set()
    subject = f"{mapper.subject} "
    predicates = {line[len(subject) : line.index(">", len(subject)) + 1] for line in lines if line.startswith(subject)}
    statement_mapper = StatementMapper(mapper.context, kept)
    for group in groups:
        for statement in group.alike:
            if "mainsnak" not in statement or statement.get("rank", "normal") != group.best_before:
                continue
            main = statement["mainsnak"]
            prop = statement_mapper.properties[main["property"]]
            own = (prop.direct, prop.direct_normalized, prop.novalue[: prop.novalue.index(">") + 1], COMMENT)
            if not predicates.isdisjoint(own):
                term = statement_mapper.value(main, prop) if main["snaktype"] == "value" else None
                statement_mapper.truthy(mapper.subject, local_name(statement["id"]), main, prop, term)
    return set(kept)


class SharedByParts:
    """
    Nodes that several parts can have: values and references with changed lines, wikis to which sitelinks changed.

    Several sitelinks can be to one wiki, and, where sites share a path, to one page of it.
    """

    def __init__(self, lines: Iterable[str], wikis: Set[str], context: MappingContext) -> None:
        namespaces = context.vocabulary.namespaces
        nodes = (f"<{namespaces.wdv}", f"<{namespaces.wdref}")
        self.context = context
        self.wdref = nodes[1]
        self.wikis = wikis
        self.subjects = {line[: line.index(">") + 1] for line in lines if line.startswith(nodes)}
        self.has_values = any(node.startswith(nodes[0]) for node in self.subjects)
        self.value_keys: set[str] = set()

    def kept(
        self,
        old: Mapping[str, Any],
        new: Mapping[str, Any],
        groups: Iterable[Group],
        unchanged: Iterable[Sequence[Mapping[str, Any]]],
        mapper: EntityMapper,
        rest: Rest,
    ) -> set[str]:
        """
        Return the lines that unchanged parts have about these nodes, and maybe more of their lines.

        Args:
            groups: those that differ.
            unchanged: those that do not.
        """
        lines: list[str] = []
        if self.wikis:
            # A sitelink differs, so there are none in *rest*.
            links, others = old.get("sitelinks") or {}, new.get("sitelinks") or {}
            del mapper.lines[:]
            for name, link in links.items():
                # A page lies in its wiki, so a link to another wiki is to another page.
                if others.get(name) == link and not self.wikis.isdisjoint(wiki_of(link, self.context)):
                    mapper.sitelink(link)
            lines += mapper.lines
        if not self.subjects:
            return set(lines)
        statement_mapper = StatementMapper(self.context, lines)
        if self.has_values:
            self.value_keys = {
                key
                for group in groups
                for statement in (*group.before, *group.after, *group.details_before, *group.details_after)
                for snak in snaks(statement)
                if (key := _value_key(snak)) is not None
            }
        alike = [*unchanged, *(group.alike for group in groups)]
        if rest.statements:
            names = {node[len(self.wdref) : -1] for node in self.subjects if node.startswith(self.wdref)}
            alike += rest.groups(names, self.value_keys)
        for statements in alike:
            for statement in statements:
                for reference in statement.get("references") or ():
                    name = reference_name(reference)
                    if f"{self.wdref}{name}>" in self.subjects and has_snaks(reference):
                        statement_mapper.reference(name, reference)
                if self.has_values:
                    self._values(statement, statement_mapper)
        return set(lines)

    def _values(self, statement: Mapping[str, Any], mapper: StatementMapper) -> None:
        for snak in snaks(statement):
            if _value_key(snak) in self.value_keys:
                term = mapper.value(snak, mapper.properties[snak["property"]])
                lines = getattr(term, "lines", ())
                if any(line[: line.index(">") + 1] in self.subjects for line in lines):
                    mapper.lines += lines


def _value_key(snak: Mapping[str, Any]) -> str | None:
    """
    Return what equal value nodes have in common: the text of a time, of other values the type.

    Different quantities share normalized nodes, and different coordinates one whose digits are rounded.

    Returns:
        None for a snak without a value node: of another type, without a value, or broken.
    """
    if snak["snaktype"] != "value":
        return None
    try:
        datavalue = snak["datavalue"]
        kind: str = datavalue["type"]
        if kind not in _DEEP_TYPES:
            return None
        # Leading zeros of the year say nothing.
        return datavalue["value"]["time"].lstrip("+-0") if kind == "time" else kind
    except BROKEN:
        return None


# Types of data values that have value nodes.
_DEEP_TYPES: Final = frozenset(("time", "quantity", "globecoordinate"))
