"""Kafka: a producer that reports what the broker has acknowledged, topics, and a consumer in a group.

Every message is written with acks=all by an idempotent producer, so a retry inside the client neither repeats nor
reorders messages of one key. Consumers commit offsets after the work, so every message is worked off at least once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from wbd.errors import BrokerUnavailable, EventTooLarge, LeaseLost, PermanentError

# The largest Wikidata items are about 5 MB of Turtle; the topics that wbd creates take messages of this size.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
_ADMIN_TIMEOUT_S = 15.0
_GIVEN_UP = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})
# Another member of the group has the partitions now, or will have them.
_NOT_OURS = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError._MAX_POLL_EXCEEDED,
        KafkaError._ASSIGNMENT_LOST,
        KafkaError._STATE,
    }
)
_REASON_CHARACTERS = 2000
# Room for what the broker counts beside key, value and headers of a message.
_FRAME_BYTES = 1024
# The runtime logs the errors of the calls below; the client's own lines would be plain text.
_SILENT = logging.getLogger("wbd.librdkafka")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


@dataclass(frozen=True, slots=True)
class Event:
    """One message to publish; messages of one key keep their order. headers: pairs of name and value."""

    topic: str
    key: str | bytes | None
    value: bytes
    headers: tuple[tuple[str, str], ...] = ()


class EventProducer:
    """
    Publishes batches and tells which messages the broker has acknowledged.

    One caller at a time. Nothing connects before the first batch. A batch takes at most delivery_timeout_s, and another
    second to give up; both must fit into the drain_s of the worker.
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

        Events after a refused event of the same key are not sent, since they may build on it.

        Returns:
            One entry for each event: None when the broker has it, else EventTooLarge (permanent) or BrokerUnavailable
            (it is unknown whether the event was written; publish it again).
        """
        producer = self._open()
        outcome: list[Exception | None] = [BrokerUnavailable(f"kafka {self._brokers}: event not sent")] * len(events)
        end_mono_s = time.monotonic() + self._delivery_timeout_s

        def record(position: int, error: KafkaError | None) -> None:
            outcome[position] = None if error is None else self._failure(events[position], error)

        refused: set[tuple[str, str | bytes | None]] = set()
        for position, event in enumerate(events):
            while (event.topic, event.key) not in refused:
                try:
                    producer.produce(
                        event.topic,
                        key=event.key.encode() if isinstance(event.key, str) else event.key,
                        headers=list(event.headers),
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
            # Give up all remaining events at once. An idempotent producer may refuse later events, a new one does not.
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
                    # The next message of a key must not overtake a refused one, ...
                    "enable.gapless.guarantee": True,
                    # ... nor one that timed out, which is not covered by it: publish() gives up, not the client.
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
                f"event {_shown(event.key)}: {len(event.value)} bytes, over the limit of topic {event.topic} "
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
            cluster = self._admin.list_topics(timeout=_ADMIN_TIMEOUT_S)
        except KafkaException as error:
            raise BrokerUnavailable(f"kafka {self._brokers}: {_text(error)}") from error
        return {name: len(topic.partitions) for name, topic in cluster.topics.items()}

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
        """Return the size of the largest message that a topic takes, in bytes; 0 if the broker does not tell."""
        resource = ConfigResource(ResourceType.TOPIC, name)
        try:
            cluster = self._admin.list_topics(timeout=_ADMIN_TIMEOUT_S)
            if cluster.controller_id not in cluster.brokers:
                return 0  # librdkafka's mock cluster has no controller and lets every admin command time out
            described = self._admin.describe_configs([resource], request_timeout=_ADMIN_TIMEOUT_S)
            entries = described[resource].result()
        except KafkaException as error:
            raise BrokerUnavailable(f"kafka {self._brokers}: topic {name}: {_text(error)}") from error
        entry = entries.get("max.message.bytes")
        return int(entry.value) if entry and entry.value else 0


@dataclass(frozen=True, slots=True)
class Received:
    """
    A message as it came.

    key: None for a message without one.
    value: b"" for a tombstone.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes

    @property
    def place(self) -> str:
        """Where the message can be read again, such as ``wikibase.entity_diff[3]@1042``."""
        return f"{self.topic}[{self.partition}]@{self.offset}"


