"""The producer on a real broker: every acknowledged message is in the topic once, in the order of its key."""

from __future__ import annotations

import random
import uuid
from collections import defaultdict

import pytest

from tests.build.topics import read_topic
from wbd.engines.kafka import MAX_MESSAGE_BYTES, Event, EventProducer, Topics, end_offsets
from wbd.errors import BrokerUnavailable, EventTooLarge
from wbd.stack.kafka import KafkaBroker


@pytest.fixture
def topic(kafka: KafkaBroker) -> str:
    name = f"t-{uuid.uuid4().hex[:12]}"
    assert Topics(kafka.brokers).create(name, partitions=3, replication=1)
    return name


def test_a_topic_is_created_once_with_room_for_large_messages(kafka: KafkaBroker, topic: str) -> None:
    topics = Topics(kafka.brokers)
    assert not topics.create(topic, partitions=3, replication=1)
    assert topics.names()[topic] == 3
    assert topics.max_message_bytes(topic) == MAX_MESSAGE_BYTES


def test_acknowledged_events_are_there_once_and_in_order_of_their_key(kafka: KafkaBroker, topic: str) -> None:
    producer = EventProducer(kafka.brokers)
    events = [Event(topic, f"Q{i % 20}", str(i).encode()) for i in range(1000)]
    assert producer.publish(events) == [None] * 1000
    assert (producer.acknowledged, producer.failed) == (1000, 0)
    by_key = defaultdict(list)
    for message in read_topic(kafka.brokers, topic, idle_s=1.5):
        by_key[message.key().decode()].append(int(message.value()))
    assert {key: sorted(values) for key, values in by_key.items()} == by_key
    assert sorted(value for values in by_key.values() for value in values) == list(range(1000))
    assert sum(end_offsets(kafka.brokers, topic).values()) == 1000


def test_a_large_event_goes_through_and_one_over_the_limit_is_told_apart(kafka: KafkaBroker, topic: str) -> None:
    producer = EventProducer(kafka.brokers)
    large = random.Random(1).randbytes(MAX_MESSAGE_BYTES - 10_000)
    outcome = producer.publish([Event(topic, "a", large), Event(topic, "b", large * 2), Event(topic, "c", b"small")])
    assert outcome[0] is None
    assert isinstance(outcome[1], EventTooLarge)
    assert "over the limit" in str(outcome[1])
    assert outcome[2] is None


def test_a_broker_that_is_away_is_an_error_within_the_deadline_and_publishing_goes_on_after(
    kafka: KafkaBroker, topic: str
) -> None:
    producer = EventProducer(kafka.brokers, delivery_timeout_s=2.0)
    assert producer.publish([Event(topic, "Q1", b"1")]) == [None]
    kafka.kill()
    try:
        outcome = producer.publish([Event(topic, "Q1", b"2"), Event(topic, "Q1", b"3")])
        assert [type(error) for error in outcome] == [BrokerUnavailable] * 2
        with pytest.raises(BrokerUnavailable):
            producer.ping(timeout_s=1.0)
    finally:
        kafka.start()
    assert producer.publish([Event(topic, "Q1", b"2"), Event(topic, "Q1", b"3")]) == [None, None]
    values = [message.value() for message in read_topic(kafka.brokers, topic, idle_s=1.5)]
    assert values == [b"1", b"2", b"3"]
