"""Facts about Wikidata that entity JSON lacks: standard units, and the IRIs of well-known identifiers.

This is a starting set, so that a first run shows normalized values. An installation brings its own in the file of
wikibase_rdf_config; property_facts reads the entries of properties from their entities.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from wbd.entity.walk import claims_of
from wbd.mapping.units import UnitConversion

_ENTITY: Final = "http://www.wikidata.org/entity/"

FORMATTER_PROPERTY: Final = "P1921"
"""Wikidata's property for the IRI pattern of an identifier."""

# SI units and other units that quantities are normalized to; they convert to themselves.
_STANDARD: Final = (
    "Q199 Q11570 Q11573 Q11574 Q11579 Q12438 Q25236 Q25250 Q25269 Q25272 Q25343 Q25406 Q25517 Q33680 Q39369 Q41509 "
    "Q44395 Q47083 Q83216 Q102573 Q103246 Q131255 Q163343 Q163354 Q169893 Q170804 Q177612 Q179836 Q182429 Q190095 "
    "Q208634 Q215571"
)

# Multiples that are exact by definition: standard unit -> unit -> factor.
_MULTIPLES: Final[dict[str, dict[str, str]]] = {
    "Q11573": {  # metre
        "Q828224": "1000",
        "Q200323": "0.1",
        "Q174728": "0.01",
        "Q174789": "0.001",
        "Q175821": "0.000001",
        "Q178674": "0.000000001",
        "Q192274": "0.000000000001",
        "Q218593": "0.0254",
        "Q482798": "0.9144",
        "Q253276": "1609.344",
        "Q93318": "1852",
        "Q1811": "149597870700",
    },
    "Q25343": {  # square metre
        "Q712226": "1000000",
        "Q35852": "10000",
        "Q185078": "100",
        "Q81292": "4046.8564224",
        "Q232291": "2589988.110336",
    },
    "Q25517": {"Q11582": "0.001"},  # cubic metre
    "Q11570": {  # kilogram
        "Q41803": "0.001",
        "Q191118": "1000",
        "Q100995": "0.45359237",
        "Q48013": "0.028349523125",
    },
    "Q11574": {  # second
        "Q7727": "60",
        "Q25235": "3600",
        "Q573": "86400",
        "Q23387": "604800",
        "Q577": "31536000",
    },
    "Q44395": {"Q103510": "100000", "Q177974": "101325"},  # pascal
    "Q25269": {"Q182098": "3600000"},  # joule
    "Q199": {"Q11229": "0.01", "Q181011": "0.001"},  # one
}

UNITS: Final[Mapping[str, UnitConversion]] = {
    **{f"{_ENTITY}{unit}": ("1", f"{_ENTITY}{unit}") for unit in _STANDARD.split()},
    **{
        f"{_ENTITY}{unit}": (factor, f"{_ENTITY}{standard}")
        for standard, units in _MULTIPLES.items()
        for unit, factor in units.items()
    },
}
"""Conversions of common units."""

FORMATTER_URIS: Final[Mapping[str, str]] = {
    "P214": "http://viaf.org/viaf/$1",
    "P212": "urn:ISBN:$1",
    "P227": "https://d-nb.info/gnd/$1",
    "P244": "http://id.loc.gov/authorities/names/$1",
    "P268": "http://data.bnf.fr/ark:/12148/cb$1#about",
    "P269": "http://www.idref.fr/$1/id",
    "P349": "http://id.ndl.go.jp/auth/ndlna/$1",
    "P356": "http://dx.doi.org/$1",
    "P434": "http://musicbrainz.org/artist/$1",
    "P648": "http://openlibrary.org/works/$1",
    "P698": "http://rdf.ncbi.nlm.nih.gov/pubchem/reference/$1",
    "P906": "http://libris.kb.se/resource/auth/$1",
    "P950": "https://datos.bne.es/resource/$1",
    "P957": "urn:ISBN:$1",
    "P1006": "http://data.bibliotheken.nl/id/thes/p$1",
    "P1015": "https://livedata.bibsys.no/authority/$1",
    "P1149": "http://id.loc.gov/authorities/classification/$1",
    "P2163": "http://id.worldcat.org/fast/$1",
}
"""IRI patterns of identifiers that many items have."""


def property_facts(entity: Mapping[str, Any], pattern_property: str = FORMATTER_PROPERTY) -> tuple[str, str | None]:
    """
    Return the datatype of a property entity, and its IRI pattern if it has one.

    The pattern is the value of the best statement; the first one wins a tie.
    """
    ranked: dict[str, str] = {}
    for statement in claims_of(entity).get(pattern_property, ()):
        datavalue = statement["mainsnak"].get("datavalue")
        # A broken snak can have anything there.
        value = datavalue.get("value") if isinstance(datavalue, dict) else None
        if isinstance(value, str):
            ranked.setdefault(statement.get("rank", "normal"), value)
    return entity["datatype"], ranked.get("preferred") or ranked.get("normal")
