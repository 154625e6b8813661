"""What changed between two graphs, or between two revisions of an entity.

Laws: apply(diff(a, b), a) is b as a set, added and removed share nothing, and nothing that a and b share is in
either. Of both, the triples about shared nodes (shared.py) that came to the entity or left it whole are listed again,
as linked and unlinked.

Two revisions of an item differ in little. Their JSON is compared part by part (a term, a sitelink, the statements of
a property), and only parts that differ are mapped. Value nodes, reference nodes and the groups of wikis can belong to
several parts: those that an unchanged part still has are left out. The result is the same as that of mapping both
sides whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from wbd.rdf.context import PropertyTerms
from wbd.rdf.definitions import claims_of
from wbd.rdf.mapping import (
    FAULTS,
    TERM_PREDICATES,
    EntityMapper,
    MappingContext,
    alias_group,
    map_entity,
    raise_fault,
    term_text,
)
from wbd.rdf.setdiff import difference
from wbd.rdf.shared import Present, SharedNodes, subjects
from wbd.rdf.statements import StatementMapper, local_name, reference_name
from wbd.rdf.terms import language_suffix
from wbd.rdf.vocabulary import Vocabulary

if TYPE_CHECKING:
    from typing_extensions import Buffer

_Claims = Mapping[str, Sequence[Mapping[str, Any]]]

# No JSON value: a member that is null is another thing than one that is not there.
_ABSENT: Final = object()

# Types whose parts are compared one by one; the others are small.
_IN_PARTS: Final = ("item", "property")


@dataclass(frozen=True, slots=True)
class RdfDiff:
    """
    Sorted canonical N-Triples lines that came and went.

    linked_shared: the part of added that is about shared nodes of which the old side had no triple. Other entities may
        have brought them already.
    unlinked_shared: the part of removed that is about shared nodes of which the new side has no triple. Other entities
        may use them still.

    A triple that came to or left a shared node that both sides have, such as the badge of a page, is in neither.
    """

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    linked_shared: list[str] = field(default_factory=list)
    unlinked_shared: list[str] = field(default_factory=list)

    @property
    def own_added(self) -> list[str]:
        """What came and is not in linked_shared."""
        return _without(self.added, self.linked_shared)

    @property
    def own_removed(self) -> list[str]:
        """What went and is not in unlinked_shared: all that a store of many entities can take away unseen."""
        return _without(self.removed, self.unlinked_shared)

    def __bool__(self) -> bool:
        """Tell whether anything changed."""
        return bool(self.added or self.removed)


def _without(lines: list[str], shared: list[str]) -> list[str]:
    if not shared:
        return lines[:]
    apart = set(shared)
    return [line for line in lines if line not in apart]


def diff_lines(old: Iterable[str], new: Iterable[str], vocabulary: Vocabulary | None = None) -> RdfDiff:
    """
    Return what changed between two graphs of canonical lines; with a vocabulary also which shared nodes.

    By sets of str: to join, encode and decode the lines of a whole graph for the native difference takes longer than
    it saves. Graphs that are text in bytes go through diff_ntriples.
    """
    before, after = set(old), set(new)
    found = RdfDiff(added=sorted(after - before), removed=sorted(before - after))
    if vocabulary is None:
        return found
    return with_shared(found, vocabulary, lambda nodes: nodes & subjects(before), lambda nodes: nodes & subjects(after))


def with_shared(diff: RdfDiff, vocabulary: Vocabulary, in_old: Present, in_new: Present) -> RdfDiff:
    """Return the diff with its linked and unlinked shared triples; *in_old* and *in_new* tell what the sides have."""
    shared = SharedNodes(vocabulary)
    return RdfDiff(
        added=diff.added,
        removed=diff.removed,
        linked_shared=shared.triples(diff.added, in_old),
        unlinked_shared=shared.triples(diff.removed, in_new),
    )


def diff_ntriples(old: Buffer, new: Buffer) -> RdfDiff:
    """
    Return what changed between two graphs of canonical N-Triples text in UTF-8, with equal nodes labelled alike.

    For whole graphs: lines that both have never become Python objects. See difference() for limits and errors.
    """
    added, removed = difference(old, new)
    return RdfDiff(added=added.decode().split("\n")[:-1], removed=removed.decode().split("\n")[:-1])


def apply(diff: RdfDiff, lines: Iterable[str]) -> list[str]:
    """Return the sorted lines after the change; lines that it removes need not be there."""
    return sorted(set(lines).difference(diff.removed).union(diff.added))


def diff_entities(
    old: Mapping[str, Any] | None,
    new: Mapping[str, Any] | None,
    context: MappingContext,
    *,
    old_revision: int | None = None,
    new_revision: int | None = None,
    old_modified: str | None = None,
    new_modified: str | None = None,
) -> RdfDiff:
    """
    Return what changed in the RDF of an entity.

    Parts that are equal are not looked into: a fault in them goes unseen. They are compared as Python compares, to
    which 1, 1.0 and true are equal, and 0 and -0.0: a change of one into the other alone goes unseen too. Snaks whose
    values Wikibase tells apart have different hashes.

    Args:
        old: the entity before, or None when it did not exist or was deleted.
        new: the entity after, or None when it is deleted.
        old_revision: as revision_id of map_entity; the others alike.

    Raises:
        BadEntity: a side breaks the data model.
    """
    if old is not None and new is not None and comparable(old, new):
        sides = (Side(old, old_revision, old_modified), Side(new, new_revision, new_modified))
        try:
            found = diff_parts(*sides, context)
        except FAULTS as error:
            raise_fault(error, old, new)
        if found is not None:
            return found
    before: list[str] = []
    after: list[str] = []
    if old is not None:
        before = map_entity(old, context, revision_id=old_revision, modified=old_modified)
    if new is not None:
        after = map_entity(new, context, revision_id=new_revision, modified=new_modified)
    return diff_lines(before, after, context.vocabulary)


def comparable(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Tell whether two entities can be compared part by part."""
    return (
        old.get("type") in _IN_PARTS
        and all(old.get(key) == new.get(key) for key in ("id", "type", "datatype"))
        and "redirect" not in old
        and "redirect" not in new
    )


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


