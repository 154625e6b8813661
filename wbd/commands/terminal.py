"""Tables for people: as wide as the terminal, and never folded where there is none."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

# What a pipe or a log gets; rich would fold everything to 80 columns there.
_WIDTH_WITHOUT_TERMINAL = 220


def print_table(table: Table) -> None:
    """Write a table to standard output."""
    width = None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL
    Console(highlight=False, width=width).print(table)
