"""wbd config: print the settings in force and the origin of each."""

from __future__ import annotations

import argparse
import difflib
import sys
from typing import Any

import orjson
from rich.table import Table

from wbd.commands.terminal import print_table
from wbd.errors import BadInput
from wbd.settings.load import load, shown
from wbd.settings.settings import Settings


def config(args: argparse.Namespace) -> int:
    """
    Print every setting, its value (secrets as ***) and its origin.

    Raises:
        BadInput: no setting's name contains one of the parts.
    """
    loaded = load()
    for part in args.name:
        if not any(part.lower() in name for name in Settings.model_fields):
            raise BadInput(f"no setting's name contains {part!r}{_suggestion(part)}; all: wbd config")
    rows = [
        {"name": name, "value": shown(loaded.settings, name), "origin": loaded.origins[name]}
        for name in Settings.model_fields
        if not args.name or any(part.lower() in name for part in args.name)
    ]
    if args.json:
        sys.stdout.write(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode() + "\n")
        return 0
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("SETTING", "VALUE", "FROM", "MEANING"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "SETTING")
    for row in rows:
        meaning = Settings.model_fields[row["name"]].description or ""
        table.add_row(row["name"], row["value"], row["origin"], meaning)
    print_table(table)
    return 0


def _suggestion(part: str) -> str:
    """Return the settings, or words of their names, that resemble *part*."""
    words = {word for name in Settings.model_fields for word in name.split("_")}
    close = difflib.get_close_matches(part.lower(), [*Settings.model_fields, *sorted(words)], n=3, cutoff=0.7)
    return f"; did you mean {', '.join(close)}?" if close else ""


def add_arguments(commands: Any) -> None:
    """Add the parser of ``wbd config``."""
    parser = commands.add_parser(
        "config",
        help="show the settings in force and where each came from",
        description="Settings come from environment variables, a file (WBD_SETTINGS_FILE, else /etc/wbd/wbd.env), a"
        " running group, or their defaults. Secrets are shown as ***.",
        epilog="examples: wbd config | wbd config kafka s3_ | wbd config --json",
    )
    parser.add_argument("name", nargs="*", metavar="PART", help="only settings whose name contains this")
    parser.add_argument("--json", action="store_true", help="one JSON array")
    parser.set_defaults(run=config)
