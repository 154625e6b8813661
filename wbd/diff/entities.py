"""Two revisions of an entity, parsed or as lines, become the triples that were added and removed. Pure, no I/O.

Laws: apply(diff(a, b), a) equals b as a set; added and removed have no triple in common, and none that both a and b
have. Triples about shared nodes (shared.py) that the entity gained or lost entirely are also listed separately, as
linked and unlinked.

Two revisions of an item differ in a few parts. Their JSON is compared part by part (a term, a sitelink, one statement
of a property), and only parts that differ are mapped. Value nodes, reference nodes, truthy triples and the groups of
wikis can belong to several parts, so those that an unchanged part still has are left out (unchanged.py). The result is
that of mapping both revisions completely.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, Final

from wbd.diff.groups import Statement, compare_groups, same_json
from wbd.diff.shared import subjects, with_shared
from wbd.diff.unchanged import NO_PARTS, NodesOfParts, UnchangedParts, unchanged_truthy_lines, wiki_of
from wbd.entity.walk import claims_of
from wbd.mapping.context import PropertyTerms
from wbd.mapping.entity import (
    FAULTS,
    TERM_PREDICATES,
    EntityMapper,
    MappingContext,
    alias_group,
    map_entity,
    member_texts,
    raise_fault,
)
from wbd.mapping.statements import local_name
from wbd.mapping.vocabulary import Vocabulary
from wbd.rdf.graph_diff import RdfDiff
from wbd.rdf.terms import language_suffix

_Claims = Mapping[str, Sequence[Mapping[str, Any]]]

# No JSON value, so that a member that is null differs from one that is missing.
_ABSENT: Final = object()

# Types whose parts are compared one by one; the others are small.
_IN_PARTS: Final = ("item", "property")


def diff_lines(old: Iterable[str], new: Iterable[str], vocabulary: Vocabulary | None = None) -> RdfDiff:
    """
    Return what changed between two graphs of canonical lines; with a vocabulary also the shared nodes among it.

    Sets of str are faster here than the native difference, for which the lines of a whole graph would be joined,
    encoded and decoded. Graphs that are text in bytes go through diff_ntriples.
    """
    before, after = set(old), set(new)
    diff = RdfDiff(added=sorted(after - before), removed=sorted(before - after))
    if vocabulary is None:
        return diff
    return with_shared(diff, vocabulary, lambda nodes: nodes & subjects(before), lambda nodes: nodes & subjects(after))


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

    Equal parts are not inspected, so a fault in one is not reported. Equality is Python's: a change between 1, 1.0
    and true, or between 0 and -0.0, is no change. Snaks whose values differ for Wikibase have different hashes.

    Args:
        old: the entity before, or None if it did not exist or was deleted.
        new: the entity after, or None if it is deleted.
        old_revision, new_revision: as revision_id of map_entity.
        old_modified, new_modified: as modified of map_entity.

    Raises:
        BadEntity: a side breaks the data model.
    """
    if old is not None and new is not None and comparable(old, new):
        sides = (Side(old, old_revision, old_modified), Side(new, new_revision, new_modified))
        try:
            diff = diff_parts(*sides, context)
        except FAULTS as error:
            raise_fault(error, old, new)
        if diff is not None:
            return diff
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


class Side:
    """One revision, and the lines of those parts that the other revision does not have."""

    __slots__ = ("entity", "mapper", "modified", "revision")

    def __init__(self, entity: Mapping[str, Any], revision: int | None, modified: str | None) -> None:
        self.entity = entity
        self.revision = entity.get("lastrevid") if revision is None else revision
        self.modified = entity.get("modified") if modified is None else modified
        self.mapper: EntityMapper

    def start(self, elsewhere: Mapping[str, int]) -> None:
        """Write the facts of the document, which always differ; *elsewhere* is added to what they count."""
        self.mapper.elsewhere = elsewhere
        self.mapper.document_facts(self.revision, self.modified)

    def write_sitelinks(self, other: Mapping[str, Any]) -> set[str]:
        """Write the sitelinks that *other* lacks or has otherwise; return their wikis."""
        wikis: set[str] = set()
        links, others = self.entity.get("sitelinks") or {}, other.get("sitelinks") or {}
        if links != others:
            for name, link in links.items():
                if others.get(name, _ABSENT) != link:
                    self.mapper.sitelink(link)
                    wikis.update(wiki_of(link, self.mapper.context))
        return wikis

    def write_statements(self, statements: Iterable[Statement], best: str, details: Iterable[Statement]) -> None:
        """Write statements of one property, and of *details* only qualifiers and references; see Group."""
        mapper = self.mapper.statement_mapper
        mapper.group(self.mapper.subject, statements, best)
        for statement in details:
            mapper.details(statement)


