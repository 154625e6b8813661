"""Follow the diff stream and keep the RDF of every entity up to date, as a consumer does.

python examples/follow_diffs.py [--brokers HOST:PORT,...] [--topic TOPIC] [--group NAME] [--events N]

Without --brokers it follows the group that `wbd up` runs on this machine.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from typing import Any

import pyoxigraph
from confluent_kafka import Consumer

from wbd.settings.load import load

Triples = set[pyoxigraph.Triple]


def triples(turtle: str) -> Triples:
    """Parse the RDF of an event."""
    return {quad.triple for quad in pyoxigraph.parse(turtle.encode(), format=pyoxigraph.RdfFormat.TURTLE)}


def apply(event: dict[str, Any], graphs: dict[str, Triples]) -> tuple[Triples, Triples]:
    """Apply one message to the graph of its entity; return the triples added and removed."""
    graph = graphs[event["entity_id"]]
    if event["operation"] in ("reconcile", "delete") and event["sequence"] == 0:
        graph.clear()
    added, removed = triples(event["rdf_added_data"]), triples(event["rdf_removed_data"])
    graph -= removed
    graph |= added
    return added, removed


def main() -> None:
    """Print one line per message."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--brokers", help="Kafka brokers; default: those of the settings")
    arguments.add_argument("--topic", default="wikibase.entity_diff")
    arguments.add_argument("--group", default="example", help="Kafka consumer group; a new one starts at the beginning")
    arguments.add_argument("--events", type=int, default=0, help="stop after this many; default: never")
    args = arguments.parse_args()
    consumer = Consumer(
        {
            "bootstrap.servers": args.brokers or load().settings.brokers(),
            "group.id": args.group,
            "auto.offset.reset": "earliest",
            # Offsets are committed by hand, after the work. After a crash the last message comes again.
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([args.topic])
    graphs: dict[str, Triples] = defaultdict(set)
    seen: set[str] = set()
    try:
        while not args.events or len(seen) < args.events:
            message = consumer.poll(1.0)
            if message is None:
                continue
            if message.error():
                raise SystemExit(f"follow_diffs: {message.error()}")
            event = json.loads(message.value())
            if event["event_id"] not in seen:
                seen.add(event["event_id"])
                added, removed = apply(event, graphs)
                step = f"{event['entity_id']} r{event['revision_id']} {event['operation']}"
                print(f"{step}: {len(added)} triples added, {len(removed)} removed")
            consumer.commit(message, asynchronous=False)
    finally:
        consumer.close()


if __name__ == "__main__":
    main()
