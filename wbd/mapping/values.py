"""Turn data values into RDF objects: a simple term, and for some types a value node with the details.

A builder takes the ``value`` of a datavalue and returns a term or a FullValue. For a broken one, which Wikibase cannot
read (entity/values.py), it returns None or raises one of BROKEN; build() makes None of both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from wbd.entity.ids import is_schema_id, mentioned_type, repository_of, value_id
from wbd.entity.values import are_bounds, decimal, degrees, is_time_range, normalize_timestamp
from wbd.entity.walk import TRIMMED
from wbd.mapping import hashes
from wbd.mapping.times import xsd_datetime
from wbd.mapping.units import UnitConversion, convert
from wbd.mapping.vocabulary import COMMONS_DATA, COMMONS_FILE, EARTH, UNIT_ONE, Vocabulary
from wbd.rdf.prefixes import GEO, RDF, WIKIBASE, XSD
from wbd.rdf.terms import (
    iri,
    is_absolute,
    language_suffix,
    literal,
    raw_quote,
    wiki_quote,
)


class FullValue:
    """
    A value that has more than a simple term: a value node, a normalized form, or both.

    Attributes:
        simple: object of wdt:, ps:, pq:, pr:.
        node: object of psv:, pqv:, prv:, or None.
        lines: the triples of the value node and of its normalized node.
        normalized: object of psn:, pqn:, prn:, or None.
        direct: object of wdtn:, or None.
    """

    __slots__ = ("direct", "lines", "node", "normalized", "simple")

    def __init__(
        self,
        simple: str,
        node: str | None = None,
        lines: tuple[str, ...] = (),
        normalized: str | None = None,
        direct: str | None = None,
    ) -> None:
        self.simple = simple
        self.node = node
        self.lines = lines
        self.normalized = normalized
        self.direct = direct


Term = str | FullValue
Builder = Callable[[Any], Term | None]
_TYPE: Final = f"<{RDF}type>"
_XSD_DECIMAL: Final = f"^^<{XSD}decimal>"
_XSD_DOUBLE: Final = f"^^<{XSD}double>"
_XSD_INTEGER: Final = f"^^<{XSD}integer>"
_XSD_DATETIME: Final = f"^^<{XSD}dateTime>"
_WKT: Final = f"^^<{GEO}wktLiteral>"

BROKEN: Final = (AttributeError, KeyError, OverflowError, TypeError, ValueError)
"""Exceptions that a broken value raises in code that takes its shape for granted."""

# Bound on remembered times: some 10 MB.
_TIMES_KEPT: Final = 10_000

# Precision that stands in for an unknown one: an arc second, from Wikibase.
_AUTO_PRECISION: Final = 1 / 3600


def _integer(value: Any) -> int:
    # The message does not show the value: it can be of any size. entity/values.py says what is wrong with it.
    if type(value) is not int:
        raise TypeError("not an integer")
    return value


def _string(value: Any) -> str:
    if type(value) is not str:
        raise TypeError("not a string")
    return value


def _iri_or_literal(text: str) -> str:
    """Return an IRI; text without a scheme becomes a literal, because it cannot be an IRI."""
    address = text.strip(TRIMMED)
    return iri(address) if is_absolute(address) else literal(address)


class ValueBuilders:
    """
    The builders of one vocabulary.

    Args:
        units: unit IRI -> conversion to its standard unit; a unit that converts to itself has factor "1".
        formula: TeX -> MathML. Without one, formulas are plain literals of their TeX.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        units: Mapping[str, UnitConversion],
        formula: Callable[[str], str] | None,
    ) -> None:
        self._vocabulary = vocabulary
        self._units = units
        self._formula = formula
        self._times: dict[tuple[str, int, int, int, int, str], FullValue | Literal[False]] = {}
        self._wd = f"<{vocabulary.namespaces.wd}"
        self._wdv = f"<{vocabulary.namespaces.wdv}"
        self.by_datatype: dict[str, Builder] = {
            "commonsMedia": self.commons_media,
            "geo-shape": self.commons_data,
            "tabular-data": self.commons_data,
            "url": self.url,
            "math": self.math,
            "entity-schema": self.entity_schema,
        }
        """Builders by the datatype of the property; they take precedence over by_type."""
        self.by_type: dict[str, Builder] = {
            "string": literal,
            "wikibase-entityid": self.entity,
            "monolingualtext": self.monolingual_text,
            "time": self.time,
            "quantity": self.quantity,
            "globecoordinate": self.coordinate,
        }
        """Builders by the type of the data value, for all other datatypes."""

    def commons_media(self, value: str) -> str:
        """Return the IRI that serves a file of Wikimedia Commons."""
        return f"<{COMMONS_FILE}{raw_quote(_string(value))}>"

    def commons_data(self, value: str) -> str:
        """Return the IRI of a data page of Wikimedia Commons."""
        return f"<{COMMONS_DATA}{wiki_quote(_string(value))}>"

    def url(self, value: str) -> str:
        """Return a URL as an IRI; as a literal when it has no scheme."""
        return _iri_or_literal(_string(value))

    def math(self, value: str) -> str:
        """Return a formula: MathML where it can be rendered, else its TeX."""
        if self._formula is None:
            return literal(_string(value))
        return f"{literal(self._formula(_string(value)))}^^<http://www.w3.org/1998/Math/MathML>"

    def entity_schema(self, value: str) -> str:
        """Return the IRI of an entity schema that is named by a string, as first snaks of this datatype had it."""
        name = _string(value).strip(TRIMMED)
        return f"{self._wd}{name}>" if is_schema_id(name) else literal(value)

    def external_id(self, value: str, pattern: str | None) -> Term:
        """Return an identifier, with its IRI when the property has a *pattern* with ``$1``."""
        identifier = _string(value).strip(TRIMMED)
        if pattern is None:
            return literal(identifier)
        link = iri(pattern.replace("$1", wiki_quote(identifier)))
        return FullValue(literal(identifier), normalized=link, direct=link)

    def entity(self, value: Mapping[str, Any]) -> str:
        """Return the IRI of an entity."""
        entity_id = value_id(value)
        if ":" in entity_id:
            if repository_of(entity_id) not in self._vocabulary.foreign:
                raise ValueError("an entity of an unknown repository")
            return f"<{self._vocabulary.entity_iri(entity_id)}>"
        return f"{self._wd}{entity_id}>"

    def monolingual_text(self, value: Mapping[str, Any]) -> str:
        """Return a text with its language."""
        language = _string(value["language"])
        if not language:
            raise ValueError("a text without language")
        return f"{literal(_string(value['text']))}{language_suffix(language)}"

    def time(self, value: Mapping[str, Any]) -> FullValue | None:
        """Return a point in time with precision, timezone and calendar."""
        timezone = _integer(value["timezone"])
        before = _integer(value["before"])
        after = _integer(value["after"])
        precision = _integer(value["precision"])
        calendar = _string(value["calendarmodel"])
        # References repeat the day of their retrieval, so that most times occur more than once.
        key = (_string(value["time"]), timezone, before, after, precision, calendar)
        known = self._times.get(key)
        if known is None:
            if len(self._times) >= _TIMES_KEPT:
                self._times.clear()
            known = self._times[key] = self._time(*key)
        return known or None

    def _time(
        self, time: str, timezone: int, before: int, after: int, precision: int, calendar: str
    ) -> FullValue | Literal[False]:
        timestamp = normalize_timestamp(time)
        if timestamp is None or not is_time_range(timezone, before, after, precision) or not calendar:
            return False
        stamp = xsd_datetime(timestamp, precision, calendar)
        simple = f'"{timestamp}"' if stamp is None else f'"{stamp}"{_XSD_DATETIME}'
        name = hashes.md5(hashes.time_serialization(timestamp, timezone, before, after, precision, calendar))
        node = f"{self._wdv}{name}>"
        return FullValue(
            simple,
            node,
            (
                f"{node} {_TYPE} <{WIKIBASE}TimeValue> .",
                f"{node} <{WIKIBASE}timeValue> {simple} .",
                f'{node} <{WIKIBASE}timePrecision> "{precision}"{_XSD_INTEGER} .',
                f'{node} <{WIKIBASE}timeTimezone> "{timezone}"{_XSD_INTEGER} .',
                f"{node} <{WIKIBASE}timeCalendarModel> {_iri_or_literal(calendar)} .",
            ),
        )

    def _quantity_node(self, amount: str, unit: str, upper: str | None, lower: str | None) -> tuple[str, list[str]]:
        name = hashes.md5(hashes.quantity_serialization(amount, unit, upper, lower))
        node = f"{self._wdv}{name}>"
        measured = f"<{UNIT_ONE}>" if unit.strip(TRIMMED) == "1" else _iri_or_literal(unit)
        lines = [
            f"{node} {_TYPE} <{WIKIBASE}QuantityValue> .",
            f'{node} <{WIKIBASE}quantityAmount> "{amount}"{_XSD_DECIMAL} .',
            f"{node} <{WIKIBASE}quantityUnit> {measured} .",
        ]
        if upper is not None and lower is not None:
            lines.append(f'{node} <{WIKIBASE}quantityUpperBound> "{upper}"{_XSD_DECIMAL} .')
            lines.append(f'{node} <{WIKIBASE}quantityLowerBound> "{lower}"{_XSD_DECIMAL} .')
        return node, lines

    def quantity(self, value: Mapping[str, Any]) -> FullValue | None:
        """Return an amount with unit, bounds, and the same in standard units where they are known."""
        amount = decimal(value["amount"])
        unit = _string(value["unit"])
        upper_value, lower_value = value.get("upperBound"), value.get("lowerBound")
        upper = lower = None
        if upper_value is not None or lower_value is not None:
            upper, lower = decimal(upper_value), decimal(lower_value)
            if upper is None or lower is None or amount is None:
                return None
            if not are_bounds(lower, amount, upper):
                return None
        if amount is None or not unit:
            return None
        simple = f'"{amount}"{_XSD_DECIMAL}'
        node, lines = self._quantity_node(amount, unit, upper, lower)
        conversion = self._units.get(unit) or self._units.get(f"{self._vocabulary.entity_base}{unit}")
        if conversion is None:
            return FullValue(simple, node, tuple(lines))
        factor, standard = conversion
        if standard == unit:
            lines.append(f"{node} <{WIKIBASE}quantityNormalized> {node} .")
            return FullValue(simple, node, tuple(lines), normalized=node)
        converted = convert(amount, upper, lower, factor)
        standard_node, standard_lines = self._quantity_node(converted[0], standard, *converted[1:])
        lines += standard_lines
        lines.append(f"{standard_node} <{WIKIBASE}quantityNormalized> {standard_node} .")
        lines.append(f"{node} <{WIKIBASE}quantityNormalized> {standard_node} .")
        return FullValue(simple, node, tuple(lines), normalized=standard_node)

    def coordinate(self, value: Mapping[str, Any]) -> FullValue | None:
        """Return a position with precision and globe."""
        latitude = degrees(value["latitude"])
        longitude = degrees(value["longitude"])
        precision = value.get("precision")
        if precision is not None:
            precision = degrees(precision)
        globe = value.get("globe")
        globe = EARTH if globe is None else _string(globe)
        if not globe:
            return None
        north, east = hashes.php_float(latitude), hashes.php_float(longitude)
        point = f"Point({east} {north})"
        if globe != EARTH:
            point = f"<{globe.replace('>', '%3E')}> {point}"
        node = f"{self._wdv}{hashes.coordinate_hash(latitude, longitude, precision, globe)}>"
        lines = [
            f"{node} {_TYPE} <{WIKIBASE}GlobecoordinateValue> .",
            f'{node} <{WIKIBASE}geoLatitude> "{north}"{_XSD_DOUBLE} .',
            f'{node} <{WIKIBASE}geoLongitude> "{east}"{_XSD_DOUBLE} .',
            f"{node} <{WIKIBASE}geoGlobe> {_iri_or_literal(globe)} .",
        ]
        if precision is None:
            precision = _AUTO_PRECISION
            lines.append(f"{node} {_TYPE} <{WIKIBASE}GeoAutoPrecision> .")
        digits = hashes.php_float(precision)
        lines.append(f'{node} <{WIKIBASE}geoPrecision> "{digits}"{_XSD_DOUBLE} .')
        return FullValue(f"{literal(point)}{_WKT}", node, tuple(lines))


