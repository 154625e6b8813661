"""The servers of a wiki: opened once, loaded only where they are used, and refused while the schema is too old."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from wbd.errors import ConfigError
from wbd.mapping.context import TRUTHY
from wbd.settings.load import load
from wbd.settings.settings import Settings
from wbd.wiki import Wiki


def settings(tmp_path: Path, **values: str) -> Settings:
    given = {
        "WBD_STATE_DIR": str(tmp_path),
        "DATABASE_URL": "mysql://u:p@127.0.0.1:1/d",
        "KAFKA_BROKERS": "127.0.0.1:1",
    }
    return load(given | values).settings


def test_each_server_is_opened_once_and_connects_to_nothing(tmp_path: Path) -> None:
    with Wiki(settings(tmp_path)) as wiki:
        assert wiki.database is wiki.database
        assert wiki.snapshots is wiki.snapshots
        assert wiki.revisions is wiki.revisions
        assert wiki.store is wiki.store
        assert wiki.database.stats.connects == 0


def test_settings_that_name_no_server_are_refused_when_it_is_asked_for(tmp_path: Path) -> None:
    wiki = Wiki(load({"WBD_STATE_DIR": str(tmp_path)}).settings)
    with pytest.raises(ConfigError, match="vitess_host missing"):
        _ = wiki.database
    with pytest.raises(ConfigError, match="kafka_brokers missing"):
        wiki.producer("x")
    wiki.close()


def test_the_mapping_is_that_of_the_settings(tmp_path: Path) -> None:
    mapping = Wiki(settings(tmp_path, WIKIBASE_ENTITY_BASE="https://base.test/entity/")).mapping("truthy")
    assert mapping.vocabulary.entity_base == "https://base.test/entity/"
    assert mapping.flavour == TRUTHY


@pytest.mark.parametrize("module", ["wbd.workers.id_generation", "wbd.workers.user_stats"])
def test_a_worker_loads_no_client_of_a_server_that_it_does_not_use(module: str) -> None:
    code = f"""
import importlib, sys
importlib.import_module({module!r})
print(*sorted({{"boto3", "obstore", "confluent_kafka", "pyoxigraph", "rdflib"}} & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == ""
