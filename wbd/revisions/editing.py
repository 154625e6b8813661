"""Entities for an API process: put, redirect, delete, get, history.

Reads:   entity_head, entity_revisions, snapshots
Writes:  what store.py writes, one revision a call
Repeats: harmless; content that the head has already, and a second deletion, make no revision

Every edit is one compare-and-set on the entity's head, so two processes never overwrite each other unseen. Without a
base revision the later edit wins; with one it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from wbd.entity.check import Entity, check_entity
from wbd.entity.ids import MAX_ID, parse_id
from wbd.entity.strict_json import parse, show_path
from wbd.errors import BadEntity, BadInput, HeadMoved, NoSuchEntity, SnapshotMissing
from wbd.revisions.commit import Edit, refuse_target
from wbd.revisions.revision import Head, Outcome, Revision, StoredEntity, WriteResult
from wbd.revisions.store import RevisionStore
from wbd.runtime.clock import Clock, SystemClock

# Of entity_revisions.editor_id, an unsigned 32-bit column.
MAX_USER_ID: Final = 2**32 - 1
MAX_HISTORY: Final = 500
_ATTEMPTS = 10

EntityJson = Mapping[str, Any] | bytes


class Revisions:
    """
    The revisions of a wiki's entities. Safe to share between threads.

    Every method raises DatabaseUnavailable or ObjectStoreUnavailable when a server is away. An edit that ends so may
    have been made; the same call again completes it or finds it done.
    """

    def __init__(self, store: RevisionStore, *, clock: Clock | None = None) -> None:
        self._store = store
        self._clock = clock or SystemClock()

    def put(
        self,
        entity: EntityJson,
        *,
        user_id: int | None = None,
        summary: str = "",
        base_revision_id: int | None = None,
    ) -> WriteResult:
        """
        Store an entity as its next revision: create it, edit it, bring it back after a deletion, or end a redirect.

        Args:
            entity: Wikibase's JSON, parsed or as text in UTF-8. Its ``lastrevid`` and ``modified`` are replaced by
                those of the new revision. JSON of a redirect does what ``redirect`` does.
            user_id: user of the wiki, None when there is none.
            summary: stored and announced up to 500 characters.
            base_revision_id: the revision that the caller has edited, 0 for an entity that must not exist yet; None
                edits whatever the head is.

        Returns:
            The new revision. UNCHANGED with the head's number if the head has the same content, whatever the base.

        Raises:
            BadEntity: with its JSON path in ``place``; nothing was written.
            BadInput: not JSON, or another argument that is not allowed; ``place`` is the position or the argument.
            HeadMoved: the head is not the base; read the entity again. Without a base: other writers came first ten
                times in a row.
            EditRefused: see ``redirect``.
        """
        checked = check_entity(_parse(entity))
        return self._write(checked, self._edit(user_id, summary), _check_base_argument(base_revision_id))

    def redirect(
        self,
        entity_id: str,
        target_id: str,
        *,
        user_id: int | None = None,
        summary: str = "",
        base_revision_id: int | None = None,
    ) -> WriteResult:
        """
        Replace an entity by a redirect to another one of its type; see ``put`` for the arguments.

        Raises:
            BadEntity: not ids of two entities of one type.
            NoSuchEntity: the entity is not stored; or the target is not stored, or deleted.
            EditRefused: the target is a redirect itself.
            HeadMoved: see ``put``.
        """
        redirect = {"id": entity_id, "redirect": target_id}
        return self.put(redirect, user_id=user_id, summary=summary, base_revision_id=base_revision_id)

    def delete(
        self,
        entity_id: str,
        *,
        user_id: int | None = None,
        summary: str = "",
        base_revision_id: int | None = None,
    ) -> WriteResult:
        """
        Delete an entity; see ``put`` for the arguments.

        A deletion is a revision without content. The revisions before it can still be read, and ``put`` brings the
        entity back.

        Returns:
            The new revision; UNCHANGED if the entity was deleted before.

        Raises:
            BadInput: not an entity id.
            NoSuchEntity: the entity is not stored.
            HeadMoved: see ``put``.
        """
        _check_id(entity_id)
        edit = self._edit(user_id, summary)
        base = _check_base_argument(base_revision_id)

        def attempt() -> WriteResult:
            head = self._store.head(entity_id)
            if head is None:
                raise NoSuchEntity(f"{entity_id}: no such entity")
            if head.is_deleted:
                return WriteResult(entity_id, Outcome.UNCHANGED, head.revision_id)
            _check_base(entity_id, head, base)
            return self._store.append_deletion(head, edit)

        return _until_head_stands(attempt)

    def get(self, entity_id: str, revision_id: int | None = None) -> StoredEntity | None:
        """
        Return the head of an entity, or one of its revisions; None if there is no such entity or revision.

        A redirect is returned as it is stored, ``{"entity": "Q2", "redirect": "Q1", ...}``, and not followed. The
        snapshot of a deletion is empty.

        Raises:
            BadInput: not an entity id, or not a revision number.
            SnapshotMissing: the bucket does not hold the content (yet).
        """
        _check_id(entity_id)
        if revision_id is None:
            head = self._store.head(entity_id)
            if head is None:
                return None
            number = head.revision_id
        else:
            number = _check_number(revision_id, 1, MAX_ID, "revision_id")
        revision = self._store.revision(entity_id, number)
        if revision is None and revision_id is None:
            # Never after a commit; a database that was restored in part may look like this.
            raise SnapshotMissing(f"{entity_id} r{number}: the head has no row in entity_revisions")
        if revision is None:
            return None
        return StoredEntity(revision, b"" if revision.is_deletion else self._store.snapshot(revision))

    def history(self, entity_id: str, *, limit: int = 50, before: int | None = None) -> list[Revision]:
        """
        Return revisions of an entity, the latest first; [] if there is no such entity.

        Args:
            limit: at most so many, 1 to 500.
            before: only revisions with a lower number; the last number of one page gives the next page.

        Raises:
            BadInput: an argument that is not allowed.
        """
        _check_id(entity_id)
        _check_number(limit, 1, MAX_HISTORY, "limit")
        if before is not None:
            _check_number(before, 1, MAX_ID, "before")
        return self._store.history(entity_id, limit=limit, before=before)

    def _write(self, entity: Entity, edit: Edit, base: int | None) -> WriteResult:
        def attempt() -> WriteResult:
            heads = self._store.heads([entity.id] if entity.redirect is None else [entity.id, entity.redirect])
            head = heads.get(entity.id)
            if head is not None and not head.is_deleted and head.content_hash == entity.content_hash:
                return WriteResult(entity.id, Outcome.UNCHANGED, head.revision_id)
            _check_base(entity.id, head, base)
            if entity.redirect is not None:
                if head is None:
                    raise NoSuchEntity(f"{entity.id}: no such entity; only a stored entity can become a redirect")
                # Checked again inside the transaction; here it saves a snapshot that nobody would name.
                refuse_target(entity.redirect, heads.get(entity.redirect))
            return self._store.append(entity, head, edit)

        return _until_head_stands(attempt)

    def _edit(self, user_id: int | None, summary: str) -> Edit:
        if user_id is not None:
            _check_number(user_id, 1, MAX_USER_ID, "user_id")
        try:
            summary.encode()
        except UnicodeEncodeError:
            raise BadInput("holds half a surrogate pair, which is no text", "summary") from None
        return Edit(user_id, summary, self._clock.now())


def _until_head_stands(attempt: Callable[[], WriteResult]) -> WriteResult:
    """Repeat an edit whose head moved under it; an edit with a base then finds the conflict and reports it."""
    moved = HeadMoved("not tried")
    for _ in range(_ATTEMPTS):
        try:
            return attempt()
        except _Conflict as error:
            raise HeadMoved(str(error)) from None
        except HeadMoved as error:
            moved = error
    raise HeadMoved(f"{moved}, {_ATTEMPTS} times in a row") from moved


class _Conflict(HeadMoved):
    """The head is not the base of the edit, so another attempt cannot succeed."""


def _check_base(entity_id: str, head: Head | None, base: int | None) -> None:
    stored = head.revision_id if head else 0
    if base is None or base == stored:
        return
    if head is None:
        raise _Conflict(f"{entity_id}: edit of r{base}, but no revision is stored")
    if base == 0:
        raise _Conflict(f"{entity_id}: expected no entity under this id, but r{stored} is stored")
    raise _Conflict(f"{entity_id}: edit of r{base}, but the head is r{stored}; read the entity again")


def _parse(entity: EntityJson) -> dict[str, Any]:
    """Read JSON text strictly; an object that is already parsed must hold nothing that JSON cannot hold."""
    if not isinstance(entity, bytes):
        try:
            # Read back from its own text, so that the checked entity is the stored one.
            entity = orjson.dumps(dict(entity) if isinstance(entity, Mapping) else entity)
        except TypeError as error:
            raise BadEntity(f"cannot be written as JSON: {error}", _find_foreign(entity)) from None
    parsed = parse(entity)
    if parsed.duplicates:
        path = parsed.duplicates[0]
        raise BadEntity(f"the key {path[-1]!r} is given twice; one of the two would be lost", show_path(path))
    if not isinstance(parsed.value, dict):
        raise BadEntity("is not an entity object")
    return parsed.value


def _find_foreign(value: Any, path: tuple[str | int, ...] = ()) -> str:
    """Return the JSON path of the innermost part that cannot be written."""
    inner: list[tuple[str | int, Any]] = []
    if isinstance(value, Mapping):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    for key, part in inner:
        try:
            orjson.dumps(part)
        except TypeError:
            return _find_foreign(part, (*path, key))
    return show_path(path)


def _check_id(entity_id: str) -> None:
    if parse_id(entity_id, place="entity_id").part:
        raise BadInput(f"{entity_id} is a part of a lexeme, not an entity", "entity_id")


def _check_base_argument(base: int | None) -> int | None:
    return None if base is None else _check_number(base, 0, MAX_ID, "base_revision_id")


def _check_number(value: int, least: int, most: int, place: str) -> int:
    if type(value) is not int or not least <= value <= most:
        raise BadInput(f"is {value!r:.60}, expected a whole number from {least} to {most}", place)
    return value