def _write_terms(key: str, old: Side, new: Side, unchanged_parts: UnchangedParts) -> bool:
    """
    Write the terms that only one side has, compared as the literals that they become.

    Returns:
        False if terms of *unchanged_parts* would have to be compared too.
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
        # Two members can become one literal, so all have to be compared.
        if unchanged_parts.has_terms:
            return False
        names = {**before, **after}
    removed = dict.fromkeys(member_texts(key, (before[name] for name in names if name in before)))
    added = dict.fromkeys(member_texts(key, (after[name] for name in names if name in after)))
    for side, own, others in ((old, removed, added), (new, added, removed)):
        for text in own:
            if text not in others:
                for predicate in side.mapper.term_predicates[key]:
                    side.mapper.lines.append(f"{side.mapper.subject} {predicate} {text} .")
    return True


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
    Tell whether changed and unchanged property groups have different statement nodes and predicates.

    Only corrupt JSON repeats a statement id or has a group under another property's name. Different ids can make one
    node (Q1$a and Q1-a), and so can spellings of a property (P1 and p1).
    """
    # The old side stands for both.
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


def diff_parts(
    old: Side, new: Side, context: MappingContext, unchanged_parts: UnchangedParts = NO_PARTS
) -> RdfDiff | None:
    """
    Compare two comparable sides part by part.

    Args:
        unchanged_parts: parts omitted from both sides.

    Returns:
        None if parts overlap in a way that only corrupt JSON has, or *unchanged_parts* would have to be inspected.

    Raises:
        One of FAULTS: a side breaks the data model.
    """
    before, after = claims_of(old.entity), claims_of(new.entity)
    changed = {
        name
        for name in {**before, **after}
        if name not in before or name not in after or not same_json(before[name], after[name])
    }
    if not _separate(before, after, changed, context.properties):
        return None
    for side in (old, new):
        side.mapper = EntityMapper(side.entity, context)
    elsewhere = _counts(old.mapper, new.mapper, unchanged_parts)
    wikis: set[str] = set()
    for side, other in ((old, new), (new, old)):
        side.start(elsewhere)
        if context.flavour.sitelinks:
            wikis |= side.write_sitelinks(other.entity)
    groups = compare_groups((before.get(name, ()), after.get(name, ())) for name in changed)
    for group in groups:
        old.write_statements(group.before, group.best_before, group.details_before)
        new.write_statements(group.after, group.best_after, group.details_after)
    for key in TERM_PREDICATES:
        if not _write_terms(key, old, new, unchanged_parts):
            return None
    old_lines, new_lines = set(old.mapper.lines), set(new.mapper.lines)
    removed, added = old_lines - new_lines, new_lines - old_lines
    # Unchanged parts are the same on both sides; the old side stands for both.
    unchanged_lines = unchanged_truthy_lines(groups, removed | added, old.mapper)
    nodes_of_parts = NodesOfParts(removed | added, wikis, context)
    if nodes_of_parts.subjects or wikis:
        unchanged = [group for name, group in before.items() if name not in changed]
        unchanged_lines |= nodes_of_parts.unchanged_lines(
            old.entity, new.entity, groups, unchanged, old.mapper, unchanged_parts
        )
    diff = RdfDiff(added=sorted(added - unchanged_lines), removed=sorted(removed - unchanged_lines))
    if not (nodes_of_parts.subjects or wikis):
        return diff
    return with_shared(
        diff,
        context.vocabulary,
        lambda nodes: nodes & (subjects(old_lines) | subjects(unchanged_lines)),
        lambda nodes: nodes & (subjects(new_lines) | subjects(unchanged_lines)),
    )


def _counts(old: EntityMapper, new: EntityMapper, unchanged_parts: UnchangedParts) -> Mapping[str, int]:
    """Return what documents count in *unchanged_parts*; only numbers that will differ, since equal ones cancel out."""
    if unchanged_parts is NO_PARTS or not old.flavour.counts:
        return {}
    counts: dict[str, int] = {}
    claims = (claims_of(old.entity), claims_of(new.entity))
    if sum(map(len, claims[0].values())) != sum(map(len, claims[1].values())):
        counts["statements"] = unchanged_parts.statements()
    if old.kind == "item":
        before = old.statement_mapper.identifiers(claims[0])
        if before != new.statement_mapper.identifiers(claims[1]):
            counts["identifiers"] = unchanged_parts.identifiers(old.context.properties)
    return counts
