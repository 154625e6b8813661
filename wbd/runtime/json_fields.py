"""Frozen dataclasses to JSON objects and back, so that readers of a report use fields instead of keys.

A field may hold a string, a number, a bool, None, a UTC datetime, another such dataclass, a tuple of one kind, or a
mapping from strings. Writer and reader may be of different releases: unknown keys are ignored, and an absent key gives
the field's default.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Hashable, Mapping
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from wbd.errors import BadInput
from wbd.runtime.clock import iso

T = TypeVar("T")


def encode(value: Any) -> Any:
    """Return *value* with dataclasses as dicts, tuples as lists, and datetimes as ISO 8601 with milliseconds."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    return value


def decode(kind: type[T], value: object, place: str = "") -> T:
    """
    Return *value*, as the orjson module reads it, as an object of the dataclass *kind*.

    Args:
        place: where *value* lies in a larger document, such as ``processes[1]``; "" for a document of its own.

    Raises:
        BadInput: a value of another type, or no value for a field without a default; names the place.
    """
    if not isinstance(value, dict):
        raise BadInput(f"{_shown(value)} is not an object", place)
    given: dict[str, Any] = {}
    for name, (field_kind, is_required) in _fields(cast(Hashable, kind)).items():
        inner = f"{place}.{name}" if place else name
        if name in value:
            given[name] = _decode(field_kind, value[name], inner)
        elif is_required:
            raise BadInput("missing", inner)
    return kind(**given)


@cache
def _fields(kind: Hashable) -> dict[str, tuple[Any, bool]]:
    """Return the type of each field and whether it has no default."""
    assert isinstance(kind, type) and dataclasses.is_dataclass(kind)
    hints = get_type_hints(kind)
    missing = dataclasses.MISSING
    return {
        field.name: (hints[field.name], field.default is missing and field.default_factory is missing)
        for field in dataclasses.fields(kind)
    }


def _decode(kind: Any, value: Any, place: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return None if value is None else _decode(inner, value, place)
    if origin is tuple:
        if not isinstance(value, list):
            raise BadInput(f"{_shown(value)} is not an array", place)
        return tuple(_decode(arguments[0], item, f"{place}[{index}]") for index, item in enumerate(value))
    if origin is Mapping:
        if not isinstance(value, dict):
            raise BadInput(f"{_shown(value)} is not an object", place)
        return {key: _decode(arguments[1], item, f"{place}.{key}") for key, item in value.items()}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return decode(kind, value, place)
    if kind is datetime:
        return _moment(value, place)
    # JSON has one kind of number, and bool is an int only in Python.
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise BadInput(f"{_shown(value)} is not {kind.__name__}", place)
    return value


def _moment(value: object, place: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadInput(f"{_shown(value)} is not a time such as 2026-01-15T10:30:00.000Z", place)
    return moment


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
