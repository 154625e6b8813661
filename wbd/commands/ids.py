"""``wbd ids``: take ids from this host's id server, and see what it has."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import orjson

from wbd.api.gather import worker_health
from wbd.errors import IdsUnavailable
from wbd.ids.client import IdClient
from wbd.ids.entity_id import EntityType
from wbd.runtime.health import processes
from wbd.settings import load

_TYPES = ", ".join(EntityType)


def take(args: argparse.Namespace) -> int:
    """Print new ids, one a line."""
    settings = load().settings
    if not processes(settings.run_dir, "id_generation"):
        raise IdsUnavailable("no id_generation worker runs on this host; start the group with: wbd up")
    left = args.count
    taken: list[str] = []
    with IdClient(settings.ids_socket_path, timeout_s=settings.ids_wait_s + 5.0) as client:
        while left:
            ids = client.take(args.type, min(left, settings.ids_max_count))
            left -= len(ids)
            if args.json:
                taken += ids
            else:
                sys.stdout.write("".join(f"{entity_id}\n" for entity_id in ids))
    if args.json:
        sys.stdout.write(orjson.dumps(taken).decode() + "\n")
    return 0


def status(args: argparse.Namespace) -> int:
    """Print the id server's health; exit code 1 when it is not ready."""
    settings = load().settings
    found = worker_health(settings.run_dir, "id_generation")
    sys.stdout.write(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() + "\n")
    return 0 if found.get("ready") else 1


def add_arguments(commands: Any) -> None:
    """Add the parser of ``wbd ids``."""
    parser = commands.add_parser("ids", help="take ids from this host's id server")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    taker = actions.add_parser(
        "take", help="take new ids; each is given once", epilog="examples: wbd ids take item -n 5 | wbd ids take lexeme"
    )
    taker.add_argument("type", choices=[kind.value for kind in EntityType], metavar="TYPE", help=_TYPES)
    taker.add_argument("-n", "--count", type=_positive, default=1, help="how many (default 1)")
    taker.add_argument("--json", action="store_true", help="one JSON array")
    taker.set_defaults(run=take)
    shower = actions.add_parser("status", help="the id server's ranges and counts, as JSON")
    shower.set_defaults(run=status)


def _positive(text: str) -> int:
    value = int(text) if text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} not allowed; allowed: a whole number from 1")
    return value
