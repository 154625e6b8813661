"""Two real revisions of one item, from the file to the topic."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyoxigraph as ox
import pytest

from tests.kafka.conftest import Wiki, run_of, until_idle
from wbd.importing.importer import import_files

LABEL_PREDICATES = (
    "http://www.w3.org/2000/01/rdf-schema#label",
    "http://www.w3.org/2004/02/skos/core#prefLabel",
    "http://schema.org/name",
)
XSD = "http://www.w3.org/2001/XMLSchema#"


def revision_files() -> list[Path]:
    corpus = os.environ.get("WBD_CORPUS")
    if not corpus:
        pytest.skip("WBD_CORPUS is not set")
    return sorted((Path(corpus) / "wikidata" / "revisions").glob("Q1_*.json"))


def expected(file: Path) -> set[str]:
    """Return the triples that only this revision has: its English label, its version and its date."""
    entity = json.loads(file.read_text())
    item, document = "<http://www.wikidata.org/entity/Q1>", "<https://www.wikidata.org/wiki/Special:EntityData/Q1>"
    label = json.dumps(entity["labels"]["en"]["value"])
    return {
        *(f"{item} <{predicate}> {label}@en" for predicate in LABEL_PREDICATES),
        f'{document} <http://schema.org/version> "{entity["lastrevid"]}"^^<{XSD}integer>',
        f'{document} <http://schema.org/dateModified> "{entity["modified"]}"^^<{XSD}dateTime>',
    }


def test_importing_both_gives_exactly_the_changed_label_and_the_documents_version_and_date(wiki: Wiki) -> None:
    files = revision_files()
    worker, run = wiki.diff_worker(), run_of("entity_diff", "w1")
    worker.start(run)
    for file in files:
        report = import_files([file], wiki.store)
        assert (report.created + report.updated, report.rejected) == (1, 0)
        until_idle(worker, run)
    assert import_files(files, wiki.store).unchanged == 2
    until_idle(worker, run)
    worker.stop()
    first, second = wiki.diffs()
    assert (first.revision_id, first.previous_revision_id) == (110652822, None)
    assert (second.revision_id, second.previous_revision_id) == (110652868, 110652822)
    for data, file in ((second.rdf_removed_data, files[0]), (second.rdf_added_data, files[1])):
        triples = {str(quad.triple) for quad in ox.parse(data.encode(), ox.RdfFormat.TURTLE)}
        assert triples == expected(file)
