"""What changed between two graphs, or between two revisions of an entity.

Laws: apply(diff(a, b), a) is b as a set, added and removed share nothing, and nothing that a and b share is in
either. Of both, the triples about shared nodes (shared.py) that came to the entity or left it whole are listed again,
as linked and unlinked.

Two revisions of an item differ in little. Their JSON is compared part by part (a term, a sitelink, the statements of
a property, and of those one by one), and only parts that differ are mapped. Value nodes, reference nodes, truthy
triples and the groups of wikis can belong to several parts: those that an unchanged part still has are left out. The
result is the same as that of mapping both sides whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, Final

from wbd.diff.groups import Statement, compare_groups
from wbd.diff.shared import subjects, with_shared
from wbd.diff.unchanged import NOTHING, Rest, SharedByParts, truthy_kept, wiki_of
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

if TYPE_CHECKING:
    pass

_Claims = Mapping[str, Sequence[Mapping[str, Any]]]

# No JSON value: a member that is null is another thing than one that is not there.
_ABSENT: Final = object()

# Types whose parts are compared one by one; the others are small.
_IN_PARTS: Final = ("item", "property")


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
                    wikis.update(wiki_of(link, self.mapper.context))
        return wikis

    def write_statements(self, statements: Iterable[Statement], best: str, details: Iterable[Statement]) -> None:
        """Write statements of one property, and only qualifiers and references of others; see Group."""
        mapper = self.mapper.statement_mapper
        mapper.group(self.mapper.subject, statements, best)
        for statement in details:
            mapper.details(statement)


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


def diff_parts(old: Side, new: Side, context: MappingContext, rest: Rest = NOTHING) -> RdfDiff | None:
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
    groups = compare_groups((before.get(name, ()), after.get(name, ())) for name in changed)
    for group in groups:
        old.write_statements(group.before, group.best_before, group.details_before)
        new.write_statements(group.after, group.best_after, group.details_after)
    for key in TERM_PREDICATES:
        if not _write_terms(key, old, new, rest):
            return None
    old_lines, new_lines = set(old.mapper.lines), set(new.mapper.lines)
    removed, added = old_lines - new_lines, new_lines - old_lines
    # What is unchanged is the same on both sides; the old one stands for both.
    kept = truthy_kept(groups, removed | added, old.mapper)
    shared = SharedByParts(removed | added, wikis, context)
    if shared.subjects or wikis:
        unchanged = [group for name, group in before.items() if name not in changed]
        kept |= shared.kept(old.entity, new.entity, groups, unchanged, old.mapper, rest)
    found = RdfDiff(added=sorted(added - kept), removed=sorted(removed - kept))
    if not (shared.subjects or wikis):
        return found
    return with_shared(
        found,
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
