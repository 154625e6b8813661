"""Turn the revisions of one entity, in their order, into the messages of their events. Pure: bytes in, bytes out.

One process works on a chain at a time, so the order of an entity's events holds with any number of processes.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from wbd.diff.entities import diff_entities
from wbd.diff.snapshots import diff_changed_parts
from wbd.diff_stream.messages import EventWriter, Step
from wbd.errors import PermanentError
from wbd.events.entity_diff import Operation
from wbd.mapping.context import MappingContext
from wbd.mapping.entity import FAULTS
from wbd.mapping.statements import broken_notes
from wbd.rdf.graph_diff import RdfDiff


@dataclass(frozen=True, slots=True)
class Link:
    """
    One revision of a chain.

    snapshot: its JSON; None when it deletes the entity.
    created_at: when it was recorded, in UTC and without a zone, as in the database.
    missing: why its snapshot could not be read; such a revision is set aside.
    """

    revision_id: int
    snapshot: bytes | None
    created_at: datetime
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Chain:
    """
    Revisions of one entity, oldest first.

    base_revision_id: the revision that consumers hold; None when they hold nothing.
    base: the JSON of that revision; None when they hold nothing, or a deleted entity.
    reconcile: the first revision that can be mapped is published in full, as a reconcile.
    request: see Step.
    """

    entity_id: str
    base_revision_id: int | None
    base: bytes | None
    links: Sequence[Link]
    reconcile: bool = False
    request: str = ""


@dataclass(frozen=True, slots=True)
class Planned:
    """
    The messages of one revision's event, or the reason why it is set aside.

    reconcile: it is published in full.
    broken: notes about broken snaks among the added triples.
    unforeseen: the traceback of a fault that the mapping has no name for.
    """

    revision_id: int
    messages: list[bytes] = field(default_factory=list)
    added: int = 0
    removed: int = 0
    reconcile: bool = False
    reason: str = ""
    missing: bool = False
    unforeseen: str = ""
    broken: int = 0


@dataclass(frozen=True, slots=True)
class ChainPlanner:
    """Plans chains; it can be pickled for another process, which builds caches of its own."""

    context: MappingContext
    writer: EventWriter

    def plan(self, chain: Chain, until_mono_s: float = float("inf")) -> list[Planned]:
        """
        Plan the revisions of one entity, oldest first.

        Args:
            until_mono_s: a moment of time.monotonic(); later revisions that are not begun by then are left out.
        """
        plans: list[Planned] = []
        base_id = chain.base_revision_id
        base = _snapshot(chain.base, base_id, chain.entity_id)
        reconcile = chain.reconcile
        for link in chain.links:
            if plans and time.monotonic() >= until_mono_s:
                break
            if link.missing:
                plans.append(Planned(link.revision_id, reason=link.missing, missing=True))
                continue
            try:
                new = _snapshot(link.snapshot, link.revision_id, chain.entity_id)
                diff = self._diff(None if reconcile else base, new)
                operation = _operation(base, new, reconcile)
                step = Step(
                    chain.entity_id,
                    link.revision_id,
                    base_id,
                    operation,
                    link.created_at.replace(tzinfo=UTC),
                    chain.request if reconcile else "",
                )
                plans.append(self._planned(step, diff, reconcile))
            except PermanentError as error:
                plans.append(Planned(link.revision_id, reason=str(error)))
                continue
            except FAULTS as error:
                # A fault that the mapping has no name for. If the worker died of it, every other entity would stop too.
                reason = f"r{link.revision_id}: {type(error).__name__}: {error}"
                plans.append(Planned(link.revision_id, reason=reason, unforeseen=traceback.format_exc()))
                continue
            base, base_id, reconcile = new, link.revision_id, False
        return plans

    def _diff(self, base: _Snapshot | None, new: _Snapshot | None) -> RdfDiff:
        if base is not None and new is not None:
            diff = diff_changed_parts(base.data, new.data, self.context, new.entity_id)
            if diff is not None:
                return diff
        before = None if base is None else base.entity()
        after = None if new is None else new.entity()
        return diff_entities(before, after, self.context)

    def _planned(self, step: Step, diff: RdfDiff, reconcile: bool) -> Planned:
        messages = self.writer.messages(step, diff, datetime.now(UTC))
        counts = len(diff.added), len(diff.removed)
        return Planned(step.revision_id, messages, *counts, reconcile, broken=broken_notes(diff.added))


def _operation(base: _Snapshot | None, new: _Snapshot | None, reconcile: bool) -> Operation:
    if new is None:
        return "delete"
    if reconcile:
        return "reconcile"
    return "import" if base is None else "diff"


class _Snapshot:
    """The JSON of one revision, parsed at most once."""

    __slots__ = ("_entity", "data", "entity_id", "which")

    def __init__(self, data: bytes, which: str, entity_id: str) -> None:
        self.data = data
        self.which = which
        self.entity_id = entity_id
        self._entity: dict[str, Any] | None = None

    def entity(self) -> dict[str, Any]:
        """Return the entity. Raises PermanentError when the snapshot is not JSON, or another entity's."""
        if self._entity is None:
            self._entity = _parse(self.data, self.which, self.entity_id)
        return self._entity


def _snapshot(data: bytes | None, revision_id: int | None, entity_id: str) -> _Snapshot | None:
    return None if data is None else _Snapshot(data, f"r{revision_id}", entity_id)


def _parse(data: bytes, which: str, entity_id: str) -> dict[str, Any]:
    """Return the JSON of a snapshot. Raises PermanentError when it is not JSON, or another entity's."""
    try:
        entity = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise PermanentError(f"snapshot of {which}: not JSON ({error})") from None
    if not isinstance(entity, dict):
        raise PermanentError(f"snapshot of {which}: not a JSON object")
    holds = entity.get("id", entity.get("entity"))
    if holds != entity_id:
        raise PermanentError(f"snapshot of {which}: holds {str(holds)[:60]!r}, expected {entity_id}")
    return entity
