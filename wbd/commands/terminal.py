"""Tables for people: as wide as the terminal; without a terminal, wide enough that no line is folded."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

# Columns for a pipe or a log, where rich would fold lines at 80.
_WIDTH_WITHOUT_TERMINAL = 220


def print_table(table: Table) -> None:
    """Write a table to standard output; without a terminal, remove the blanks that rich puts at the ends of lines."""
    if sys.stdout.isatty():
        Console(highlight=False).print(table)
        return
    console = Console(highlight=False, width=_WIDTH_WITHOUT_TERMINAL)
    with console.capture() as captured:
        console.print(table)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
