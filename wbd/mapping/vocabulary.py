"""IRIs of one Wikibase: its bases, the namespaces derived from them, foreign repositories, sites.

Rule: https://www.mediawiki.org/wiki/Wikibase/Indexing/RDF_Dump_Format (format version 1.0.0). Everything but the
entity, statement and data namespaces hangs on the entity base without its last ``entity/``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final
from urllib.parse import urlsplit

from wbd.rdf.prefixes import CC, DCT, GEO, ONTOLEX, OWL, PROV, RDF, RDFS, SCHEMA, SKOS, WIKIBASE, XSD, Shortener

FORMAT_VERSION: Final = "1.0.0"


# Fixed in the format whatever the Wikibase: the unit of a number without one, the calendars, the default
# globe, and where Wikimedia Commons serves files and data. http is historical and stays.
UNIT_ONE: Final = "http://www.wikidata.org/entity/Q199"
GREGORIAN: Final = "http://www.wikidata.org/entity/Q1985727"
JULIAN: Final = "http://www.wikidata.org/entity/Q1985786"
EARTH: Final = "http://www.wikidata.org/entity/Q2"
COMMONS_FILE: Final = "http://commons.wikimedia.org/wiki/Special:FilePath/"
COMMONS_DATA: Final = "http://commons.wikimedia.org/data/main/"

CC0: Final = "http://creativecommons.org/publicdomain/zero/1.0/"


_FIXED_PREFIXES: Final[dict[str, str]] = {
    "rdf": RDF,
    "xsd": XSD,
    "ontolex": ONTOLEX,
    "dct": DCT,
    "rdfs": RDFS,
    "owl": OWL,
    "wikibase": WIKIBASE,
    "skos": SKOS,
    "schema": SCHEMA,
    "cc": CC,
    "geo": GEO,
    "prov": PROV,
}


@dataclass(frozen=True, slots=True)
class Site:
    """
    A wiki that sitelinks point to.

    Args:
        language: MediaWiki language code of the content, such as ``be-x-old``.
        path: page URL with ``$1`` for the encoded title; ``//host/...`` means http.
        group: value of wikibase:wikiGroup.
    """

    language: str
    path: str
    group: str = "none"


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Namespace IRIs of the entities and properties of one repository."""

    wd: str
    wds: str
    wdref: str
    wdv: str
    wdt: str
    wdtn: str
    p: str
    ps: str
    psv: str
    psn: str
    pq: str
    pqv: str
    pqn: str
    pr: str
    prv: str
    prn: str
    wdno: str

    @classmethod
    def of(cls, entity_base: str) -> Namespaces:
        """Derive all namespaces from the base of entity IRIs."""
        top = entity_base.removesuffix("entity/")
        prop = f"{top}prop/"
        return cls(
            wd=entity_base,
            wds=f"{entity_base}statement/",
            wdref=f"{top}reference/",
            wdv=f"{top}value/",
            wdt=f"{prop}direct/",
            wdtn=f"{prop}direct-normalized/",
            p=prop,
            ps=f"{prop}statement/",
            psv=f"{prop}statement/value/",
            psn=f"{prop}statement/value-normalized/",
            pq=f"{prop}qualifier/",
            pqv=f"{prop}qualifier/value/",
            pqn=f"{prop}qualifier/value-normalized/",
            pr=f"{prop}reference/",
            prv=f"{prop}reference/value/",
            prn=f"{prop}reference/value-normalized/",
            wdno=f"{prop}novalue/",
        )

    def prefixes(self, suffix: str = "") -> dict[str, str]:
        """Return prefix -> IRI, each prefix with *suffix* appended."""
        return {f"{name}{suffix}": getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True)
class Vocabulary:
    """
    The IRIs of one Wikibase.

    Args:
        entity_base: base of entity IRIs, ends with a slash.
        data_base: base of document IRIs, ends with a slash.
        repository: name of this repository; part of the blank node labels of property definitions.
        license: IRI of the licence of every document.
        foreign: repository name -> base of its entity IRIs, for ids such as ``commons:M1``.
    """

    entity_base: str = "http://www.wikidata.org/entity/"
    data_base: str = "https://www.wikidata.org/wiki/Special:EntityData/"
    repository: str = "wikidata"
    license: str = CC0
    foreign: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Frozen: the derived maps are set once, past the dataclass' guard.
        own = Namespaces.of(self.entity_base)
        foreign = {name: Namespaces.of(base) for name, base in self.foreign.items()}
        prefixes = {**_FIXED_PREFIXES, "wd": own.wd, "data": self.data_base}
        prefixes.update((name, iri) for name, iri in own.prefixes().items() if name != "wd")
        for name, namespaces in foreign.items():
            prefixes.update(namespaces.prefixes(f"-{name}"))
        object.__setattr__(self, "_own", own)
        object.__setattr__(self, "_foreign", foreign)
        object.__setattr__(self, "_prefixes", prefixes)

    def __reduce__(self) -> tuple[type[Vocabulary], tuple[object, ...]]:
        return Vocabulary, (self.entity_base, self.data_base, self.repository, self.license, dict(self.foreign))

    @classmethod
    def wikidata(cls) -> Vocabulary:
        """Return the vocabulary of www.wikidata.org: http for entities, https for documents."""
        return cls()

    @property
    def namespaces(self) -> Namespaces:
        """Return the namespaces of this repository."""
        own: Namespaces = self.__dict__["_own"]
        return own

    @cached_property
    def skolem_base(self) -> str:
        """The IRI in front of a blank node's label, on the host of the entities (RDF 1.1, section 3.5)."""
        parts = urlsplit(self.entity_base)
        return f"{parts.scheme}://{parts.netloc}/.well-known/genid/"

    @property
    def prefixes(self) -> dict[str, str]:
        """Return prefix -> namespace IRI, in the order of Wikibase's Turtle; one dict, which is not to be changed."""
        # Copying it, or reading it through a proxy, takes longer than writing the Turtle of a small diff.
        prefixes: dict[str, str] = self.__dict__["_prefixes"]
        return prefixes

    @cached_property
    def shorten(self) -> Shortener:
        """Shortens IRIs by the prefixes and caches the results."""
        return Shortener(self.prefixes)

    def locate(self, entity_id: str) -> tuple[Namespaces, str]:
        """
        Return the namespaces and the local name of an entity.

        An id with the prefix of an unknown repository stays in this one. Colons left in the local name
        (chained prefixes) become full stops.
        """
        namespaces = self.namespaces
        local = entity_id
        if ":" in entity_id:
            repository, _, own_id = entity_id.partition(":")
            foreign: Mapping[str, Namespaces] = self.__dict__["_foreign"]
            if repository in foreign:
                namespaces, local = foreign[repository], own_id
            local = local.removeprefix(":").replace(":", ".")
        return namespaces, local

    def entity_iri(self, entity_id: str) -> str:
        """Return the concept IRI of an entity, form, sense or schema."""
        namespaces, local = self.locate(entity_id)
        return f"{namespaces.wd}{local}"
