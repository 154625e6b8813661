"""Wikibase timestamps to xsd:dateTime.

A timestamp looks like ISO 8601 with a signed year of up to 16 digits, months and days that may be 00, and
years before Christ counted without a year zero. xsd:dateTime (XSD 1.1) wants real months and days, at
least four digits of year, and 1 BCE as year 0000. Wikibase converts from the Julian calendar only when
the day is known.
"""

from __future__ import annotations

from typing import Final

from wbd.mapping.vocabulary import GREGORIAN, JULIAN

PRECISION_YEAR: Final = 9
PRECISION_MONTH: Final = 10
PRECISION_DAY: Final = 11

# Outside these years PHP's calendar functions, and so Wikibase, take a Julian date for a Gregorian one.
_JULIAN_FIRST_YEAR: Final = -4713
_JULIAN_LAST_YEAR: Final = 1465072

# Leap years of earlier years are looked up as this one.
_OLDEST_LEAP_LOOKUP: Final = 4713


def _is_leap(astronomical_year: int) -> bool:
    return astronomical_year % 4 == 0 and (astronomical_year % 100 != 0 or astronomical_year % 400 == 0)


def _days_in_month(month: int, astronomical_year: int) -> int:
    if month == 2:
        return 29 if _is_leap(astronomical_year) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def _julian_day_number(astronomical_year: int, month: int, day: int) -> int:
    """Count days from 1 January 4713 BCE of the Julian calendar, which is day 0."""
    # Years start in March here, so that the leap day is the last one.
    year = astronomical_year + 4800 - (month <= 2)
    march_month = month - 3 if month > 2 else month + 9
    return day + (153 * march_month + 2) // 5 + 365 * year + year // 4 - 32083


def _gregorian_date(day_number: int) -> tuple[int, int, int]:
    """Return astronomical year, month and day of a Julian day number."""
    days = day_number + 32044
    century, days = divmod(4 * days + 3, 146097)
    days = days // 4
    year, days = divmod(4 * days + 3, 1461)
    days = days // 4
    march_month, days = divmod(5 * days + 2, 153)
    month = march_month + 3 if march_month < 10 else march_month - 9
    year = 100 * century + year - 4800 + (march_month >= 10)
    return year, month, days // 5 + 1


def _julian_to_gregorian(minus: bool, year: str, month: int, day: int) -> tuple[int, int, int] | None:
    signed = -int(year) if minus else int(year)
    if not _JULIAN_FIRST_YEAR <= signed <= _JULIAN_LAST_YEAR:
        return None
    day_number = _julian_day_number(signed + 1 if signed < 0 else signed, month, day)
    # Day 0 is PHP's way of saying that a date is invalid, so Wikibase cannot convert it.
    return _gregorian_date(day_number) if day_number > 0 else None


def xsd_datetime(timestamp: str, precision: int, calendar: str) -> str | None:
    """
    Return the lexical form of xsd:dateTime for a normalized timestamp.

    Returns:
        None where there is no such form: year zero, or a calendar that is neither Gregorian nor Julian with
        a precision of days. Wikibase then writes the timestamp itself as a plain string.
    """
    minus = timestamp[0] == "-"
    date, _, clock = timestamp[1:].partition("T")
    year, month_digits, day_digits = date.split("-")
    month = int(month_digits) or 1
    day = int(day_digits) or 1
    year = year.lstrip("0")
    if not year:
        return None
    if precision >= PRECISION_DAY and calendar != GREGORIAN:
        if calendar != JULIAN:
            return None
        converted = _julian_to_gregorian(minus, year, month, day)
        if converted is not None:
            number, month, day = converted
            return f"{'-' if number < 0 else ''}{abs(number):04d}-{month:02d}-{day:02d}T{clock}"
    if precision <= PRECISION_YEAR:
        month = day = 1
    elif precision == PRECISION_MONTH:
        day = 1
    if day > 28:
        astronomical = 1 - min(int(year), _OLDEST_LEAP_LOOKUP) if minus else int(year)
        day = min(day, _days_in_month(month, astronomical))
    if minus and precision >= PRECISION_YEAR:
        # Through a float, as Wikibase does it: years over 2**53 lose their last digits.
        year = str(int(float(year) - 1))
        minus = year != "0"
    return f"{'-' if minus else ''}{year.zfill(4)}-{month:02d}-{day:02d}T{clock}"
