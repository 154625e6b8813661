"""The context of a mapping: vocabulary, sites, properties, units and flavour."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from wbd.entity.ids import normalize_mention
from wbd.mapping import definitions
from wbd.mapping.sites import canonical_language, wikidata_site
from wbd.mapping.units import UnitConversion
from wbd.mapping.values import ValueBuilders
from wbd.mapping.vocabulary import Site, Vocabulary
from wbd.mapping.wikidata import FORMATTER_URIS, UNITS
from wbd.rdf.prefixes import RDF, SCHEMA, WIKIBASE
from wbd.rdf.terms import iri, language_suffix, literal

_PORT: Final = re.compile(r":[0-9]*$")

SiteLookup = Callable[[str], Site | None]

Role = tuple[str, str, str, str, str]
"""Predicates of simple values, of value nodes, of normalized values; namespace in labels of unknown values; the note
about a broken value."""


@dataclass(frozen=True, slots=True)
class Flavour:
    """
    Which parts of the format to write.

    Args:
        version_info: license and format version of every document; a dump says them once.
        truthy: the best values directly on the entity.
        statements: statements as nodes, with qualifiers and references.
        full_values: value nodes.
        sitelinks: sitelinks.
        counts: numbers of statements, sitelinks and identifiers on the document.
        query_service: the form that Wikimedia's updater gives an export before a query service loads it. Facts about
            the document are about the entity, and licence and format version are left out. So are the types that
            all items, lexemes, forms, senses, statements or references share; informative types stay (best rank,
            no value, kinds of values, properties and their definitions). The name of an item or property is
            rdfs:label only, a term of a lexeme, form or sense has only its own predicate, and blank nodes become
            skolem IRIs.
    """

    version_info: bool = True
    truthy: bool = True
    statements: bool = True
    full_values: bool = True
    sitelinks: bool = True
    counts: bool = True
    query_service: bool = False


FULL: Final = Flavour()
"""The whole entity without stubs of the entities that it refers to; the diff stream carries this flavour."""
DUMP: Final = Flavour(version_info=False)
"""As FULL, for a file whose header says the licence and the version."""
TRUTHY: Final = Flavour(version_info=False, statements=False, sitelinks=False, counts=False)
"""Terms and best values only."""
UPDATER: Final = Flavour(version_info=False, query_service=True)
"""As FULL, in the form that the Wikidata Query Service holds; the stream rdf_change carries this flavour."""

FLAVOURS: Final = {"full": FULL, "dump": DUMP, "truthy": TRUTHY, "updater": UPDATER}
"""The flavours by their names in settings and commands."""


class PropertyTerms:
    """The predicates of one property as terms, its datatype and the IRI pattern of its identifiers."""

    __slots__ = (
        "claim",
        "datatype",
        "direct",
        "direct_broken",
        "direct_namespace",
        "direct_normalized",
        "novalue",
        "pattern",
        "qualifier",
        "reference",
        "statement",
    )

    def __init__(self, property_id: str, context: MappingContext) -> None:
        vocabulary = context.vocabulary
        n, local = vocabulary.locate(normalize_mention(property_id))
        names = {name: prefix for prefix, name in vocabulary.prefixes.items()}
        direct, statement, qualifier, reference = (
            f'"broken {names[namespace]}:{local} triple, please ignore"@en' for namespace in (n.wdt, n.ps, n.pq, n.pr)
        )
        self.claim = f"<{n.p}{local}>"
        self.direct = f"<{n.wdt}{local}>"
        self.direct_normalized = f"<{n.wdtn}{local}>"
        self.novalue = f"<{RDF}type> <{n.wdno}{local}> ."
        self.direct_broken = direct
        self.direct_namespace = n.wdt
        self.statement: Role = (f"<{n.ps}{local}>", f"<{n.psv}{local}>", f"<{n.psn}{local}>", n.ps, statement)
        self.qualifier: Role = (f"<{n.pq}{local}>", f"<{n.pqv}{local}>", f"<{n.pqn}{local}>", n.pq, qualifier)
        self.reference: Role = (f"<{n.pr}{local}>", f"<{n.prv}{local}>", f"<{n.prn}{local}>", n.pr, reference)
        self.datatype = definitions.spelled(context.datatypes.get(property_id))
        self.pattern = context.formatter_uris.get(property_id)


class SiteTerms:
    """The triples and terms that all sitelinks to one site share."""

    __slots__ = ("group_line", "lines", "path", "suffix")

    def __init__(self, site: Site, languages: Mapping[str, str]) -> None:
        parts = urlsplit(site.path)
        scheme = parts.scheme or "http"
        language = languages.get(site.language) or canonical_language(site.language)
        # The host as it is spelt, without user and port, as PHP's parse_url has it.
        home = iri(f"{scheme}://{_PORT.sub('', parts.netloc.rpartition('@')[2])}/")
        self.path = site.path if parts.scheme else f"http:{site.path}"
        self.suffix = language_suffix(language)
        self.lines = (
            f"<{RDF}type> <{SCHEMA}Article> .",
            f"<{SCHEMA}inLanguage> {literal(language)} .",
            f"<{SCHEMA}isPartOf> {home} .",
        )
        self.group_line = f"{home} <{WIKIBASE}wikiGroup> {literal(site.group)} ."


class _Sites(dict[str, SiteTerms | None]):
    def __init__(self, lookup: SiteLookup, languages: Mapping[str, str]) -> None:
        super().__init__()
        self._lookup = lookup
        self._languages = languages

    def __missing__(self, site_id: str) -> SiteTerms | None:
        site = self._lookup(site_id)
        if site is None:
            # Not remembered, because unknown ids have no bound.
            return None
        made = self[site_id] = SiteTerms(site, self._languages)
        return made


class _Properties(dict[str, PropertyTerms]):
    def __init__(self, context: MappingContext) -> None:
        super().__init__()
        self._context = context

    def __missing__(self, property_id: str) -> PropertyTerms:
        made = self[property_id] = PropertyTerms(property_id, self._context)
        return made


@dataclass(slots=True)
class MappingContext:
    """
    Everything that the mapping needs besides the entity. Build one context and reuse it, because it caches.

    Do not change it after the first use: properties and values are remembered.

    Args:
        sites: site id of a sitelink -> Site, or None for an unknown site, whose sitelinks are left out.
        languages: MediaWiki language code -> language tag of sites, where it differs from the standard tables.
        datatypes: property id -> datatype. The datatype of any other property is taken from its snaks.
        formatter_uris: property id -> IRI pattern with ``$1`` of an external id.
        units: unit IRI -> conversion to the standard unit.
        formula: TeX -> MathML for the datatype math; without it formulas stay TeX.
    """

    vocabulary: Vocabulary = field(default_factory=Vocabulary.wikidata)
    sites: SiteLookup = wikidata_site
    languages: Mapping[str, str] = field(default_factory=dict)
    datatypes: Mapping[str, str] = field(default_factory=dict)
    formatter_uris: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, UnitConversion] = field(default_factory=dict)
    formula: Callable[[str], str] | None = None
    flavour: Flavour = FULL
    properties: dict[str, PropertyTerms] = field(init=False, repr=False, compare=False)
    site_terms: dict[str, SiteTerms | None] = field(init=False, repr=False, compare=False)
    builders: ValueBuilders = field(init=False, repr=False, compare=False)

    @classmethod
    def wikidata(cls, datatypes: Mapping[str, str] | None = None, flavour: Flavour = FULL) -> MappingContext:
        """Return the context of www.wikidata.org, with the units and identifiers that wbd knows."""
        return cls(datatypes=datatypes or {}, formatter_uris=FORMATTER_URIS, units=UNITS, flavour=flavour)

    def __reduce__(self) -> tuple[type[MappingContext], tuple[object, ...]]:
        # Another process builds its own caches.
        tables = (self.sites, self.languages, self.datatypes, self.formatter_uris, self.units)
        return MappingContext, (self.vocabulary, *tables, self.formula, self.flavour)

    def __post_init__(self) -> None:
        self.properties = _Properties(self)
        self.site_terms = _Sites(self.sites, self.languages)
        self.builders = ValueBuilders(self.vocabulary, self.units, self.formula)
