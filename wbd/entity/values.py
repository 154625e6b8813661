"""Read the values of snaks as Wikibase reads them, and find out why a value is broken. Pure.

A value is broken when Wikibase cannot read it: Wikibase then keeps the snak as it is and writes no triple for its
value. fault_of explains a broken value; the builders of the mapping (mapping/values.py) use the same functions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Container
from decimal import Decimal
from reprlib import Repr
from typing import Any, Final

from wbd.entity.ids import repository_of, value_id
from wbd.entity.walk import TRIMMED
from wbd.errors import BadEntity

_AMOUNT: Final = re.compile(r"[-+](?:[1-9][0-9]*|[0-9])(?:\.[0-9]+)?")
_ZERO: Final = re.compile(r"[-+]0+(?:\.0+)?")
# Wikibase's limit on the digits of a decimal, sign and point included.
_AMOUNT_CHARACTERS_MAX: Final = 127

_TIMESTAMP: Final = re.compile(r"([-+])(\d{1,16})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z", re.ASCII)
PRECISION_SECOND: Final = 14
_TIMEZONE_MIN_S: Final = -12 * 3600
_TIMEZONE_MAX_S: Final = 14 * 3600

# Text that PHP takes for a number where one is wanted.
_NUMERIC: Final = re.compile(r"[ \t\n\r\v\f]*[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?[ \t\n\r\v\f]*")
_DEGREES_MAX: Final = 360

_SHOWN_CHARACTERS: Final = 60


def decimal(value: Any) -> str | None:
    """
    Return an amount in Wikibase's form: a sign always, no minus on zero.

    Returns:
        None for None, and for text or a number that is no decimal or too long; Wikibase refuses such values.

    Raises:
        TypeError: neither text nor a number.
    """
    if value is None:
        return None
    if type(value) is int or type(value) is float:
        number = _as_float(value)
        if not math.isfinite(number):
            return None
        # Wikibase takes seventeen significant digits of a number.
        value = f"{Decimal(f'{number:+.16e}').normalize():+f}"
    if type(value) is not str:
        raise TypeError("not a decimal")
    amount = value.strip(TRIMMED)
    if amount and amount[0] not in "+-":
        amount = f"+{amount}"
    if len(amount) > _AMOUNT_CHARACTERS_MAX or not _AMOUNT.fullmatch(amount):
        return None
    return f"+{amount[1:]}" if amount[0] == "-" and _ZERO.fullmatch(amount) else amount


def are_bounds(lower: str, amount: str, upper: str) -> bool:
    """Tell whether *lower* <= *amount* <= *upper*, all of them results of decimal()."""
    return _order(lower) <= _order(amount) <= _order(upper)


def _order(amount: str) -> int:
    """Return a key that sorts amounts: their value as an integer over a common power of ten."""
    whole, _, fraction = amount.partition(".")
    return int(whole + fraction.ljust(_AMOUNT_CHARACTERS_MAX, "0"))


def degrees(value: Any) -> float:
    """
    Return a number of degrees, given as a number or as numeric text.

    Raises:
        TypeError, ValueError: no number, or beyond 360 either way.
    """
    if type(value) is str:
        if not _NUMERIC.fullmatch(value):
            raise ValueError("not a number")
        number = float(value)
    else:
        number = _as_float(value)
    if not -_DEGREES_MAX <= number <= _DEGREES_MAX:
        raise ValueError("beyond 360 degrees")
    return number


def _as_float(value: Any) -> float:
    if type(value) is not float and type(value) is not int:
        raise TypeError("not a number")
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def normalize_timestamp(timestamp: str) -> str | None:
    """
    Return the timestamp with a year of at least four digits and no needless zeros.

    ``+00000002013-00-00T00:00:00Z``, as old revisions have it, becomes ``+2013-00-00T00:00:00Z``.

    Returns:
        None where Wikibase refuses the timestamp.
    """
    match = _TIMESTAMP.fullmatch(timestamp)
    if match is None:
        return None
    sign, year, month, day, hour, minute, second = match.groups()
    if month > "12" or day > "31" or hour > "23" or minute > "59" or second > "61":
        return None
    if month == "00" and day != "00":
        return None
    if day == "00" and (hour, minute, second) != ("00", "00", "00"):
        return None
    year = year.lstrip("0").zfill(4)
    return f"{sign}{year}-{month}-{day}T{hour}:{minute}:{second}Z"


def is_time_range(timezone: int, before: int, after: int, precision: int) -> bool:
    """Tell whether Wikibase takes a time with these numbers: minutes, units of the precision, and the precision."""
    return (
        0 <= precision <= PRECISION_SECOND
        and _TIMEZONE_MIN_S <= timezone <= _TIMEZONE_MAX_S
        and before >= 0
        and after >= 0
    )


def fault_of(datavalue: Any, repositories: Container[str] = ()) -> BadEntity | None:
    """
    Return why a value is broken, with its place in the datavalue; None for a sound one.

    Args:
        repositories: names of foreign repositories whose entities can be values.
    """
    if not isinstance(datavalue, dict):
        return BadEntity(f"is {kind_of(datavalue)}, expected an object with type and value")
    kind = datavalue.get("type")
    if kind == "string" and type(datavalue.get("value")) is str:
        # Most values are text.
        return None
    check = _CHECKS.get(kind) if isinstance(kind, str) else None
    if check is None:
        return BadEntity(f"is {shown(kind)}, expected one of {', '.join(_CHECKS)}", "type")
    if "value" not in datavalue:
        return BadEntity("is missing", "value")
    try:
        check(datavalue["value"], repositories)
    except BadEntity as error:
        return error.at("value")
    return None


def _member(value: Any, name: str, *kinds: type) -> Any:
    """Return a member that has to be there. Raises BadEntity."""
    if name not in value:
        raise BadEntity("is missing", name)
    member = value[name]
    if type(member) not in kinds:
        raise BadEntity(f"is {kind_of(member)} ({shown(member)}), expected {kind_of(kinds[0]())}", name)
    return member


def _check_string(value: Any, _: Container[str]) -> None:
    if type(value) is not str:
        raise BadEntity(f"is {kind_of(value)}, expected text")


def _check_object(value: Any) -> None:
    if not isinstance(value, dict):
        raise BadEntity(f"is {kind_of(value)}, expected an object")


def _check_entity_id(value: Any, repositories: Container[str]) -> None:
    _check_object(value)
    try:
        repository = repository_of(value_id(value))
    except (KeyError, TypeError, ValueError):
        expected = "an entity id such as Q42, or the type and number of an item or property"
        raise BadEntity(f"is {shown(value)}, expected {expected}") from None
    if repository and repository not in repositories:
        raise BadEntity(f"is of the repository {repository}, which is not known here", "id")


def _check_text(value: Any, _: Container[str]) -> None:
    _check_object(value)
    _member(value, "text", str)
    if not _member(value, "language", str):
        raise BadEntity("is empty", "language")


def _check_time(value: Any, _: Container[str]) -> None:
    _check_object(value)
    if normalize_timestamp(_member(value, "time", str)) is None:
        raise BadEntity(f"is {shown(value['time'])}, expected a time such as +2013-01-02T00:00:00Z", "time")
    numbers = {name: _member(value, name, int) for name in ("timezone", "before", "after", "precision")}
    if not is_time_range(**numbers):
        raise BadEntity(f"has {', '.join(f'{name} {shown(each)}' for name, each in numbers.items())}: out of range")
    if not _member(value, "calendarmodel", str):
        raise BadEntity("is empty", "calendarmodel")


def _check_quantity(value: Any, _: Container[str]) -> None:
    _check_object(value)
    if "amount" not in value:
        raise BadEntity("is missing", "amount")
    amount = _check_decimal(value, "amount")
    if value.get("upperBound") is not None or value.get("lowerBound") is not None:
        lower, upper = _check_decimal(value, "lowerBound"), _check_decimal(value, "upperBound")
        if not are_bounds(lower, amount, upper):
            raise BadEntity(f"has the amount {shown(amount)} outside its bounds {shown(lower)} and {shown(upper)}")
    if not _member(value, "unit", str):
        raise BadEntity("is empty", "unit")


def _check_decimal(value: Any, name: str) -> str:
    given = value.get(name)
    try:
        read = decimal(given)
    except TypeError:
        read = None
    if read is None:
        raise BadEntity(f"is {shown(given)}, expected a decimal as text, of at most 127 characters", name)
    return read


def _check_coordinate(value: Any, _: Container[str]) -> None:
    _check_object(value)
    for name in ("latitude", "longitude", "precision"):
        if name == "precision" and value.get(name) is None:
            continue
        if name not in value:
            raise BadEntity("is missing", name)
        try:
            degrees(value[name])
        except (TypeError, ValueError):
            raise BadEntity(f"is {shown(value[name])}, expected a number of degrees within 360", name) from None
    if value.get("globe") is not None and not _member(value, "globe", str):
        raise BadEntity("is empty", "globe")


_CHECKS: Final[dict[str, Callable[[Any, Container[str]], None]]] = {
    "string": _check_string,
    "wikibase-entityid": _check_entity_id,
    "monolingualtext": _check_text,
    "time": _check_time,
    "quantity": _check_quantity,
    "globecoordinate": _check_coordinate,
}


_KINDS: Final = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "text", list: "a list"}


def kind_of(value: Any) -> str:
    """Name the JSON type of a value, for messages."""
    return _KINDS.get(type(value), "an object")


_repr: Final = Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = _SHOWN_CHARACTERS


def shown(value: Any) -> str:
    """Return a value as messages show it: in ASCII, of at most 60 characters."""
    try:
        text = ascii(value) if isinstance(value, str | float) else _repr.repr(value)
    except ValueError:
        # Python refuses to write integers of over 4,300 digits.
        text = "a huge number"
    text = text.encode("ascii", "backslashreplace").decode()
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."
