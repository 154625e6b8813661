"""The mapping against the answers of Wikibase's own RDF builders; needs WBD_CORPUS, which is not part of wbd."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson
import pyoxigraph
import pytest

from wbd.entity.check import check_entity
from wbd.errors import BadEntity
from wbd.mapping.context import MappingContext
from wbd.mapping.entity import map_entity
from wbd.mapping.vocabulary import Site

ANSWERS = Path(os.environ.get("WBD_CORPUS", "/nonexistent")) / "wikibase-answers"
pytestmark = pytest.mark.skipif(not ANSWERS.is_dir(), reason="WBD_CORPUS names no folder with Wikibase's answers")

NO_SCHEME: Final = "PHP writes an IRI without a scheme, which no parser reads; here it is a literal"
SCHEMA_ID: Final = "PHP writes the word Array for an id that no entity schema has; here the value is broken"

KNOWN_TO_DIFFER: Final = {
    "calendar 'Q1985727' 9": NO_SCHEME,
    "quantity {'amount': '+1', 'unit': 'km'}": NO_SCHEME,
    "quantity {'amount': '+10', 'unit': 'Q828224'}": NO_SCHEME,
    "entity P22 {'id': 'E0'}": SCHEMA_ID,
    "entity P22 {'id': 'e5'}": SCHEMA_ID,
    "reference with a wrong hash": "the hash in the JSON names the node, and is not computed again",
    "one normalized value (('5000', 'Q11573'), ('1', 'Q828224'), ('5', 'Q828224'))": (
        "PHP leaves out the normalized form of a value when that form was written for another value before"
    ),
}
"""Case -> why it differs. A case that is equal by now has to be taken out, so the list can only shrink."""


def cases() -> Iterator[dict[str, Any]]:
    if ANSWERS.is_dir():
        with gzip.open(ANSWERS / "cases.jsonl.gz", "rb") as file:
            # As the import reads them: an integer of over 64 bits is a double.
            yield from map(orjson.loads, file)


@cache
def context() -> MappingContext:
    world = json.loads((ANSWERS / "config.json").read_bytes())
    sites = {name: Site(site["language"], site["path"], site["group"]) for name, site in world["sites"].items()}
    base = "http://www.wikidata.org/entity/"
    return MappingContext(
        sites=sites.get,
        datatypes=world["datatypes"],
        formatter_uris=world["formatter_uris"],
        units={f"{base}{unit}": (to["factor"], f"{base}{to['unit']}") for unit, to in world["units"].items()},
    )


def parsed(lines: str) -> set[str]:
    """Return triples without those of the document, which the answers leave out."""
    quads = pyoxigraph.parse(lines.encode(), format=pyoxigraph.RdfFormat.N_TRIPLES, lenient=True)
    triples = {str(quad.triple) for quad in quads}
    return {triple for triple in triples if not triple.startswith(f"<{context().vocabulary.data_base}")}


def is_equal(case: dict[str, Any]) -> bool:
    if "error" in case["answer"]:
        try:
            check_entity(case["entity"])
        except BadEntity:
            return True
        return False
    return parsed("\n".join(map_entity(case["entity"], context()))) == parsed(case["answer"]["rdf"])


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: str(case["name"]))
def test_an_entity_is_mapped_as_wikibase_maps_it(case: dict[str, Any]) -> None:
    """An entity that Wikibase refuses is refused here, at the import."""
    assert is_equal(case) == (case["name"] not in KNOWN_TO_DIFFER)


@pytest.mark.parametrize(
    "case", [case for case in cases() if "rdf" in case["answer"]], ids=lambda case: str(case["name"])
)
def test_wikibases_notes_are_about_the_snaks_that_the_grammar_calls_broken(case: dict[str, Any]) -> None:
    noted = "triple, please ignore" in case["answer"]["rdf"]
    assert bool(check_entity(case["entity"]).broken_snaks) == noted or KNOWN_TO_DIFFER.get(case["name"]) == SCHEMA_ID


def test_every_known_difference_is_of_a_case() -> None:
    assert KNOWN_TO_DIFFER.keys() <= {case["name"] for case in cases()}
