"""Read topics outside of any consumer group, as a test does that looks at all of a topic."""

from __future__ import annotations

import time
from collections.abc import Iterator

from confluent_kafka import Consumer, Message, TopicPartition


def read_topic(brokers: str, topic: str, *, idle_s: float) -> Iterator[Message]:
    """Yield the messages of every partition from the beginning; end after *idle_s* seconds without one."""
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "test-read",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.message.max.bytes": 64 * 1024 * 1024,
        }
    )
    try:
        partitions = consumer.list_topics(topic, timeout=15.0).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        last_mono_s = time.monotonic()
        while time.monotonic() - last_mono_s < idle_s:
            message = consumer.poll(0.2)
            if message is None:
                continue
            assert message.error() is None, message.error()
            last_mono_s = time.monotonic()
            yield message
    finally:
        consumer.close()
