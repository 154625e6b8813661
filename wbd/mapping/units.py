"""Quantities in standard units: exact products, rounded to the digits that the bounds make certain."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final

UnitConversion = tuple[str, str]
"""Factor as a decimal without a sign, and IRI of the standard unit."""

# Two amounts of at most 127 characters multiply exactly within this.
_EXACT: Final = Context(prec=300)

# Keeps the logarithm of a power of ten from falling just under its exponent, as in Wikibase.
_LOG_NUDGE: Final = 0.0000000005


def _product(amount: str, factor: str) -> str:
    product = _EXACT.multiply(Decimal(amount), Decimal(factor))
    text = f"{product:f}"
    return text if text[0] == "-" else f"+{text}"


def _fraction_digits(amount: str) -> int:
    return len(amount.partition(".")[2])


def _order_of_uncertainty(amount: str, upper: str, lower: str) -> int:
    """Return the exponent of the last certain digit: the magnitude of the distance to the nearer bound."""
    distance = min(float(amount) - float(lower), float(upper) - float(amount))
    if distance == 0:
        return -_fraction_digits(amount)
    return math.floor(math.log10(distance + _LOG_NUDGE))


def _round(amount: str, exponent: int) -> str:
    """Round half away from zero; an exponent over all digits gives zero."""
    whole_digits = len(amount.partition(".")[0]) - 1
    if exponent >= whole_digits:
        return "+0"
    if exponent < 0 and _fraction_digits(amount) <= -exponent:
        return amount
    rounded = Decimal(amount[1:]).quantize(Decimal(1).scaleb(exponent), rounding=ROUND_HALF_UP, context=_EXACT)
    # Wikibase has no negative zero.
    return f"{amount[0] if rounded else '+'}{rounded:f}"


def convert(amount: str, upper: str | None, lower: str | None, factor: str) -> tuple[str, str | None, str | None]:
    """
    Multiply an amount and its bounds by *factor*.

    An amount without bounds, or equal to one of them, is exact and keeps all its digits.
    """
    product = _product(amount, factor)
    if upper is None or lower is None:
        return product, None, None
    upper, lower = _product(upper, factor), _product(lower, factor)
    exponent = _order_of_uncertainty(product, upper, lower)
    return _round(product, exponent), _round(upper, exponent), _round(lower, exponent)
