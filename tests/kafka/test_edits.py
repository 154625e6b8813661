"""What an API process does through `wbd.revisions` reaches consumers: one change event and one diff a revision."""

from __future__ import annotations

from tests.build.wikibase import labelled_item
from tests.kafka.conftest import Wiki, run_of, started, until_idle
from wbd.events.entity_change import EntityChange
from wbd.revisions import Revisions


def test_each_edit_is_announced_and_diffed_in_order(wiki: Wiki) -> None:
    revisions = Revisions(wiki.store)
    revisions.put(labelled_item(1, "target"))
    revisions.put(labelled_item(2, "first"), user_id=5, summary="new")
    revisions.put(labelled_item(2, "second"), base_revision_id=1)
    revisions.redirect("Q2", "Q1")
    revisions.delete("Q2", user_id=6)
    revisions.put(labelled_item(2, "back"), base_revision_id=4)
    worker, run = started(wiki)
    until_idle(worker, run)
    worker.stop()
    diffs = [event for event in wiki.diffs() if event.entity_id == "Q2"]
    assert [(event.revision_id, event.previous_revision_id) for event in diffs] == [
        (1, None),
        (2, 1),
        (3, 2),
        (4, 3),
        (5, 4),
    ]
    assert '"second"@en' in diffs[1].rdf_added_data and '"first"@en' in diffs[1].rdf_removed_data
    assert "Q1" in diffs[2].rdf_added_data and '"second"@en' in diffs[2].rdf_removed_data
    assert '"back"@en' in diffs[4].rdf_added_data
    publisher, run = wiki.change_worker(), run_of("entity_change", "changes")
    publisher.start(run)
    until_idle(publisher, run)
    publisher.stop()
    changes = [EntityChange.from_bytes(value) for value in wiki.messages(wiki.settings.kafka_entitychange_json_topic)]
    assert [(one.revision_id, one.operation, one.editor_id) for one in changes if one.entity_id == "Q2"] == [
        (1, "create", 5),
        (2, "update", 0),
        (3, "update", 0),
        (4, "delete", 6),
        (5, "create", 0),
    ]