Work = Callable[[Sequence[Received]], None]
DeadLetter = Callable[[Received, PermanentError], None]


class GroupConsumer:
    """
    A member of a consumer group that hands out batches and commits their offsets after the work.

    - Each message is worked off at least once. When a process dies between work and commit, or a partition moves to
      another member, the next owner gets the batch again: the work must be harmless when it is repeated.
    - Messages of a partition come in their order. A batch that fails comes again before any later message.
    - A message that can never be worked off does not stop the others. It goes to *dead_letter* with its error.

    One thread only. Nothing connects before the first run_once().

    Args:
        group: name of the group; a new group begins with the oldest messages.
        dead_letter: keeps a message that failed; when it raises, the message is not skipped but comes again.
        batch_messages: bound of a batch.
        work_s: bound of the time between two calls of run_once(); a member that takes longer loses its partitions.
        session_s: time after which the broker gives the partitions of a dead member to the others, at least 6.
    """

    def __init__(
        self,
        brokers: str,
        group: str,
        topics: Sequence[str],
        *,
        dead_letter: DeadLetter,
        batch_messages: int = 500,
        work_s: float = 300.0,
        session_s: float = 30.0,
        client_id: str = "wbd",
    ) -> None:
        self._brokers = brokers
        self._group = group
        self._topics = list(topics)
        self._dead_letter = dead_letter
        self._batch_messages = batch_messages
        self._work_s = work_s
        self._session_s = session_s
        self._client_id = client_id
        self._consumer: Consumer | None = None
        self._assigned: set[tuple[str, int]] = set()
        self.done = 0
        self.dead_letters = 0

    @property
    def assigned(self) -> frozenset[tuple[str, int]]:
        """Topic and number of each partition that this member has; empty until it has joined the group."""
        return frozenset(self._assigned)

    def run_once(self, work: Work, timeout_s: float = 1.0) -> int:
        """
        Wait for messages, hand them to *work* in one batch, and commit their offsets when it returns.

        When *work* raises PermanentError for a batch, it gets the messages of it again one by one, and those for which
        it raises PermanentError alone go to dead_letter. Any other error leaves the messages that are not done to the
        next call.

        Returns:
            The number of messages that are done; 0 when none came within *timeout_s*.

        Raises:
            BrokerUnavailable: the broker does not answer, or a topic is missing; offsets may not be committed.
            LeaseLost: the partitions are another member's now, which gets the batch again.
            anything else that *work* or dead_letter raises.
        """
        batch = self._receive(timeout_s)
        if not batch:
            return 0
        done = 0
        try:
            try:
                work(batch)
            except PermanentError as error:
                for message in batch:
                    self._work_one(work, message, error if len(batch) == 1 else None)
                    done += 1
        except BaseException:
            self._rewind(batch[done:])
            # The next commit includes these offsets, if this one fails.
            with suppress(BrokerUnavailable, LeaseLost):
                self._commit(batch[:done])
            self.done += done
            raise
        self.done += len(batch)
        self._commit(batch)
        return len(batch)

    def close(self) -> None:
        """Leave the group, so that the others get the partitions at once; the next run_once() joins again."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None
        self._assigned.clear()

    def _work_one(self, work: Work, message: Received, error: PermanentError | None) -> None:
        if error is None:
            try:
                work([message])
            except PermanentError as its_own:
                error = its_own
        if error is not None:
            self._dead_letter(message, error)
            self.dead_letters += 1

    def _receive(self, timeout_s: float) -> list[Received]:
        consumer = self._open()
        try:
            first = consumer.poll(timeout_s)
            if first is None:
                return []
            messages = [first]
            if self._batch_messages > 1:
                # Those that are here already. A batch does not wait to be full.
                messages += consumer.consume(self._batch_messages - 1, 0.0)
        except KafkaException as error:
            raise self._failure(error.args[0]) from error
        batch = [
            Received(message.topic(), message.partition(), message.offset(), message.key(), message.value() or b"")
            for message in messages
            # A rebalance in these calls can take a partition away after some of its messages came.
            if message.error() is None and (message.topic(), message.partition()) in self._assigned
        ]
        errors = [error for error in (message.error() for message in messages) if error is not None]
        if errors and not batch:
            if errors[0].fatal():
                self.close()
            raise self._failure(errors[0])
        return batch

    def _commit(self, batch: Sequence[Received]) -> None:
        if not batch or self._consumer is None:
            return
        ends = {(message.topic, message.partition): message.offset + 1 for message in batch}
        offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in ends.items()]
        try:
            committed = self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            raise self._failure(error.args[0]) from error
        for each in committed:
            if each.error is not None:
                raise self._failure(each.error)

    def _rewind(self, batch: Sequence[Received]) -> None:
        """Let the next call begin with *batch* again."""
        begins: dict[tuple[str, int], int] = {}
        for message in batch:
            begins.setdefault((message.topic, message.partition), message.offset)
        try:
            for (topic, partition), offset in begins.items():
                if self._consumer is not None and (topic, partition) in self._assigned:
                    self._consumer.seek(TopicPartition(topic, partition, offset))
        except KafkaException:
            # A consumer that joins anew begins with the committed offsets.
            self.close()

    def _open(self) -> Consumer:
        if self._consumer is None:
            consumer = Consumer(
                {
                    "bootstrap.servers": self._brokers,
                    "client.id": self._client_id,
                    "group.id": self._group,
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest",
                    # Members that keep a partition go on with it while others move.
                    "partition.assignment.strategy": "cooperative-sticky",
                    "max.poll.interval.ms": int(max(self._work_s, self._session_s) * 1000),
                    "session.timeout.ms": int(self._session_s * 1000),
                    "fetch.message.max.bytes": MAX_MESSAGE_BYTES,
                    "queued.max.messages.kbytes": 64 * 1024,
                    # A commit waits for a broker that is away no longer than this.
                    "socket.timeout.ms": 10_000,
                    "logger": _SILENT,
                }
            )
            consumer.subscribe(self._topics, on_assign=self._gained, on_revoke=self._gave_up, on_lost=self._gave_up)
            self._consumer = consumer
        return self._consumer

    def _gained(self, _consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        self._assigned.update((each.topic, each.partition) for each in partitions)

    def _gave_up(self, _consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        self._assigned.difference_update((each.topic, each.partition) for each in partitions)

    def _failure(self, error: KafkaError) -> Exception:
        text = f"kafka {self._brokers}: group {self._group}: {error.str()}"
        return LeaseLost(text) if error.code() in _NOT_OURS else BrokerUnavailable(text)


class DeadLetterTopic:
    """
    Keeps messages that can never be worked off in a topic of their own, which is the dead_letter of a GroupConsumer.

    A dead letter has the key and the value of the message. Its headers tell why and where: ``reason``, ``error`` (the
    class), ``topic``, ``partition`` and ``offset``. A value that is too large is left out, with the header
    ``value_bytes`` for its size.

    Args:
        max_bytes: size of the largest message that the topic takes.
    """

    def __init__(self, producer: EventProducer, topic: str, *, max_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._producer = producer
        self._topic = topic
        self._max_bytes = max_bytes

    def __call__(self, message: Received, error: PermanentError) -> None:
        """Publish one dead letter. Raises BrokerUnavailable when the broker does not acknowledge it."""
        headers = (
            ("reason", str(error)[:_REASON_CHARACTERS]),
            ("error", type(error).__name__),
            ("topic", message.topic),
            ("partition", str(message.partition)),
            ("offset", str(message.offset)),
        )
        event = Event(self._topic, message.key, message.value, headers)
        # Not left to the broker to refuse: that is a fatal error of an idempotent producer.
        header_bytes = sum(len(name) + len(text.encode()) for name, text in headers)
        if len(message.key or b"") + len(message.value) + header_bytes + _FRAME_BYTES > self._max_bytes:
            event = replace(event, value=b"", headers=(*headers, ("value_bytes", str(len(message.value)))))
        (answer,) = self._producer.publish([event])
        if answer is not None:
            raise answer


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


def _shown(key: str | bytes | None) -> str:
    return key.decode(errors="replace") if isinstance(key, bytes) else str(key)


def _text(error: KafkaException) -> str:
    first: Any = error.args[0] if error.args else error
    return str(first.str()) if isinstance(first, KafkaError) else str(first)
