"""``wbd entity``: write, redirect, delete and read one entity by hand, as an API process does."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import orjson
from rich.table import Table
from rich.text import Text

from wbd.commands.arguments import whole_number
from wbd.commands.terminal import print_table
from wbd.entity.ids import MAX_ID
from wbd.errors import BadEntity, BadInput, EditRefused, HeadMoved
from wbd.importing.reader import read_entities
from wbd.revisions import MAX_HISTORY, MAX_USER_ID, Revision, Revisions, WriteResult
from wbd.runtime.clock import iso
from wbd.settings.load import load
from wbd.settings.settings import Settings
from wbd.wiki import Wiki

_EXIT_REFUSED = 1
_DEFAULT_HISTORY = 50


def add_arguments(commands: Any) -> None:
    """Add the parsers of ``wbd entity``."""
    parser = commands.add_parser(
        "entity",
        help="write, redirect, delete and read one entity",
        description="Write, redirect, delete and read one entity by hand. Exit code 0: done; 1: refused, because there"
        " is no such entity or revision, or the head is not the one given with --base; 2: bad input, or trouble.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    put_parser = actions.add_parser(
        "put",
        help="store an entity as its next revision",
        description="Store one entity: create it, edit it, or bring it back after a deletion. FILE holds its JSON, or"
        " Special:EntityData JSON of one entity, compressed or not.",
        epilog="examples: wbd entity put Q42.json --summary 'new label' --base 7 | wbd entity put - < Q42.json",
    )
    put_parser.add_argument("file", metavar="FILE", help="a file, or - for standard input")
    _add_edit_options(put_parser)
    put_parser.set_defaults(run=put)

    delete_parser = actions.add_parser(
        "delete",
        help="delete an entity",
        description="Delete an entity. Its revisions stay readable, and wbd entity put brings it back.",
        epilog="example: wbd entity delete Q42 --summary 'test item' --user 5",
    )
    delete_parser.add_argument("id", metavar="ID", help="the entity, such as Q42")
    _add_edit_options(delete_parser)
    delete_parser.set_defaults(run=delete)

    redirect_parser = actions.add_parser(
        "redirect",
        help="replace an entity by a redirect",
        description="Replace an entity by a redirect to another one of its type.",
        epilog="example: wbd entity redirect Q43 Q42 --summary 'the same novel'",
    )
    redirect_parser.add_argument("id", metavar="FROM", help="the entity that becomes a redirect")
    redirect_parser.add_argument("target", metavar="TO", help="the entity that it leads to")
    _add_edit_options(redirect_parser)
    redirect_parser.set_defaults(run=redirect)

    get_parser = actions.add_parser(
        "get",
        help="print an entity",
        description="Print the JSON of an entity's head, or of one of its revisions.",
        epilog="examples: wbd entity get Q42 | wbd entity get Q42 --revision 7 > Q42-r7.json",
    )
    get_parser.add_argument("id", metavar="ID", help="the entity, such as Q42")
    get_parser.add_argument("--revision", type=whole_number(1, MAX_ID), metavar="N", help="not the head but revision N")
    get_parser.set_defaults(run=get)

    history_parser = actions.add_parser(
        "history",
        help="list the revisions of an entity",
        description="List the revisions of an entity, the latest first.",
        epilog="examples: wbd entity history Q42 | wbd entity history Q42 --limit 10 --before 7 --json",
    )
    history_parser.add_argument("id", metavar="ID", help="the entity, such as Q42")
    history_parser.add_argument(
        "--limit",
        type=whole_number(1, MAX_HISTORY),
        default=_DEFAULT_HISTORY,
        metavar="N",
        help=f"at most N revisions (default: {_DEFAULT_HISTORY})",
    )
    history_parser.add_argument(
        "--before", type=whole_number(1, MAX_ID), metavar="N", help="only revisions with a number under N"
    )
    history_parser.add_argument("--json", action="store_true", help="the revisions as a JSON list")
    history_parser.set_defaults(run=history)


def put(args: argparse.Namespace) -> int:
    """Store the entity of a file; exit code 1 when the head is not the base."""
    settings = load().settings
    place, entity = _read(args.file, settings.import_max_line_bytes)
    with _open(settings) as revisions:
        try:
            result = revisions.put(entity, user_id=args.user, summary=args.summary, base_revision_id=args.base)
        except BadEntity as error:
            raise error.at(place, ": ") from None
        except (EditRefused, HeadMoved) as error:
            return _refused(error)
    return _done(result, json=args.json)


def delete(args: argparse.Namespace) -> int:
    """Delete an entity; exit code 1 when there is none, or the head is not the base."""
    with _open(load().settings) as revisions:
        try:
            result = revisions.delete(args.id, user_id=args.user, summary=args.summary, base_revision_id=args.base)
        except (EditRefused, HeadMoved) as error:
            return _refused(error)
    return _done(result, json=args.json)


def redirect(args: argparse.Namespace) -> int:
    """Replace an entity by a redirect; exit code 1 when either is not there, or the head is not the base."""
    with _open(load().settings) as revisions:
        try:
            result = revisions.redirect(
                args.id, args.target, user_id=args.user, summary=args.summary, base_revision_id=args.base
            )
        except (EditRefused, HeadMoved) as error:
            return _refused(error)
    return _done(result, json=args.json)


def get(args: argparse.Namespace) -> int:
    """Print an entity's JSON; exit code 1 when there is none, or it is deleted."""
    with _open(load().settings) as revisions:
        stored = revisions.get(args.id, args.revision)
    if stored is None:
        return _refused(f"{args.id}: no such {'entity' if args.revision is None else f'revision: r{args.revision}'}")
    if stored.revision.is_deletion:
        return _refused(f"{args.id}: deleted in r{stored.revision.revision_id}")
    sys.stdout.write(orjson.dumps(stored.data, option=orjson.OPT_INDENT_2).decode() + "\n")
    return 0


