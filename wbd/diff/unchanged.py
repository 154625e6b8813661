"""The lines that unchanged parts of an entity contribute, where they can cancel lines of changed parts.

Value nodes, reference nodes, truthy triples and the groups of wikis can belong to several parts. A line about one of
them that a changed part has on one side only is no change if an unchanged part has it on both.
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


class UnchangedParts:
    """
    The parts omitted from both reduced entities; this base class stands for none, when the entities are complete.

    What a diff takes for granted holds for all of them: the statements of a group have its property, terms have the
    language that is their key, no key and no statement's node comes again in the reduced entities. The sitelinks are
    all omitted or all there.

    Attributes:
        has_terms: whether labels, descriptions or aliases may be among them.
    """

    __slots__ = ()

    has_terms = False

    def statements(self) -> int:
        """Count the statements."""
        return 0

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


NO_PARTS: Final = UnchangedParts()


def wiki_of(link: Mapping[str, Any], context: MappingContext) -> tuple[str, ...]:
    """Return the wiki of a sitelink's page; empty for an unknown site."""
    site = context.site_terms[link["site"]]
    return () if site is None else (site.group_line.partition(" ")[0],)


def unchanged_truthy_lines(groups: Iterable[Group], lines: Set[str], mapper: EntityMapper) -> set[str]:
    """Return the truthy lines of unchanged statements, where some of the changed *lines* may be equal to them."""
    unchanged: list[str] = []
    if not (mapper.flavour.truthy and any(group.unchanged for group in groups)):
        return set()
    subject = f"{mapper.subject} "
    predicates = {line[len(subject) : line.index(">", len(subject)) + 1] for line in lines if line.startswith(subject)}
    statement_mapper = StatementMapper(mapper.context, unchanged)
    for group in groups:
        for statement in group.unchanged:
            if "mainsnak" not in statement or statement.get("rank", "normal") != group.best_before:
                continue
            main = statement["mainsnak"]
            prop = statement_mapper.properties[main["property"]]
            own = (prop.direct, prop.direct_normalized, prop.novalue[: prop.novalue.index(">") + 1], COMMENT)
            if not predicates.isdisjoint(own):
                term = statement_mapper.value(main, prop) if main["snaktype"] == "value" else None
                statement_mapper.truthy(mapper.subject, local_name(statement["id"]), main, prop, term)
    return set(unchanged)


class NodesOfParts:
    """
    Nodes that several parts can have: values and references with changed lines, wikis whose sitelinks changed.

    Several sitelinks can be to one wiki and, where sites share a path, to one page of it.
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

    def unchanged_lines(
        self,
        old: Mapping[str, Any],
        new: Mapping[str, Any],
        groups: Iterable[Group],
        unchanged: Iterable[Sequence[Mapping[str, Any]]],
        mapper: EntityMapper,
        unchanged_parts: UnchangedParts,
    ) -> set[str]:
        """
        Return the lines about these nodes that unchanged parts have, possibly with more of their lines.

        Args:
            groups: property groups that differ.
            unchanged: property groups that do not differ.
            unchanged_parts: parts that *old* and *new* lack.
        """
        lines: list[str] = []
        if self.wikis:
            # A sitelink differs, so unchanged_parts has none.
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
        names = {node[len(self.wdref) : -1] for node in self.subjects if node.startswith(self.wdref)}
        omitted = unchanged_parts.groups(names, self.value_keys)
        for statements in (*unchanged, *(group.unchanged for group in groups), *omitted):
            for statement in statements:
                for reference in statement.get("references") or ():
                    name = reference_name(reference)
                    if f"{self.wdref}{name}>" in self.subjects and has_snaks(reference):
                        statement_mapper.reference(name, reference)
                if self.has_values:
                    self._add_values(statement, statement_mapper)
        return set(lines)

    def _add_values(self, statement: Mapping[str, Any], mapper: StatementMapper) -> None:
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
        if kind not in _FULL_VALUE_TYPES:
            return None
        # Leading zeros of the year say nothing.
        return datavalue["value"]["time"].lstrip("+-0") if kind == "time" else kind
    except BROKEN:
        return None


# Types of data values that have value nodes.
_FULL_VALUE_TYPES: Final = frozenset(("time", "quantity", "globecoordinate"))