_NOTHING: Final = Rest()


class Side:
    """One revision, and the lines of its parts that the other one does not have."""

    __slots__ = ("entity", "mapper", "modified", "revision")

    def __init__(self, entity: Mapping[str, Any], revision: int | None, modified: str | None) -> None:
        self.entity = entity
        self.revision = entity.get("lastrevid") if revision is None else revision
        self.modified = entity.get("modified") if modified is None else modified
        self.mapper: EntityMapper

    def start(self, elsewhere: Mapping[str, int]) -> None:
        """Write the document node, which always differs; *elsewhere* is what it counts of other parts."""
        self.mapper.elsewhere = elsewhere
        self.mapper.document(self.revision, self.modified)

    def write_sitelinks(self, other: Mapping[str, Any]) -> set[str]:
        """Write the sitelinks that *other* does not have alike; return the wikis that they are to."""
        wikis: set[str] = set()
        links, others = self.entity.get("sitelinks") or {}, other.get("sitelinks") or {}
        if links != others:
            for name, link in links.items():
                if others.get(name, _ABSENT) != link:
                    self.mapper.sitelink(link)
                    wikis.update(_wiki(link, self.mapper.context))
        return wikis

    def write_groups(self, names: Iterable[str]) -> None:
        """Write the statements of these properties."""
        claims = claims_of(self.entity)
        for name in names:
            if name in claims:
                self.mapper.statement_mapper.group(self.mapper.subject, claims[name])


def _wiki(link: Mapping[str, Any], context: MappingContext) -> tuple[str, ...]:
    """Return the wiki that a sitelink is to; nothing for a site that nobody knows."""
    site = context.site_terms[link["site"]]
    return () if site is None else (site.group_line.partition(" ")[0],)