def history(args: argparse.Namespace) -> int:
    """Print revisions; exit code 1 when there is no such entity."""
    with _open(load().settings) as revisions:
        rows = revisions.history(args.id, limit=args.limit, before=args.before)
    if not rows and args.before is None:
        return _refused(f"{args.id}: no such entity")
    if args.json:
        shown = [asdict(revision) | {"created_at": iso(revision.created_at)} for revision in rows]
        sys.stdout.write(orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        print_table(_table(rows))
    return 0


def _add_edit_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--summary", default="", metavar="TEXT", help="edit summary of the revision")
    parser.add_argument("--user", type=whole_number(1, MAX_USER_ID), metavar="N", help="user of the wiki")
    parser.add_argument(
        "--base",
        type=whole_number(0, MAX_ID),
        metavar="N",
        help="refuse unless revision N is the head; 0: unless there is no such entity",
    )
    parser.add_argument("--json", action="store_true", help="the result as a JSON object")


@contextmanager
def _open(settings: Settings) -> Iterator[Revisions]:
    with Wiki(settings, connections=2) as wiki:
        yield wiki.revisions


def _read(path: str, max_bytes: int) -> tuple[str, dict[str, Any]]:
    """
    Return the one entity of a file, and where in which file it is.

    Raises:
        BadInput: not readable, not JSON, or not exactly one entity.
    """
    name = "standard input" if path == "-" else path
    entity: tuple[str, dict[str, Any]] | None = None
    for line in read_entities(path, max_bytes):
        place = f"{name}: line {line.number}"
        if line.entity is None:
            raise (line.rejection or BadInput("no entity")).at(place, ": ")
        if entity is not None:
            raise BadInput("holds more than one entity; wbd import takes such files", name)
        entity = (place, line.entity)
    if entity is None:
        raise BadInput("holds no entity", name)
    return entity


def _done(result: WriteResult, *, json: bool) -> int:
    if json:
        sys.stdout.write(orjson.dumps(asdict(result), option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        before = f", replaces r{result.parent_revision_id}" if result.parent_revision_id else ""
        sys.stdout.write(f"{result.entity_id} {result.outcome}: r{result.revision_id}{before}\n")
    return 0


def _refused(why: object) -> int:
    sys.stderr.write(f"wbd entity: {why}\n")
    return _EXIT_REFUSED


def _table(revisions: list[Revision]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("REVISION", "PARENT"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("OPERATION", no_wrap=True)
    for heading in ("USER", "BYTES"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("RECORDED", no_wrap=True)
    table.add_column("SUMMARY")
    for one in revisions:
        table.add_row(
            str(one.revision_id),
            str(one.parent_revision_id or ""),
            one.operation,
            str(one.editor_id or ""),
            str(one.snapshot_bytes),
            iso(one.created_at),
            # As plain text: brackets in a summary are no markup.
            Text(one.edit_summary),
        )
    return table
