"""Entity JSON to RDF: `map_entity`.

Oracle: JSON that is an object gives lines or BadEntity; BadEntity has its place in the JSON, unless the whole is
wrong. Lines are unique, each is one canonical triple, and the project's own reader reads exactly them (language tags
apart, which it writes in lower case); what a strict parser reads too has the same number of triples. A context that
mapped other entities before gives the same lines as a new one, and the entity is not changed. What the import accepts
has lines, and a note in them just where a snak is broken.

Input: an even first byte chooses a generated entity and changes to it; behind an odd one stands JSON text.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from functools import cache
from typing import Any

import orjson

from tests.fuzz import entities
from tests.fuzz.choices import Choices
from wbd.errors import BadEntity
from wbd.mapping.context import MappingContext
from wbd.rdf.documents import N_TRIPLES, read_document
from wbd.rdf.labels import split_line

MAX_INPUT_BYTES = 4096
SEEDS = (
    *(bytes([0, 0, number, 0]) for number in range(12, 100, 4)),
    *(bytes([0, number % 8, number, 3, 0, number, number, number, number * 7 % 256, 9]) for number in range(100)),
    b"\x01\x00" + orjson.dumps({"type": "item", "id": "Q1", "labels": [], "claims": []}),
    b'\x01\x00{"entity":"Q1","redirect":"Q2"}',
)


def check(data: bytes) -> None:
    choices = Choices(data)
    if choices.byte() & 1:
        context = entities.context(choices)
        try:
            entity = orjson.loads(choices.rest())
        except orjson.JSONDecodeError:
            return
        if not isinstance(entity, dict):
            return
    else:
        context = entities.context(choices)
        entity = entities.changed(entities.pick(choices), choices)
    before = copy.deepcopy(entity)
    outcome = entities.mapped(entity, context)
    assert repr(entity) == repr(before), "the mapping changed its input"
    entities.check_grammar(entity, outcome, context)
    used = entities.mapped(entity, _used(context))
    if isinstance(outcome, BadEntity):
        assert isinstance(used, BadEntity) and (outcome.place, str(outcome)) == (used.place, str(used))
        assert outcome.place or not entity, f"no place: {outcome}"
        return
    assert outcome == used, differ(outcome, used)
    check_lines(outcome)


@cache
def _worn(key: str) -> MappingContext:
    """Return a context that has mapped every generated revision, and all that was fuzzed before."""
    context = entities.context(Choices(bytes.fromhex(key)))
    for number in range(0, 100, 3):
        entities.mapped(entities.pick(Choices(bytes([number]))), context)
    return context


def _used(fresh: MappingContext) -> MappingContext:
    """Return the used context of the same settings."""
    for kind in range(8):
        key = bytes([kind]).hex()
        worn = _worn(key)
        if worn.flavour == fresh.flavour and worn.datatypes == fresh.datatypes:
            return worn
    raise AssertionError


def differ(one: Any, other: Any) -> str:
    if isinstance(one, list) and isinstance(other, list):
        return f"only one: {sorted(set(one) - set(other))[:5]}, only other: {sorted(set(other) - set(one))[:5]}"
    return f"{one!r} and {other!r}"


def _lower_tag(line: str) -> str:
    subject, predicate, target = split_line(line)
    if target[0] == '"' and "@" in target and target[-1] not in '">':
        value, _, tag = target.rpartition("@")
        target = f"{value}@{tag.lower()}"
    return f"{subject} {predicate} {target} ."


def check_lines(lines: Iterable[str]) -> None:
    """Assert that every line is one triple, as canonical N-Triples has it."""
    lines = list(lines)
    assert len(set(lines)) == len(lines), "a line comes twice"
    document = read_document("".join(f"{line}\n" for line in lines).encode(), N_TRIPLES)
    expected = {_lower_tag(line) for line in lines}
    read_back = {_lower_tag(line) for line in document.lines()}
    assert read_back == expected, differ(sorted(read_back), sorted(expected))
    assert document.text.count(b"\n") == len(lines)
