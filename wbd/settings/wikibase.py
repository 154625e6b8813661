"""Settings of the wiki whose entities are stored."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from wbd.settings.kinds import Iri
from wbd.settings.subject import Subject


class Wikibase(Subject):
    """Wikibase: how the RDF of this wiki names its entities."""

    wikibase_entity_base: Iri = Field("http://www.wikidata.org/entity/", description="IRI before an entity id")
    wikibase_data_base: Iri = Field(
        "https://www.wikidata.org/wiki/Special:EntityData/", description="IRI before the id of an entity's document"
    )
    wikibase_rdf_config: Path | None = Field(
        None, description="JSON file of sites, properties, units and foreign repositories; docs/rdf-config.md"
    )