def _write_terms(key: str, old: Side, new: Side, rest: Rest) -> bool:
    """
    Write the terms that one side has and the other has not, compared as the literals that they become.

    Returns:
        False if terms of *rest* would have to be compared too.
    """
    before, after = old.entity.get(key) or {}, new.entity.get(key) or {}
    if before == after:
        return True
    names: Iterable[str] = [
        name for name in {**before, **after} if before.get(name, _ABSENT) != after.get(name, _ABSENT)
    ]
    changed_after = {name: after[name] for name in names if name in after}
    distinct = (
        _keyed_by_language(key, before) and _keyed_by_language(key, changed_after) and all(map(language_suffix, names))
    )
    if not distinct:
        # One literal can come from two members then; all have to be compared.
        if rest.terms:
            return False
        names = {**before, **after}
    removed = dict.fromkeys(text for name in names if name in before for text in _texts(key, before[name]))
    added = dict.fromkeys(text for name in names if name in after for text in _texts(key, after[name]))
    for side, own, others in ((old, removed, added), (new, added, removed)):
        for text in own:
            if text not in others:
                for predicate in side.mapper.term_predicates[key]:
                    side.mapper.lines.append(f"{side.mapper.subject} {predicate} {text} .")
    return True


def _texts(key: str, member: Any) -> list[str]:
    return [term_text(term) for term in (alias_group(member) if key == "aliases" else (member,))]


def _keyed_by_language(key: str, terms: Mapping[str, Any]) -> bool:
    """Tell whether each member's key is the language of its terms."""
    for name, member in terms.items():
        if key == "aliases":
            if any(term["language"] != name for term in alias_group(member)):
                return False
        elif member["language"] != name:
            return False
    return True


def _separate(before: _Claims, after: _Claims, changed: Set[str], properties: Mapping[str, PropertyTerms]) -> bool:
    """
    Tell whether no changed property group shares the node of a statement or the predicates with an unchanged one.

    Statement ids are unique and groups are named after their property; in corrupt JSON they need not be. Different ids
    can make one node (Q1$a and Q1-a), and so can spellings of a property (P1 and p1).
    """
    # What is unchanged is the same on both sides.
    unchanged = [group for name, group in before.items() if name not in changed]
    if not (changed and unchanged):
        return True
    nodes: set[str] = set()
    predicates: set[str] = set()
    for side in (before, after):
        for name in changed:
            for statement in side.get(name, ()):
                nodes.add(local_name(statement["id"]))
                predicates.add(properties[statement["mainsnak"]["property"]].claim)
    for group in unchanged:
        for statement in group:
            if local_name(statement["id"]) in nodes:
                return False
            if properties[statement["mainsnak"]["property"]].claim in predicates:
                return False
    return True


def diff_parts(old: Side, new: Side, context: MappingContext, rest: Rest = _NOTHING) -> RdfDiff | None:
    """
    Compare two comparable sides part by part.

    Args:
        rest: what both have besides.

    Returns:
        None when parts overlap in a way that only corrupt JSON has, or *rest* would have to be looked into.

    Raises:
        One of FAULTS: a side breaks the data model.
    """
    before, after = claims_of(old.entity), claims_of(new.entity)
    changed = {name for name in {**before, **after} if before.get(name, _ABSENT) != after.get(name, _ABSENT)}
    if not _separate(before, after, changed, context.properties):
        return None
    for side in (old, new):
        side.mapper = EntityMapper(side.entity, context)
    elsewhere = _counts(old.mapper, new.mapper, rest)
    wikis: set[str] = set()
    for side, other in ((old, new), (new, old)):
        side.start(elsewhere)
        if context.flavour.sitelinks:
            wikis |= side.write_sitelinks(other.entity)
        side.write_groups(changed)
    for key in TERM_PREDICATES:
        if not _write_terms(key, old, new, rest):
            return None
    old_lines, new_lines = set(old.mapper.lines), set(new.mapper.lines)
    removed, added = old_lines - new_lines, new_lines - old_lines
    shared = _Shared(removed | added, wikis, context)
    if not (shared.subjects or wikis):
        return RdfDiff(added=sorted(added), removed=sorted(removed))
    # What is unchanged is the same on both sides; the old one stands for both.
    kept = shared.kept(old.entity, new.entity, old.mapper, rest)
    return with_shared(
        RdfDiff(added=sorted(added - kept), removed=sorted(removed - kept)),
        context.vocabulary,
        lambda nodes: nodes & (subjects(old_lines) | subjects(kept)),
        lambda nodes: nodes & (subjects(new_lines) | subjects(kept)),
    )


