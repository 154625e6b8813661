"""wbd dev: create or check buckets, tables and topics."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from wbd.provision import command
from wbd.settings.load import load
from wbd.settings.settings import Settings

# The settings without which a command cannot begin.
_SERVERS: dict[str, tuple[Callable[[Settings], object], ...]] = {
    "create_buckets": (Settings.objects_address,),
    "create_tables": (Settings.database_address,),
    "create_topics": (Settings.brokers,),
    "check": (Settings.objects_address, Settings.database_address, Settings.brokers),
}


def add_arguments(commands: Any) -> None:
    """Add ``wbd dev``."""
    parser = commands.add_parser(
        "dev",
        help="create or check buckets, tables and topics",
        description="Create or check the buckets, tables and topics that wbd needs; create_tables also brings the"
        " tables of an earlier release up to date, while its workers run. Exit code 0: all is well; 1:"
        " something is missing or wrong; 2: a server does not answer.",
        epilog="examples: wbd dev create_buckets create_tables create_topics | wbd dev check --json",
    )
    command.add_arguments(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    settings = load().settings
    # Check the settings of every command before the first one starts: half of a list done is worse than none.
    for name in args.command:
        for address in _SERVERS[name]:
            address(settings)
    return command.run(args, settings)
