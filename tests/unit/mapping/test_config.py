"""How entities are mapped, from settings and the file of wikibase_rdf_config."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any

import pytest

from tests.build.wikibase import by_property, item, sitelink, snak, statement, text
from wbd.errors import ConfigError
from wbd.mapping.config import mapping_context
from wbd.mapping.context import FULL, UPDATER, Flavour, MappingContext
from wbd.mapping.entity import map_entity
from wbd.mapping.vocabulary import Site
from wbd.settings.load import load
from wbd.settings.settings import Settings

DOCS = Path(__file__).parents[3] / "docs" / "rdf-config.md"


def configured(tmp_path: Path, config: Any = None, **values: str) -> Settings:
    values["WBD_STATE_DIR"] = str(tmp_path)
    if config is not None:
        path = tmp_path / "rdf.json"
        path.write_text(config if isinstance(config, str) else json.dumps(config))
        values["WIKIBASE_RDF_CONFIG"] = str(path)
    return load(values).settings


def context_of(settings: Settings, flavour: Flavour = FULL) -> MappingContext:
    return mapping_context(
        entity_base=settings.wikibase_entity_base,
        data_base=settings.wikibase_data_base,
        config_path=settings.wikibase_rdf_config,
        flavour=flavour,
    )


def test_without_a_file_it_is_wikidatas(tmp_path: Path) -> None:
    assert context_of(configured(tmp_path)) == MappingContext.wikidata()
    assert context_of(configured(tmp_path), UPDATER) == MappingContext.wikidata(flavour=UPDATER)
    assert context_of(configured(tmp_path, {})) == MappingContext.wikidata()


def test_another_wikibase_has_nothing_of_wikidatas_but_the_sites(tmp_path: Path) -> None:
    context = context_of(configured(tmp_path, WIKIBASE_ENTITY_BASE="https://base.test/entity/"))
    assert (context.units, context.formatter_uris, context.datatypes) == ({}, {}, {})
    assert context.vocabulary.repository == "local"
    assert context.sites("dewiki") == Site("de", "https://de.wikipedia.org/wiki/$1", "wikipedia")


def test_the_example_of_the_documentation_is_allowed_and_in_force(tmp_path: Path) -> None:
    example = DOCS.read_text().split("```json\n")[1].split("```")[0]
    context = context_of(configured(tmp_path, example, WIKIBASE_ENTITY_BASE="https://museum.example/entity/"))
    base = "https://museum.example/entity/"
    assert context.units[f"{base}Q11"] == ("0.01", f"{base}Q10")
    assert context.vocabulary.entity_iri("wikidata:Q42") == "http://www.wikidata.org/entity/Q42"
    entity = item(
        sitelinks={**sitelink("rooms", "Hall 1"), **sitelink("enwiki", "X")},
        claims=by_property(statement("Q1$a", snak("P2", text("a b")))),
    )
    output = "\n".join(map_entity(entity, context))
    assert '<http://rooms.museum.example/Hall_1> <http://schema.org/inLanguage> "en-x-signs" .' in output
    assert "<https://ids.museum.example/a+b>" in output
    assert "wikipedia" not in output, "sites that are given replace all others"
    assert "<http://creativecommons.org/ns#license> <https://creativecommons.org/licenses/by/4.0/>" in output


def test_every_member_is_documented() -> None:
    from wbd.mapping.config import RdfConfig

    assert re.findall(r"^\| `(\w+)`", DOCS.read_text(), re.M) == list(RdfConfig.model_fields)


def test_maps_may_be_empty_php_arrays_and_replace_the_tables(tmp_path: Path) -> None:
    empty: dict[str, Any] = {"sites": [], "properties": [], "units": [], "foreign": [], "languages": []}
    context = context_of(configured(tmp_path, empty))
    assert (context.units, context.formatter_uris) == ({}, {}) and context.sites("enwiki") is None


def test_units_are_wikibases_conversion_file(tmp_path: Path) -> None:
    units = {"Q1": {"factor": 0.3048, "unit": "Q2", "label": "foot"}, "Q3": {"factor": "+1000", "unit": "Q2"}}
    context = context_of(configured(tmp_path, {"units": units}))
    assert sorted(factor for factor, _ in context.units.values()) == ["0.3048", "1000"]


def test_a_context_from_a_file_goes_to_other_processes_whole(tmp_path: Path) -> None:
    example = DOCS.read_text().split("```json\n")[1].split("```")[0]
    context = context_of(configured(tmp_path, example))
    assert pickle.loads(pickle.dumps(context)) == context  # noqa: S301 (our own bytes)


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ("{", ""),
        ("[]", ""),
        ('{"license": "\\ud800"}', ""),
        ({"site": {}}, "site"),
        ({"sites": ["x"]}, "sites"),
        ({"sites": {"enwiki": {}}}, "sites.enwiki.path"),
        ({"sites": {"enwiki": {"path": "https://x.test/"}}}, "sites.enwiki.path"),
        ({"sites": {"enwiki": {"path": "https://x.test/ $1"}}}, "sites.enwiki.path"),
        ({"sites": {"enwiki": {"path": "//x/$1", "language": "a b"}}}, "sites.enwiki.language"),
        ({"sites": {"enwiki": {"path": "//x/$1", "lang": "en"}}}, "sites.enwiki.lang"),
        ({"properties": {"x": {}}}, "properties.x"),
        ({"properties": {"P1": {"datatype": 3}}}, "properties.P1.datatype"),
        ({"properties": {"P1": {"formatter_uri": "https://x.test/"}}}, "properties.P1.formatter_uri"),
        ({"units": {"Q5": {"factor": "x", "unit": "Q1"}}}, "units.Q5.factor"),
        ({"units": {"Q5": {"factor": 0, "unit": "Q1"}}}, "units.Q5.factor"),
        ({"units": {"Q5": {"factor": True, "unit": "Q1"}}}, "units.Q5.factor"),
        ({"units": {"Q5": {"factor": "1"}}}, "units.Q5.unit"),
        ({"foreign": {"other": "https://x.test/entity"}}, "foreign.other"),
        ({"repository": ""}, "repository"),
        ({"license": "free"}, "license"),
    ],
)
def test_a_fault_names_the_file_and_its_place(tmp_path: Path, config: Any, place: str) -> None:
    settings = configured(tmp_path, config)
    with pytest.raises(ConfigError) as caught:
        context_of(settings)
    start = f"wikibase_rdf_config {tmp_path}/rdf.json: {place}{': ' if place else ''}"
    assert str(caught.value).startswith(start) and str(caught.value).endswith("; not used")


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    settings = configured(tmp_path, WIKIBASE_RDF_CONFIG=str(tmp_path / "none.json"))
    with pytest.raises(ConfigError, match=r"none\.json: not readable: No such file"):
        context_of(settings)
