"""What Wikimedia's updater makes of a full export, with its rules stated over single triples."""

from __future__ import annotations

import re
from collections.abc import Iterable

from wbd.mapping.vocabulary import Vocabulary

RDF_TYPE = "<http://www.w3.org/1999/02/22-rdf-syntax-ns#type>"
WIKIBASE = "http://wikiba.se/ontology#"
DROPPED_TYPES = {f"<{WIKIBASE}{name}>" for name in ("Item", "Lexeme", "Form", "Sense", "Statement", "Reference")}
DROPPED_NAMES = {"<http://schema.org/name>", "<http://www.w3.org/2004/02/skos/core#prefLabel>"}
LABEL = "<http://www.w3.org/2000/01/rdf-schema#label>"
MOVED = {"<http://schema.org/version>", "<http://schema.org/dateModified>"}


def munged(lines: Iterable[str], entity_id: str, vocabulary: Vocabulary) -> set[str]:
    """Rewrite a full mapping, with the rules of the updater's munger stated over single triples."""
    entity = f"<{vocabulary.entity_iri(entity_id)}>"
    document = f"<{vocabulary.data_base}{entity_id}>"
    triples = set()
    for line in lines:
        subject, predicate, target = line.split(" ", 2)
        kind = target.removesuffix(" .")
        of_entity = subject == entity or subject.startswith(f"{entity[:-1]}-")
        if subject == document:
            if predicate not in MOVED and not predicate.startswith(f"<{WIKIBASE}"):
                continue
            subject = entity
        elif predicate == RDF_TYPE:
            if kind in DROPPED_TYPES:
                continue
        elif of_entity and (predicate in DROPPED_NAMES or (predicate == LABEL and entity_id[0] == "L")):
            continue
        made = f"{subject} {predicate} {target}"
        if "_:" in subject or kind.startswith("_:"):
            made = re.sub(r"(?<![^ ])_:([0-9a-f]{32})", rf"<{vocabulary.skolem_base}\1>", made)
        triples.add(made)
    return triples
