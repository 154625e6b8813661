"""Namespace IRIs of the standard vocabularies, and short names of IRIs for Turtle."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Protocol

RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
RDFS: Final = "http://www.w3.org/2000/01/rdf-schema#"
XSD: Final = "http://www.w3.org/2001/XMLSchema#"
OWL: Final = "http://www.w3.org/2002/07/owl#"
WIKIBASE: Final = "http://wikiba.se/ontology#"
SKOS: Final = "http://www.w3.org/2004/02/skos/core#"
SCHEMA: Final = "http://schema.org/"
CC: Final = "http://creativecommons.org/ns#"
GEO: Final = "http://www.opengis.net/ont/geosparql#"
PROV: Final = "http://www.w3.org/ns/prov#"
ONTOLEX: Final = "http://www.w3.org/ns/lemon/ontolex#"
DCT: Final = "http://purl.org/dc/terms/"

# Local names that need no escape in Turtle; others are written as whole IRIs.
_SAFE_LOCAL: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?", re.ASCII)

_IRI: Final = re.compile(r"<[^\x00-\x20<>\"{}|^`\\]*>")

# About 10 MB of terms: predicates and common values stay cached, subjects that occur once do not.
_SHORTENED: Final = 50_000


class Prefixes(Protocol):
    """The prefixes of a document, and short forms of IRIs by them."""

    @property
    def prefixes(self) -> dict[str, str]:
        """Prefix -> namespace IRI, in the order in which a document declares them."""

    @property
    def shorten(self) -> Shortener:
        """Shortens IRIs by these prefixes."""


class Shortener:
    """
    ``<IRI>`` -> the form for Turtle, with its prefix or None: (``wd:Q42``, ``wd``), (``<http://x/y.z>``, None).

    Called for every term of every event, so it keeps the last answers, at most _SHORTENED of them.
    """

    def __init__(self, prefixes: Mapping[str, str]) -> None:
        self._by_namespace: dict[str, str] = {}
        for prefix, namespace in prefixes.items():
            self._by_namespace.setdefault(namespace, prefix)
        self._known: dict[str, tuple[str, str | None]] = {}

    def __call__(self, term: str) -> tuple[str, str | None]:
        """
        Shorten one term.

        Raises:
            ValueError: not an IRI between angle brackets, or one with a character that no IRI may hold.
        """
        known = self._known.get(term)
        if known is None:
            if len(self._known) >= _SHORTENED:
                self._known.clear()
            known = self._known[term] = self._shorten(term)
        return known

    def _shorten(self, term: str) -> tuple[str, str | None]:
        if not _IRI.fullmatch(term):
            raise ValueError(f"not an IRI: {term[:200]!r}")
        inside = term[1:-1]
        cut = max(inside.rfind("/"), inside.rfind("#")) + 1
        prefix = self._by_namespace.get(inside[:cut])
        if prefix is None or not _SAFE_LOCAL.fullmatch(inside, cut):
            return term, None
        return f"{prefix}:{inside[cut:]}", prefix
