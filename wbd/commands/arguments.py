"""Numbers on the command line, with bounds; what is outside is refused with what is allowed."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Return a converter for argparse."""

    def convert(text: str) -> int:
        # As many digits as the bound has: Python refuses to read thousands.
        digits = text if text.isascii() and text.isdigit() and len(text) <= 20 else "-1"
        value = int(digits)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} not allowed; allowed: a whole number from {least} to {most}")
        return value

    return convert


def seconds(least: float, most: float) -> Callable[[str], float]:
    """Return a converter for argparse."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} not allowed; allowed: seconds from {least:g} to {most:g}")
        return value

    return convert
