"""``wbd diff-worker``: publish entities in full again, and list the revisions that could not be diffed."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from datetime import UTC, datetime

import orjson
from rich.table import Table

from wbd.commands.arguments import seconds, whole_number
from wbd.commands.terminal import print_table
from wbd.diff_stream.requests import Answer, DiffRequests
from wbd.entity.ids import parse_id
from wbd.errors import BadInput
from wbd.runtime.clock import Clock, SystemClock, iso
from wbd.settings.load import load
from wbd.wiki import Wiki

_EXIT_OK, _EXIT_SET_ASIDE, _EXIT_TROUBLE = 0, 1, 2
_LOOK_EVERY_S = 0.2
_MAX_ENTITIES = 1000


def reconcile(args: argparse.Namespace) -> int:
    """Ask the workers for entities in full and wait for the answers."""
    entity_ids = list(dict.fromkeys(map(_checked, args.entity)))
    if len(entity_ids) > _MAX_ENTITIES:
        raise BadInput(f"{len(entity_ids)} entities at once, at most {_MAX_ENTITIES}; nothing was requested")
    with Wiki(load().settings) as wiki:
        requests = DiffRequests(wiki.database)
        if unknown := requests.unknown(entity_ids):
            raise BadInput(f"no entity {', '.join(unknown)} in this wiki; nothing was requested")
        asked_at = requests.ask(entity_ids)
        if args.timeout == 0:
            return _EXIT_OK
        answers = _wait(requests, entity_ids, asked_at, args, SystemClock())
    late = [entity_id for entity_id in entity_ids if entity_id not in answers]
    if late:
        sys.stderr.write(
            f"wbd diff-worker reconcile: {', '.join(late)} not published within {args.timeout:g} s; the request stays. "
            "Does an entity_diff worker run (wbd status), and is the snapshot there?\n"
        )
        return _EXIT_TROUBLE
    return _EXIT_SET_ASIDE if any(answer.reason for answer in answers.values()) else _EXIT_OK


def failures(args: argparse.Namespace) -> int:
    """Print the revisions that were set aside, newest first."""
    with Wiki(load().settings) as wiki:
        rows = DiffRequests(wiki.database).set_aside(args.limit)
    if args.json:
        for each in rows:
            line = asdict(each) | {"failed_at": iso(each.failed_at.replace(tzinfo=UTC))}
            sys.stdout.write(orjson.dumps(line).decode() + "\n")
        return _EXIT_OK
    if not rows:
        sys.stdout.write("nothing is set aside\n")
        return _EXIT_OK
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("entity", "revision", "set aside (UTC)", "why"):
        table.add_column(column)
    for each in rows:
        table.add_row(each.entity_id, str(each.revision_id), f"{each.failed_at:%Y-%m-%d %H:%M:%S}", each.reason)
    print_table(table)
    return _EXIT_OK


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command line."""
    parser = commands.add_parser(
        "diff-worker",
        help="publish entities in full again, list revisions that could not be diffed",
        description="Look after the entity diff workers on all hosts.",
        epilog="examples: wbd diff-worker reconcile Q42 | wbd diff-worker failures",
    )
    actions = parser.add_subparsers(required=True, metavar="COMMAND")
    one = actions.add_parser(
        "reconcile",
        help="publish entities in full",
        description=(
            "Publish the head of each entity in full, as an event with the operation reconcile: consumers replace the"
            " triples that they hold. The worker that owns the entity publishes it, in order with its other events."
        ),
        epilog="examples: wbd diff-worker reconcile Q42 P31 | wbd diff-worker reconcile --timeout 0 Q42 (do not wait)",
    )
    one.add_argument("entity", nargs="+", metavar="ID", help="such as Q42")
    one.add_argument(
        "--timeout",
        type=seconds(0.0, 86_400.0),
        default=60.0,
        metavar="S",
        help="seconds to wait (default 60; 0: none)",
    )
    one.add_argument("--json", action="store_true", help="one JSON object per entity")
    one.set_defaults(run=reconcile)
    other = actions.add_parser(
        "failures",
        help="list revisions that were set aside",
        description="Print the revisions that have no event, newest first, with the reason for each.",
        epilog="example: wbd diff-worker failures --limit 5 --json",
    )
    other.add_argument(
        "--limit", type=whole_number(1, 100_000), default=50, metavar="N", help="print at most N (default 50)"
    )
    other.add_argument("--json", action="store_true", help="one JSON object per revision")
    other.set_defaults(run=failures)


def _wait(
    requests: DiffRequests, entity_ids: list[str], asked_at: datetime, args: argparse.Namespace, clock: Clock
) -> dict[str, Answer]:
    """Print each answer as it comes."""
    answers: dict[str, Answer] = {}
    end_mono_s = clock.mono_s() + args.timeout
    while len(answers) < len(entity_ids) and clock.mono_s() < end_mono_s:
        clock.sleep(_LOOK_EVERY_S)
        for entity_id, answer in requests.answers(entity_ids, asked_at).items():
            if entity_id not in answers:
                answers[entity_id] = answer
                _print(answer, as_json=args.json)
    return answers


def _print(answer: Answer, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(orjson.dumps(asdict(answer)).decode() + "\n")
    elif answer.reason:
        sys.stdout.write(f"{answer.entity_id}: set aside: {answer.reason}\n")
    else:
        sys.stdout.write(f"{answer.entity_id}: r{answer.revision_id} published whole\n")
    sys.stdout.flush()


def _checked(text: str) -> str:
    entity_id = parse_id(text)
    if entity_id.part:
        raise BadInput(f"{text} is a part of {entity_id.entity}, not an entity")
    return text