def serialize(datavalue: Any) -> str:
    """Return the serialization of a data value that its snak's hash is taken over."""
    try:
        known = _serialize(datavalue["type"], datavalue["value"])
    except BROKEN:
        known = None
    return hashes.unknown_serialization(datavalue) if known is None else known


def _serialize(kind: str, value: Any) -> str | None:
    """Return the serialization; None for a type without a known one. Raises one of BROKEN for a broken value."""
    if kind == "string":
        return hashes.string_serialization(_string(value))
    if kind == "monolingualtext":
        return hashes.text_serialization(value["language"], value["text"])
    if kind == "wikibase-entityid":
        entity_id = value_id(value)
        return hashes.entity_serialization(mentioned_type(entity_id) or "", entity_id)
    if kind == "time":
        return hashes.time_serialization(
            normalize_timestamp(value["time"]) or value["time"],
            value["timezone"],
            value["before"],
            value["after"],
            value["precision"],
            value["calendarmodel"],
        )
    if kind == "quantity":
        upper, lower = value.get("upperBound"), value.get("lowerBound")
        return hashes.quantity_serialization(
            decimal(value["amount"]) or str(value["amount"]),
            value["unit"],
            None if upper is None else decimal(upper) or str(upper),
            None if lower is None else decimal(lower) or str(lower),
        )
    if kind == "globecoordinate":
        precision = value.get("precision")
        return hashes.coordinate_serialization(
            degrees(value["latitude"]),
            degrees(value["longitude"]),
            None if precision is None else degrees(precision),
            value.get("globe") or EARTH,
        )
    return None
