"""Create an item, edit it, and see how a conflict and bad input are refused.

python examples/edit_entity.py

Without settings it works on the group that `wbd up` runs on this machine.
"""

from __future__ import annotations

from wbd.errors import BadEntity, HeadMoved
from wbd.ids import IdClient
from wbd.settings.load import load
from wbd.wiki import Wiki


def main() -> None:
    """Write three revisions of a new item and print what becomes of each call."""
    settings = load().settings
    entity_id = IdClient(settings.ids_socket_path).next("item")
    # A process opens the wiki once, and all of its threads share it.
    with Wiki(settings) as wiki:
        revisions = wiki.revisions

        item = {"type": "item", "id": entity_id, "labels": {"en": {"language": "en", "value": "Harrow Point"}}}
        # The base 0 says that nobody may have created the item before.
        result = revisions.put(item, user_id=5, summary="new item", base_revision_id=0)
        print(result.entity_id, result.outcome, f"r{result.revision_id}")

        stored = revisions.get(entity_id)
        assert stored is not None
        edited = stored.data
        edited["labels"]["de"] = {"language": "de", "value": "Harrow Point"}
        base = stored.revision.revision_id
        result = revisions.put(edited, user_id=5, summary="German label", base_revision_id=base)
        print(result.entity_id, result.outcome, f"r{result.revision_id}")

        # Another editor had read r1 too and comes second.
        edited["labels"]["de"]["value"] = "Leuchtturm"
        try:
            revisions.put(edited, user_id=6, base_revision_id=base)
        except HeadMoved as error:
            print("conflict:", error)

        edited["labels"]["de"]["value"] = 7
        try:
            revisions.put(edited, user_id=6)
        except BadEntity as error:
            print("bad input:", error.message, "at", error.place)

        revisions.delete(entity_id, user_id=5, summary="created for an example")
        for revision in revisions.history(entity_id):
            print(f"r{revision.revision_id}", revision.operation, revision.edit_summary)


if __name__ == "__main__":
    main()
