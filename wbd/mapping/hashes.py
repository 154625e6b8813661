"""Compute Wikibase's content hashes of data values, snaks and references.

They name value nodes, reference nodes and blank nodes, and the JSON of old revisions lacks them. Wikibase hashes PHP's
serialization of its objects, in the form of PHP 7.3, which is frozen since:

    object      C:<bytes of class name>:"<class name>":<bytes of data>:{<data>}
    string      s:<bytes>:"<string>";
    list        a:<length>:{i:0;<item>i:1;<item>...}

    value node  md5 of the data value; of a coordinate, md5 of latitude|longitude|precision|globe
    snak        sha1 of PropertyValueSnak with the list (property id, data value), or of
                PropertySomeValueSnak / PropertyNoValueSnak with the bare property id
    reference   sha1 of its distinct snak hashes, sorted, joined by |

For a broken value, and for a type without a known class, the JSON with sorted keys is hashed instead, so that equal
content always has equal names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

_SNAK: Final = "Wikibase\\DataModel\\Snak\\"
_ENTITY_CLASSES: Final[dict[str, str]] = {
    "item": "Wikibase\\DataModel\\Entity\\ItemId",
    "property": "Wikibase\\DataModel\\Entity\\NumericPropertyId",
    "lexeme": "Wikibase\\Lexeme\\Domain\\Model\\LexemeId",
    "form": "Wikibase\\Lexeme\\Domain\\Model\\FormId",
    "sense": "Wikibase\\Lexeme\\Domain\\Model\\SenseId",
    "mediainfo": "Wikibase\\MediaInfo\\DataModel\\MediaInfoId",
}


def md5(text: str) -> str:
    """Return the hexadecimal MD5 of the UTF-8 form."""
    return hashlib.md5(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


def sha1(text: str) -> str:
    """Return the hexadecimal SHA-1 of the UTF-8 form."""
    return hashlib.sha1(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


def _byte_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def php_object(name: str, data: str) -> str:
    """Serialize an object of class *name* with its own serialization *data*."""
    return f'C:{len(name)}:"{name}":{_byte_length(data)}:{{{data}}}'


def php_string(text: str) -> str:
    """Serialize a string."""
    return f's:{_byte_length(text)}:"{text}";'


def _json_string(text: str) -> str:
    # PHP's json_encode escapes slashes and everything that is not ASCII.
    return json.dumps(text).replace("/", "\\/")


def _exponent(text: str, mark: str) -> str:
    """Rewrite Python's exponent as PHP writes it: 1e-05 as 1.0e-5."""
    mantissa, _, exponent = text.partition(mark)
    if not exponent:
        return text
    if "." not in mantissa:
        mantissa += ".0"
    return f"{mantissa}{mark}{int(exponent):+d}"


def php_float(number: float) -> str:
    """Return PHP's string of a float: 14 significant digits, an exponent as in ``1.0E-5``."""
    return _exponent(format(number, ".14G"), "E")


def _json_float(number: float) -> str:
    # Shortest digits that read back as the same number; integral numbers without a fraction.
    return _exponent(repr(number).removesuffix(".0"), "e")


def time_serialization(timestamp: str, timezone: int, before: int, after: int, precision: int, calendar: str) -> str:
    """Serialize a time value; *timestamp* is normalized."""
    data = f'["{timestamp}",{timezone},{before},{after},{precision},{_json_string(calendar)}]'
    return php_object("DataValues\\TimeValue", data)


def _decimal(amount: str) -> str:
    return php_object("DataValues\\DecimalValue", php_string(amount))


def quantity_serialization(amount: str, unit: str, upper: str | None, lower: str | None) -> str:
    """Serialize a quantity; without bounds it is of another class."""
    start = f"{{i:0;{_decimal(amount)}i:1;{php_string(unit)}"
    if upper is None or lower is None:
        return php_object("DataValues\\UnboundedQuantityValue", f"a:2:{start}}}")
    bounds = f"i:2;{_decimal(upper)}i:3;{_decimal(lower)}"
    return php_object("DataValues\\QuantityValue", f"a:4:{start}{bounds}}}")


def coordinate_hash(latitude: float, longitude: float, precision: float | None, globe: str) -> str:
    """Return the hash that names the value node of a coordinate."""
    digits = "" if precision is None else php_float(precision)
    return md5(f"{php_float(latitude)}|{php_float(longitude)}|{digits}|{globe}")


def coordinate_serialization(latitude: float, longitude: float, precision: float | None, globe: str) -> str:
    """Serialize a coordinate; its altitude is always null."""
    digits = "null" if precision is None else _json_float(precision)
    data = f"[{_json_float(latitude)},{_json_float(longitude)},null,{digits},{_json_string(globe)}]"
    return php_object("DataValues\\Geo\\Values\\GlobeCoordinateValue", data)


def entity_serialization(entity_type: str, entity_id: str) -> str | None:
    """Serialize an entity id value; None for an entity type without a known class."""
    name = _ENTITY_CLASSES.get(entity_type)
    if name is None:
        return None
    return php_object("Wikibase\\DataModel\\Entity\\EntityIdValue", php_object(name, entity_id))


def string_serialization(text: str) -> str:
    """Serialize a string value."""
    return php_object("DataValues\\StringValue", text)


def text_serialization(language: str, text: str) -> str:
    """Serialize a monolingual text."""
    data = f"a:2:{{i:0;{php_string(language)}i:1;{php_string(text)}}}"
    return php_object("DataValues\\MonolingualTextValue", data)


def unknown_serialization(datavalue: Mapping[str, Any]) -> str:
    """Serialize a data value that Wikibase has no class for, as JSON with sorted keys."""
    return php_object("json", json.dumps(datavalue, sort_keys=True, ensure_ascii=False))


def snak_hash(snak_type: str, property_id: str, value_serialization: str = "") -> str:
    """Return the hash of a snak; *value_serialization* is the serialization of its value, "" without a value."""
    if snak_type == "value":
        data = f"a:2:{{i:0;{php_string(property_id)}i:1;{value_serialization}}}"
        return sha1(php_object(f"{_SNAK}PropertyValueSnak", data))
    name = "PropertySomeValueSnak" if snak_type == "somevalue" else "PropertyNoValueSnak"
    return sha1(php_object(f"{_SNAK}{name}", property_id))


def reference_hash(snak_hashes: set[str]) -> str:
    """Return the hash of a reference with these snaks."""
    return sha1("|".join(sorted(snak_hashes)))
