"""The command line that creates and checks buckets, tables and topics: ``wbd dev``, ``python -m wbd.workers.dev``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

import orjson

from wbd.errors import ConfigError, WbdError
from wbd.provision.servers import Item, check, create_buckets, create_tables, create_topics
from wbd.settings.load import load
from wbd.settings.settings import Settings

_EXIT_OK, _EXIT_WRONG, _EXIT_TROUBLE = 0, 1, 2


COMMANDS: dict[str, Callable[[Settings], Iterator[Item]]] = {
    "create_buckets": create_buckets,
    "create_tables": create_tables,
    "create_topics": create_topics,
    "check": check,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command line."""
    parser.add_argument("command", nargs="+", choices=list(COMMANDS), metavar="COMMAND", help=", ".join(COMMANDS))
    parser.add_argument("--json", action="store_true", help="one JSON object for each item")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """
    Run the commands in order and print one line for each item.

    Returns:
        0 all is well, 1 something is missing or wrong, 2 a server does not answer.
    """
    code = _EXIT_OK
    for command in args.command:
        try:
            for item in COMMANDS[command](settings):
                print_item(item, as_json=args.json)
                code = max(code, _EXIT_WRONG if item.is_wrong else _EXIT_OK)
        except ConfigError:
            raise
        except WbdError as error:
            sys.stderr.write(f"wbd dev {command}: {error}\n")
            code = _EXIT_TROUBLE
    return code


def print_item(item: Item, *, as_json: bool) -> None:
    """Write one item to standard output, for people or for programs."""
    if as_json:
        sys.stdout.write(orjson.dumps(asdict(item)).decode() + "\n")
    else:
        sys.stdout.write(f"{item.state:8} {item.kind:7} {item.name}{'  ' + item.detail if item.detail else ''}\n")
    sys.stdout.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """The body of ``python -m wbd.workers.dev``."""
    parser = argparse.ArgumentParser(
        prog="python -m wbd.workers.dev",
        description="Create or check the buckets, tables and topics that wbd needs.",
        epilog="example: python -m wbd.workers.dev create_buckets create_tables create_topics",
    )
    add_arguments(parser)
    args = parser.parse_args(argv)
    try:
        return run(args, load().settings)
    except ConfigError as error:
        sys.stderr.write(f"wbd: {error}\n")
        return error.exit_code
