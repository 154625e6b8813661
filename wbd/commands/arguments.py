"""Numbers on the command line; one outside its bounds is refused with the allowed range."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Return a converter for argparse that accepts whole numbers from *least* to *most*."""

    def convert(text: str) -> int:
        # Longer texts are over every bound, and Python refuses to read numbers of thousands of digits.
        digits = text if text.isascii() and text.isdigit() and len(text) <= 20 else "-1"
        value = int(digits)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} not allowed; allowed: a whole number from {least} to {most}")
        return value

    return convert


def seconds(least: float, most: float) -> Callable[[str], float]:
    """Return a converter for argparse that accepts seconds from *least* to *most*."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} not allowed; allowed: seconds from {least:g} to {most:g}")
        return value

    return convert
