"""Read how this wiki's entities become RDF: two base IRIs, and one JSON file with the facts that entity JSON lacks.

Reads:   the file of ``wikibase_rdf_config``, once a call
Writes:  nothing
Repeats: harmless; equal IRIs and files give equal contexts

docs/rdf-config.md describes the file. A part that it omits is Wikidata's for Wikidata's entities, and empty otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError

from wbd.entity.ids import normalize_mention
from wbd.errors import ConfigError
from wbd.mapping.context import FULL, Flavour, MappingContext, SiteLookup
from wbd.mapping.sites import SiteTable, wikidata_site
from wbd.mapping.units import UnitConversion
from wbd.mapping.vocabulary import CC0, Site, Vocabulary
from wbd.mapping.wikidata import FORMATTER_URIS, UNITS
from wbd.rdf.terms import iri, is_absolute

# All properties of Wikidata with their patterns take 2 MB.
_FILE_BYTES_MAX: Final = 64 * 1024 * 1024

# The name that Wikibase gives its own repository until somebody names it.
_REPOSITORY: Final = "local"

# A factor multiplies amounts of at most 127 characters exactly within the precision of units.py.
_FACTOR: Final = re.compile(r"\+?(?=[0-9.]*[1-9])[0-9]{1,100}(?:\.[0-9]{1,100})?", re.ASCII)


def _empty_map(value: Any) -> Any:
    # PHP writes an empty map as [].
    return {} if value == [] else value


def _absolute(value: str) -> str:
    if not is_absolute(value) or iri(value) != f"<{value}>":
        raise ValueError("expected an absolute IRI without spaces, quotes and brackets")
    return value


def _base(value: str) -> str:
    if not _absolute(value).endswith("/"):
        raise ValueError("expected an IRI that ends in /")
    return value


def _pattern(value: str) -> str:
    if "$1" not in value:
        raise ValueError("expected $1 where the identifier or title goes")
    return _absolute(value)


def _path(value: str) -> str:
    # Wikis that serve both http and https leave the scheme out.
    return value if value.startswith("//") and _pattern(f"http:{value}") else _pattern(value)


def _id(value: str) -> str:
    if normalize_mention(value) != value:
        raise ValueError("expected an entity id in upper case")
    return value


def _factor(value: Any) -> str:
    text = f"{Decimal(str(value)):f}" if isinstance(value, int | float) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _FACTOR.fullmatch(text):
        raise ValueError("expected a positive decimal, as a string where digits matter")
    return text.removeprefix("+")


_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_Map = Annotated[dict[_Key, _Value], BeforeValidator(_empty_map)]
_Text = Annotated[str, StringConstraints(min_length=1)]
_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
_Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$")]
_Datatype = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]*$")]
_Iri = Annotated[str, AfterValidator(_absolute)]
_Base = Annotated[str, AfterValidator(_base)]
_Pattern = Annotated[str, AfterValidator(_pattern)]
_Path = Annotated[str, AfterValidator(_path)]
_EntityId = Annotated[str, AfterValidator(_id)]
_Factor = Annotated[str, BeforeValidator(_factor)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SiteFacts(_Part):
    """A wiki that sitelinks point to; as rdf.vocabulary.Site."""

    path: _Path
    group: _Text = "none"
    language: _Language = "en"


class PropertyFacts(_Part):
    """Facts about a property that its statements do not hold."""

    datatype: _Datatype | None = None
    formatter_uri: _Pattern | None = None


class Conversion(_Part):
    """A line of Wikibase's unit conversion file; further members, such as labels, are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    factor: _Factor
    unit: _EntityId


class RdfConfig(_Part):
    """The file of ``wikibase_rdf_config``; None for a part that it omits."""

    repository: _Name | None = None
    license: _Iri = CC0
    foreign: _Map[_Name, _Base] = {}
    sites: _Map[_Text, SiteFacts] | None = None
    languages: _Map[_Language, _Language] = {}
    properties: _Map[_EntityId, PropertyFacts] | None = None
    units: _Map[_EntityId, Conversion] | None = None


def mapping_context(
    *, entity_base: str, data_base: str, config_path: Path | None = None, flavour: Flavour = FULL
) -> MappingContext:
    """
    Return the context that maps this wiki's entities.

    Without a file, and with Wikidata's entity base, it is MappingContext.wikidata().

    Args:
        entity_base: IRI before an entity id; wikibase_entity_base.
        data_base: IRI before the id of an entity's document; wikibase_data_base.
        config_path: the JSON file of wikibase_rdf_config.

    Raises:
        ConfigError: the file is not readable or something in it is not allowed; names the file and the JSON path.
    """
    config = RdfConfig() if config_path is None else read_config(config_path)
    is_wikidata = entity_base == Vocabulary.entity_base
    vocabulary = Vocabulary(
        entity_base=entity_base,
        data_base=data_base,
        repository=config.repository or (Vocabulary.repository if is_wikidata else _REPOSITORY),
        license=config.license,
        foreign=config.foreign,
    )
    formatter_uris: Mapping[str, str] = FORMATTER_URIS if is_wikidata else {}
    units: Mapping[str, UnitConversion] = UNITS if is_wikidata else {}
    lookup: SiteLookup = wikidata_site
    properties = config.properties or {}
    if config.properties is not None:
        formatter_uris = {name: facts.formatter_uri for name, facts in properties.items() if facts.formatter_uri}
    if config.units is not None:
        units = {
            vocabulary.entity_iri(unit): (each.factor, vocabulary.entity_iri(each.unit))
            for unit, each in config.units.items()
        }
    if config.sites is not None:
        sites = {name: Site(site.language, site.path, site.group) for name, site in config.sites.items()}
        lookup = SiteTable(sites)
    return MappingContext(
        vocabulary=vocabulary,
        sites=lookup,
        languages=config.languages,
        datatypes={name: facts.datatype for name, facts in properties.items() if facts.datatype},
        formatter_uris=formatter_uris,
        units=units,
        flavour=flavour,
    )


def read_config(path: Path) -> RdfConfig:
    """
    Read and check the file.

    Raises:
        ConfigError: as mapping_context.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"wikibase_rdf_config {path}: not readable: {error.strerror}") from error
    if len(data) > _FILE_BYTES_MAX:
        raise ConfigError(f"wikibase_rdf_config {path}: over {_FILE_BYTES_MAX} bytes; not used")
    try:
        return RdfConfig.model_validate_json(data)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in problem["loc"] if part != "[key]")
        message = problem["msg"].removeprefix("Value error, ")
        message = f"{message[:1].lower()}{message[1:]}"
        raise ConfigError(f"wikibase_rdf_config {path}: {place}{': ' if place else ''}{message}; not used") from error
