"""What an edit changed, from the bytes of two snapshots: `diff_snapshots`, and `compare` in C below it.

Oracle: the result of diff_entities on the parsed snapshots, with errors and their places; only a fault that both
snapshots have may not be reported. C and its twin return the same, also for bytes that are not JSON; the parser accepts
whatever C accepts. `make fuzz` builds the C code twice under AddressSanitizer and UndefinedBehaviorSanitizer
(native_build.py): as it is, and with all but five bits of every hash cleared.

Input: choices of a generated entity, changes that make the old side and the new one, and changes of their bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson

from tests.fuzz import entities
from tests.fuzz.choices import Choices
from tests.native.spans_twin import compare_twin, without_hashes
from wbd.diff.entities import diff_entities
from wbd.diff.snapshots import diff_snapshots
from wbd.diff.spans import MAPS, compare_native, comparison_of
from wbd.errors import BadEntity
from wbd.mapping.context import MappingContext
from wbd.mapping.entity import FAULTS
from wbd.rdf.graph_diff import RdfDiff

MAX_INPUT_BYTES = 2048
SEEDS = (
    # One entity as it is, and with one of its places changed.
    *(
        bytes([number % 8, number, 5, 0, 0, 0, 0, 0, 1, number, number * 77 % 256, number % 10, number])
        for number in range(10, 100, 2)
    ),
    *(bytes([3, number, 2, 0, number, 1, 1, 0, 0, number, 1, 2, number, 1, 5, 7, 7]) for number in range(10, 100, 6)),
    *(bytes([8, number, 0, 1, (number + 40) % 100, 0, number % 4, 3, 1, number, number]) for number in range(40, 100)),
)

builds: list[Callable[[bytes, bytes], Any]] = [] if compare_native is None else [compare_native]
"""What is under test; the fuzzer puts the builds with sanitizers here."""

_MAPS = {name.decode() for name in MAPS} | {"sitelinks"}
Outcome = RdfDiff | tuple[str, str]


def _outcome(diff: Callable[[bytes, bytes, MappingContext], RdfDiff], *arguments: Any) -> Outcome:
    try:
        return diff(*arguments)
    except BadEntity as error:
        return "BadEntity", f"{error.place} {error}"
    except FAULTS as error:
        return type(error).__name__, str(error)


def _parsed(old: bytes, new: bytes, context: MappingContext) -> RdfDiff:
    return diff_entities(orjson.loads(old), orjson.loads(new), context)


def _few(entity: Any, choices: Choices) -> Any:
    """Return an entity with a few members of each map: the twin takes far longer for many, and finds no more."""
    most = 1 + choices.number(6)
    return {
        key: dict(list(value.items())[-most:]) if key in _MAPS and isinstance(value, dict) else value
        for key, value in entity.items()
    }


def _written(entity: Any, choices: Choices) -> bytes:
    match choices.number(8):
        case 6:
            text = json.dumps(entity, indent=choices.number(2) or None)
        case 7:
            text = json.dumps(entity, ensure_ascii=False).replace("/", "\\/")
        case _:
            text = json.dumps(entity, ensure_ascii=False, separators=(",", ":"))
    data = text.encode("utf-8", "replace")
    for _ in range(choices.number(4)):
        at = choices.number(65536) % (len(data) + 1)
        data = data[:at] + choices.some() + data[at + choices.number(3) :]
    return data


def check(data: bytes) -> None:
    choices = Choices(data)
    context = entities.context(choices)
    first = entities.changed(_few(entities.pick(choices), choices), choices)
    picked = _few(entities.pick(choices), choices) if choices.byte() & 1 else first
    one, other = _written(first, choices), _written(entities.changed(picked, choices), choices)
    expected = compare_twin(one, other)
    for compare in builds:
        native_result = without_hashes(compare(one, other))
        assert native_result == expected, f"C {native_result!r}, Python {expected!r}"
    if expected is not None:
        for text in (one, other, *comparison_of(one, other, expected)[:2]):
            orjson.loads(text)
    fast, slow = _outcome(diff_snapshots, one, other, context), _outcome(_parsed, one, other, context)
    if fast != slow:
        assert isinstance(fast, RdfDiff) and not isinstance(slow, RdfDiff), f"{fast!r}, parsed {slow!r}"
        assert slow[0] == "BadEntity", slow
        assert _has_fault(one, context) and _has_fault(other, context), "a fault that one side has goes unseen"


def _has_fault(snapshot: bytes, context: MappingContext) -> bool:
    return isinstance(entities.mapped(orjson.loads(snapshot), context), BadEntity)
