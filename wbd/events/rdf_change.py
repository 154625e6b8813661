"""Wikimedia's event for a change of an entity's RDF: mediawiki/wikibase/entity/rdf_change, version 2.0.0.

For consumers of Wikimedia's stream. Unlike in entity_diff, shared data is not repeated in the added and deleted data.

Rules: https://schema.wikimedia.org/repositories/primary/jsonschema/mediawiki/wikibase/entity/rdf_change/2.0.0
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from wbd.events.entity_diff import Operation, message_id

SCHEMA = "/mediawiki/wikibase/entity/rdf_change/2.0.0"


@dataclass(frozen=True, slots=True)
class RdfChange:
    """
    One message: a complete event, or one of its chunks.

    A delete has no data; the consumer removes all triples of the entity. A reconcile has all of them as added data.

    name: identity of the event, which its chunks share; see messages.Step.
    stream, domain: the topic of the event, and the host of the wiki.
    dt: when the revision was recorded, ISO 8601, UTC.
    published_at: when the message was made, ISO 8601, UTC.
    added, deleted, linked_shared, unlinked_shared: RDF in the format of mime_type; "" for none.
    """

    name: str
    stream: str
    domain: str
    entity_id: str
    rev_id: int
    operation: Operation
    dt: str
    published_at: str
    added: str = ""
    deleted: str = ""
    linked_shared: str = ""
    unlinked_shared: str = ""
    mime_type: str = "text/turtle"
    sequence: int = 0
    sequence_length: int = 1

    def to_bytes(self) -> bytes:
        """Return the message value, JSON in UTF-8."""
        message: dict[str, Any] = {
            "$schema": SCHEMA,
            "meta": {
                "stream": self.stream,
                "domain": self.domain,
                "dt": self.published_at,
                "id": message_id(self.name, self.sequence),
                "request_id": message_id(f"{self.name} whole"),
            },
            "entity_id": self.entity_id,
            "rev_id": self.rev_id,
            "dt": self.dt,
            "sequence": self.sequence,
            "sequence_length": self.sequence_length,
            "operation": self.operation,
        }
        for name, data in (
            ("rdf_added_data", self.added),
            ("rdf_deleted_data", self.deleted),
            ("rdf_linked_shared_data", self.linked_shared),
            ("rdf_unlinked_shared_data", self.unlinked_shared),
        ):
            if data:
                message[name] = {"data": data, "mime_type": self.mime_type}
        return orjson.dumps(message)
