"""Tables for people: as wide as the terminal, and never folded where there is none."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

# What a pipe or a log gets; rich would fold everything to 80 columns there.
_WIDTH_WITHOUT_TERMINAL = 220


def print_table(table: Table) -> None:
    """Write a table to standard output; without a terminal no line ends in blanks, which rich fills columns with."""
    if sys.stdout.isatty():
        Console(highlight=False).print(table)
        return
    console = Console(highlight=False, width=_WIDTH_WITHOUT_TERMINAL)
    with console.capture() as captured:
        console.print(table)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
