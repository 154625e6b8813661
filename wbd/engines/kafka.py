"""Kafka: a producer that knows what the broker has, topics, and a plain reader.

Every message is written with acks=all by an idempotent producer, so a retry inside the client neither repeats nor
reorders messages of one key.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from wbd.errors import BrokerUnavailable, EventTooLarge

# Turtle of the largest Wikidata items is about 5 MB; the topics that wbd creates take this much a message.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
_ADMIN_TIMEOUT_S = 15.0
_GIVEN_UP = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})
# The runtime reports what the calls below return; the client's own lines would be plain text.
_SILENT = logging.getLogger("wbd.librdkafka")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


@dataclass(frozen=True, slots=True)
class Event:
    """One message to publish; messages of one key keep their order."""

    topic: str
    key: str
    value: bytes


class EventProducer:
    """
    Publishes batches and says which messages the broker has acknowledged.

    One caller at a time. Nothing connects before the first batch. A batch takes delivery_timeout_s at most, and a
    second to give up, which must fit into the time that a worker has to drain.
    """

    def __init__(self, brokers: str, *, client_id: str = "wbd", delivery_timeout_s: float = 8.0) -> None:
        self._brokers = brokers
        self._delivery_timeout_s = delivery_timeout_s
        self._client_id = client_id
        self._producer: Producer | None = None
        self.acknowledged = 0
        self.failed = 0

    def publish(self, events: Sequence[Event]) -> list[Exception | None]:
        """
        Send *events* in order and wait until each is acknowledged by all in-sync replicas or has failed.

        What follows a refused event of its key is not sent, since it may build on it.

        Returns:
            One entry an event: None when the broker has it, else EventTooLarge (permanent) or BrokerUnavailable
            (the event may or may not have been written; publish it again).
        """
        producer = self._open()
        outcome: list[Exception | None] = [BrokerUnavailable(f"kafka {self._brokers}: event not sent")] * len(events)
        end_mono_s = time.monotonic() + self._delivery_timeout_s

        def record(position: int, error: KafkaError | None) -> None:
            outcome[position] = None if error is None else self._failure(events[position], error)

        refused: set[tuple[str, str]] = set()
        for position, event in enumerate(events):
            while (event.topic, event.key) not in refused:
                try:
                    producer.produce(
                        event.topic,
                        key=event.key.encode(),
                        value=event.value,
                        on_delivery=lambda error, _message, position=position: record(position, error),
                    )
                    break
                except BufferError:
                    if time.monotonic() >= end_mono_s:
                        break
                    producer.poll(0.1)
                except KafkaException as error:
                    record(position, error.args[0])
                    refused.add((event.topic, event.key))
            producer.poll(0)
        waiting = producer.flush(max(0.1, end_mono_s - time.monotonic()))
        if waiting or any(isinstance(error, BrokerUnavailable) for error in outcome):
            # Gives up all that is left at once. An idempotent producer may refuse what comes after; a new one does not.
            producer.purge()
            producer.flush(1.0)
            self._producer = None
        self.acknowledged += sum(error is None for error in outcome)
        self.failed += sum(error is not None for error in outcome)
        return outcome

    def ping(self, timeout_s: float = 5.0) -> int:
        """Return the number of brokers that answer. Raises BrokerUnavailable."""
        try:
            return len(self._open().list_topics(timeout=timeout_s).brokers)
        except KafkaException as error:
            raise BrokerUnavailable(f"kafka {self._brokers}: {_text(error)}") from error

    def _open(self) -> Producer:
        if self._producer is None:
            self._producer = Producer(
                {
                    "bootstrap.servers": self._brokers,
                    "client.id": self._client_id,
                    "acks": "all",
                    "enable.idempotence": True,
                    # A message that is refused must not be overtaken by the next one of its key, ...
                    "enable.gapless.guarantee": True,
                    # ... nor one that timed out, which that guarantee leaves out: publish() gives up, never the client.
                    "delivery.timeout.ms": 0,
                    "compression.type": "zstd",
                    "linger.ms": 5,
                    "message.max.bytes": MAX_MESSAGE_BYTES,
                    "queue.buffering.max.kbytes": 256 * 1024,
                    "socket.timeout.ms": 10_000,
                    "logger": _SILENT,
                }
            )
        return self._producer

    def _failure(self, event: Event, error: KafkaError) -> Exception:
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return EventTooLarge(
                f"event {event.key}: {len(event.value)} bytes, over the limit of topic {event.topic} "
                f"or of {MAX_MESSAGE_BYTES}"
            )
        why = f"not acknowledged within {self._delivery_timeout_s:.0f} s" if error.code() in _GIVEN_UP else error.str()
        return BrokerUnavailable(f"kafka {self._brokers}: {event.topic}: {why}")


class Topics:
    """Create and check topics."""

    def __init__(self, brokers: str) -> None:
        self._brokers = brokers
        self._admin = AdminClient({"bootstrap.servers": brokers, "logger": _SILENT})

    def names(self) -> dict[str, int]:
        """Return every topic with its number of partitions. Raises BrokerUnavailable."""
        try:
            found = self._admin.list_topics(timeout=_ADMIN_TIMEOUT_S)
        except KafkaException as error:
            raise BrokerUnavailable(f"kafka {self._brokers}: {_text(error)}") from error
        return {name: len(topic.partitions) for name, topic in found.topics.items()}

    def create(
        self, name: str, *, partitions: int, replication: int, max_message_bytes: int = MAX_MESSAGE_BYTES
    ) -> bool:
        """Create a topic; True if it is new, False if it existed. Raises BrokerUnavailable."""
        if name in self.names():
            return False
        topic = NewTopic(name, partitions, replication, config={"max.message.bytes": str(max_message_bytes)})
        try:
            self._admin.create_topics([topic], operation_timeout=_ADMIN_TIMEOUT_S)[name].result(_ADMIN_TIMEOUT_S * 2)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                return False
            raise BrokerUnavailable(f"kafka {self._brokers}: topic {name}: {_text(error)}") from error
        return True

    def max_message_bytes(self, name: str) -> int:
        """Return the largest message that a topic takes, in bytes; 0 if the broker does not say."""
        resource = ConfigResource(ResourceType.TOPIC, name)
        try:
            found = self._admin.list_topics(timeout=_ADMIN_TIMEOUT_S)
            if found.controller_id not in found.brokers:
                return 0  # librdkafka's mock cluster has no controller and lets every admin command time out
            described = self._admin.describe_configs([resource], request_timeout=_ADMIN_TIMEOUT_S)
            entries = described[resource].result()
        except KafkaException as error:
            raise BrokerUnavailable(f"kafka {self._brokers}: topic {name}: {_text(error)}") from error
        entry = entries.get("max.message.bytes")
        return int(entry.value) if entry and entry.value else 0


def read_topic(
    brokers: str,
    topic: str,
    *,
    from_offsets: dict[int, int] | None = None,
    idle_s: float | None = None,
    stop: threading.Event | None = None,
) -> Iterator[Message]:
    """
    Yield the messages of every partition of a topic, outside any consumer group.

    Args:
        from_offsets: first offset a partition; those not named start at the beginning.
        idle_s: end after so many seconds without a message; None: go on for good.
        stop: end soon after this is set.

    Raises:
        BrokerUnavailable: the brokers do not answer, or the topic does not exist.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "wbd-read",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.message.max.bytes": MAX_MESSAGE_BYTES,
            "logger": _SILENT,
        }
    )
    try:
        found = consumer.list_topics(topic, timeout=_ADMIN_TIMEOUT_S).topics[topic]
        if found.error is not None:
            raise BrokerUnavailable(f"kafka {brokers}: topic {topic}: {found.error.str()}")
        starts = from_offsets or {}
        consumer.assign([TopicPartition(topic, p, starts.get(p, 0)) for p in found.partitions])
        last_mono_s = time.monotonic()
        while idle_s is None or time.monotonic() - last_mono_s < idle_s:
            if stop is not None and stop.is_set():
                return
            message = consumer.poll(0.2)
            if message is None:
                continue
            if message.error() is not None:
                if message.error().code() == KafkaError._PARTITION_EOF:
                    continue
                raise BrokerUnavailable(f"kafka {brokers}: topic {topic}: {message.error().str()}")
            last_mono_s = time.monotonic()
            yield message
    except KafkaException as error:
        raise BrokerUnavailable(f"kafka {brokers}: topic {topic}: {_text(error)}") from error
    finally:
        consumer.close()


def end_offsets(brokers: str, topic: str) -> dict[int, int]:
    """Return the offset that the next message of each partition will get. Raises BrokerUnavailable."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "wbd-read", "logger": _SILENT})
    try:
        partitions = consumer.list_topics(topic, timeout=_ADMIN_TIMEOUT_S).topics[topic].partitions
        return {
            p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=_ADMIN_TIMEOUT_S)[1] for p in partitions
        }
    except KafkaException as error:
        raise BrokerUnavailable(f"kafka {brokers}: topic {topic}: {_text(error)}") from error
    finally:
        consumer.close()


def _text(error: KafkaException) -> str:
    first: Any = error.args[0] if error.args else error
    return str(first.str()) if isinstance(first, KafkaError) else str(first)