def _counts(old: EntityMapper, new: EntityMapper, rest: Rest) -> Mapping[str, int]:
    """Return what documents count of *rest*; identifiers only where their numbers will differ."""
    if not (rest and old.flavour.counts):
        return {}
    counts = {"statements": rest.statements, "sitelinks": rest.sitelinks}
    if old.kind == "item":
        before, after = (mapper.statement_mapper.identifiers(claims_of(mapper.entity)) for mapper in (old, new))
        if before != after:
            counts["identifiers"] = rest.identifiers(old.context.properties)
    return counts


class _Shared:
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

    def kept(self, old: Mapping[str, Any], new: Mapping[str, Any], mapper: EntityMapper, rest: Rest) -> set[str]:
        """Return the lines that unchanged parts have about these nodes, and maybe more of their lines."""
        lines: list[str] = []
        if self.wikis:
            # A sitelink differs, so there are none in *rest*.
            links, others = old.get("sitelinks") or {}, new.get("sitelinks") or {}
            del mapper.lines[:]
            for name, link in links.items():
                # A page lies in its wiki, so a link to another wiki is to another page.
                if others.get(name) == link and not self.wikis.isdisjoint(_wiki(link, self.context)):
                    mapper.sitelink(link)
            lines += mapper.lines
        if not self.subjects:
            return set(lines)
        statement_mapper = StatementMapper(self.context, lines)
        claims, others = claims_of(old), claims_of(new)
        unchanged = [group for name, group in claims.items() if others.get(name, _ABSENT) == group]
        if self.has_values:
            changed = [group for name, group in claims.items() if others.get(name, _ABSENT) != group]
            changed += [group for name, group in others.items() if claims.get(name, _ABSENT) != group]
            self.value_keys = {
                _value_key(snak)
                for group in changed
                for statement in group
                for snak in _snaks(statement)
                if _is_deep(snak)
            }
        if rest.statements:
            names = {node[len(self.wdref) : -1] for node in self.subjects if node.startswith(self.wdref)}
            unchanged += rest.groups(names, self.value_keys)
        for group in unchanged:
            for statement in group:
                for reference in statement.get("references") or ():
                    name = reference_name(reference)
                    if f"{self.wdref}{name}>" in self.subjects:
                        statement_mapper.reference(name, reference)
                if self.has_values:
                    self._values(statement, statement_mapper)
        return set(lines)

    def _values(self, statement: Mapping[str, Any], mapper: StatementMapper) -> None:
        for snak in _snaks(statement):
            if _is_deep(snak) and _value_key(snak) in self.value_keys:
                term = mapper.value(snak, mapper.properties[snak["property"]])
                lines = getattr(term, "lines", ())
                if any(line[: line.index(">") + 1] in self.subjects for line in lines):
                    mapper.lines += lines


def _snaks(statement: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield all snaks of a statement."""
    yield statement["mainsnak"]
    for group in (statement.get("qualifiers") or {}).values():
        yield from group
    for reference in statement.get("references") or ():
        for group in (reference["snaks"] or {}).values():
            yield from group


def _is_deep(snak: Mapping[str, Any]) -> bool:
    if snak["snaktype"] != "value":
        return False
    datavalue = snak["datavalue"]
    # Text has no value node, whatever its type says.
    return type(datavalue["value"]) is not str and datavalue["type"] in _DEEP_TYPES


def _value_key(snak: Mapping[str, Any]) -> str:
    """
    Return what equal value nodes have alike: a time's text, of others the type.

    Different quantities share normalized nodes, and different coordinates one whose digits are rounded.
    """
    kind: str = snak["datavalue"]["type"]
    # Leading zeros of the year say nothing.
    return snak["datavalue"]["value"]["time"].lstrip("+-0") if kind == "time" else kind


# Types of data values that have value nodes.
_DEEP_TYPES: Final = frozenset(("time", "quantity", "globecoordinate"))
