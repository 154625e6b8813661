"""A consumer that holds all entities in one triple store, for events of both schemas."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
import pyoxigraph as ox

WD = "http://www.wikidata.org/"
ABOUT = ox.NamedNode("http://schema.org/about")
_FORMATS = {
    "text/turtle": ox.RdfFormat.TURTLE,
    "application/rdf+xml": ox.RdfFormat.RDF_XML,
    "application/n-triples": ox.RdfFormat.N_TRIPLES,
}


def parsed(data: str, mime_type: str = "text/turtle") -> set[ox.Triple]:
    return {quad.triple for quad in ox.parse(data.encode(), format=_FORMATS[mime_type])}


class TripleStore:
    """Applies messages in their order."""

    def __init__(self) -> None:
        self.store = ox.Store()
        self._chunks: list[dict[str, Any]] = []
        self._seen: set[str] = set()

    def apply(self, message: bytes) -> None:
        """Take one message; repeats are ignored, and an event is applied once all of its chunks have come."""
        event = orjson.loads(message)
        event_id = event.get("event_id") or event["meta"]["id"]
        if event_id in self._seen:
            return
        self._seen.add(event_id)
        assert event["sequence"] == len(self._chunks), "chunks follow one another"
        self._chunks.append(event)
        if event["sequence"] + 1 < event["sequence_length"]:
            return
        chunks, self._chunks = self._chunks, []
        added, removed, linked, unlinked = (
            {triple for chunk in chunks for triple in _data(chunk, name)}
            for name in ("added", "removed", "linked_shared", "unlinked_shared")
        )
        entity = ox.NamedNode(f"{WD}entity/{event['entity_id']}")
        if event["operation"] in ("delete", "reconcile"):
            self._drop(entity)
        self._remove(removed - unlinked)
        for triple in added | linked:
            self.store.add(ox.Quad(*triple))
        self._collect({triple.subject for triple in unlinked})

    def lines(self) -> set[str]:
        return {str(quad.triple) for quad in self.store}

    def _remove(self, triples: Iterable[ox.Triple]) -> None:
        for triple in triples:
            self.store.remove(ox.Quad(*triple))

    def _drop(self, entity: ox.NamedNode) -> None:
        """Remove an entity with its statements, pages and documents, and nodes that are no longer used."""
        gone: set[Any] = {entity}
        waiting = [entity]
        while waiting:
            for quad in self.store.quads_for_pattern(waiting.pop(), None, None):
                # Statements, and the forms and senses of a lexeme with theirs.
                own = (f"{WD}entity/statement/", f"{entity.value}-")
                if isinstance(quad.object, ox.NamedNode) and quad.object.value.startswith(own):
                    gone.add(quad.object)
                    waiting.append(quad.object)
        pages = {quad.subject for quad in self.store.quads_for_pattern(None, ABOUT, entity)}
        shared: set[Any] = set(pages)
        for quad in [quad for node in gone for quad in self.store.quads_for_pattern(node, None, None)]:
            shared.add(quad.object)
            self.store.remove(quad)
        for page in pages:
            self.store.remove(ox.Quad(page, ABOUT, entity))
        self._collect(shared)

    def _collect(self, nodes: set[Any]) -> None:
        """Remove nodes that no triple points to, and nodes that only those pointed to."""
        waiting = [node for node in nodes if isinstance(node, ox.NamedNode)]
        while waiting:
            node = waiting.pop()
            # A value in standard units is its own normalized value.
            users = (quad for quad in self.store.quads_for_pattern(None, None, node) if quad.subject != node)
            if node.value.startswith(f"{WD}entity/") or any(users):
                continue
            if any(self.store.quads_for_pattern(node, ABOUT, None)):
                continue
            for quad in list(self.store.quads_for_pattern(node, None, None)):
                self.store.remove(quad)
                if isinstance(quad.object, ox.NamedNode):
                    waiting.append(quad.object)


def _data(message: dict[str, Any], name: str) -> set[ox.Triple]:
    if "meta" in message:
        part = message.get(f"rdf_{'deleted' if name == 'removed' else name}_data")
        return parsed(part["data"], part["mime_type"]) if part else set()
    return parsed(message[f"rdf_{name}_data"], message["mime_type"])
