"""Define a property in RDF: its predicates, their OWL types, and the class of things without a value."""

from __future__ import annotations

import re
from typing import Final

from wbd.mapping import hashes
from wbd.mapping.vocabulary import Vocabulary
from wbd.rdf.prefixes import OWL, RDF, WIKIBASE

_A: Final = f"<{RDF}type>"

# Some lists of datatypes spell these in lower case.
_SPELLINGS: Final = {
    "commonsmedia": "commonsMedia",
    "globecoordinate": "globe-coordinate",
    "externalid": "external-id",
}

# Datatypes whose values are IRIs in Wikibase's definitions. Lexemes, forms, senses and entity schemas are IRIs too, but
# the extensions that bring these datatypes do not say so, and exports have DatatypeProperty.
_OBJECT_DATATYPES: Final = frozenset(
    {
        "commonsMedia",
        "geo-shape",
        "tabular-data",
        "url",
        "wikibase-item",
        "wikibase-property",
    }
)

# Datatypes whose values have a normalized form -> the OWL type of the predicate of that form on the entity.
_NORMALIZED: Final = {"quantity": "DatatypeProperty", "external-id": "ObjectProperty"}

_WORD: Final = re.compile(r"(?:^|-)(\w)")


def spelled(datatype: str | None) -> str | None:
    """Return a datatype as Wikibase spells it."""
    return None if datatype is None else _SPELLINGS.get(datatype, datatype)


def datatype_iri(datatype: str) -> str:
    """Return the IRI of a datatype: ``external-id`` is wikibase:ExternalId."""
    if datatype == "entity-schema":
        # The extension that brings this datatype does not follow the rule.
        return f"{WIKIBASE}WikibaseEntitySchema"
    words = _WORD.sub(lambda match: match.group(1).upper(), datatype)
    return f"{WIKIBASE}{re.sub(r'[^A-Za-z0-9_]', '', words)}"


def property_lines(property_id: str, datatype: str, vocabulary: Vocabulary, *, skolem: bool = False) -> list[str]:
    """
    Return the lines that define a property; its type, terms and statements are written elsewhere.

    Args:
        skolem: name the blank node of the class of things without a value by a skolem IRI.
    """
    n, local = vocabulary.locate(property_id)
    datatype = _SPELLINGS.get(datatype, datatype)
    subject = f"<{n.wd}{local}>"
    kind = "ObjectProperty" if datatype in _OBJECT_DATATYPES else "DatatypeProperty"
    predicates = [
        ("directClaim", n.wdt, kind),
        ("claim", n.p, "ObjectProperty"),
        ("statementProperty", n.ps, kind),
        ("statementValue", n.psv, "ObjectProperty"),
        ("qualifier", n.pq, kind),
        ("qualifierValue", n.pqv, "ObjectProperty"),
        ("reference", n.pr, kind),
        ("referenceValue", n.prv, "ObjectProperty"),
    ]
    if datatype in _NORMALIZED:
        predicates += [
            ("directClaimNormalized", n.wdtn, _NORMALIZED[datatype]),
            ("statementValueNormalized", n.psn, "ObjectProperty"),
            ("qualifierValueNormalized", n.pqn, "ObjectProperty"),
            ("referenceValueNormalized", n.prn, "ObjectProperty"),
        ]
    lines = [f"{subject} <{WIKIBASE}propertyType> <{datatype_iri(datatype)}> ."]
    for name, namespace, owl_type in predicates:
        predicate = f"<{namespace}{local}>"
        lines.append(f"{subject} <{WIKIBASE}{name}> {predicate} .")
        lines.append(f"{predicate} {_A} <{OWL}{owl_type}> .")
    novalue = f"<{n.wdno}{local}>"
    label = hashes.md5(f"owl:complementOf-{vocabulary.repository}-{local}")
    restriction = f"<{vocabulary.skolem_base}{label}>" if skolem else f"_:{label}"
    lines += [
        f"{subject} <{WIKIBASE}novalue> {novalue} .",
        f"{novalue} {_A} <{OWL}Class> .",
        f"{novalue} <{OWL}complementOf> {restriction} .",
        f"{restriction} {_A} <{OWL}Restriction> .",
        f"{restriction} <{OWL}onProperty> <{n.wdt}{local}> .",
        f"{restriction} <{OWL}someValuesFrom> <{OWL}Thing> .",
    ]
    return lines
