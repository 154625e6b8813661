"""The embedded Apache Kafka, as a real broker, and its stand-in."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from wbd.engines.kafka import Topics
from wbd.errors import BrokerUnavailable, ConfigError
from wbd.stack.kafka import VERSION, KafkaBroker, fetch_libraries, libraries_in
from wbd.stack.mock_kafka import MockKafka

QUIET = {"log_level": 0}


def create_topic(brokers: str, name: str) -> None:
    admin = AdminClient({"bootstrap.servers": brokers, **QUIET})
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(30)


def publish(brokers: str, topic: str, value: bytes) -> None:
    failures: list[object] = []
    producer = Producer({"bootstrap.servers": brokers, "acks": "all", "message.max.bytes": 16 * 1024 * 1024, **QUIET})
    producer.produce(topic, value, on_delivery=lambda error, _: failures.append(error) if error else None)
    assert producer.flush(30) == 0
    assert failures == []


def read(brokers: str, topic: str, count: int) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "test", "enable.auto.commit": False, **QUIET})
    consumer.assign([TopicPartition(topic, 0, 0)])
    values: list[bytes] = []
    try:
        while len(values) < count:
            message = consumer.poll(30)
            assert message is not None, f"{len(values)} of {count} messages"
            assert message.error() is None
            values.append(message.value() or b"")
        return values
    finally:
        consumer.close()


def test_acknowledged_messages_come_back_after_stop_and_after_kill_9(kafka: KafkaBroker) -> None:
    create_topic(kafka.brokers, "survivors")
    large = b"x" * (12 * 1024 * 1024)
    publish(kafka.brokers, "survivors", b"before the stop")
    publish(kafka.brokers, "survivors", large)
    before = kafka.settings()
    cluster_id = (kafka.places.kafka / "data" / "meta.properties").read_text()
    assert kafka.restart() == before
    publish(kafka.brokers, "survivors", b"before the kill")
    kafka.kill()
    with pytest.raises(BrokerUnavailable):
        kafka.ping(timeout_s=0.2)
    assert kafka.start() == before
    assert (kafka.places.kafka / "data" / "meta.properties").read_text() == cluster_id
    assert read(kafka.brokers, "survivors", 3) == [b"before the stop", large, b"before the kill"]


def test_only_loopback_is_bound(kafka: KafkaBroker) -> None:
    assert kafka.pid is not None
    inodes = set()
    for link in Path(f"/proc/{kafka.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            inodes.add(str(link.readlink()).removeprefix("socket:[").removesuffix("]"))
    listening = []
    for table, any_address in (("tcp", "00000000"), ("tcp6", "0" * 32)):
        for line in Path(f"/proc/{kafka.pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                listening.append(fields[1])
                assert not fields[1].startswith(any_address)
    assert len(listening) == 2


def test_a_topic_is_not_made_by_being_asked_for(kafka: KafkaBroker) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.brokers, **QUIET})
    assert admin.list_topics("misspelt", timeout=10).topics["misspelt"].error is not None
    assert "misspelt" not in admin.list_topics(timeout=10).topics


def test_ports_are_kept_while_free_and_changed_when_taken(
    kafka: KafkaBroker, tmp_path_factory: pytest.TempPathFactory
) -> None:
    own = KafkaBroker(tmp_path_factory.mktemp("k"), kafka.cache_dir)
    own.places.create()
    own.prepare()
    first = own.brokers
    own.prepare()
    assert own.brokers == first
    host, _, port = first.partition(":")
    with socket.socket() as taken:
        taken.bind((host, int(port)))
        taken.listen()
        own.prepare()
        assert own.brokers != first


def test_a_foreign_log_directory_is_refused_and_untouched(
    kafka: KafkaBroker, tmp_path_factory: pytest.TempPathFactory
) -> None:
    own = KafkaBroker(tmp_path_factory.mktemp("k"), kafka.cache_dir)
    own.places.create()
    letter = own.places.kafka / "data" / "letter.txt"
    letter.parent.mkdir(parents=True)
    letter.write_text("not yours")
    with pytest.raises(ConfigError, match="is not empty and holds no log of Kafka"):
        own.prepare()
    assert letter.read_text() == "not yours"


def test_a_failed_fetch_leaves_no_class_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text("#!/bin/sh\necho planted fault\nexit 1\n")
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", str(maven.parent), prepend=":")
    with pytest.raises(BrokerUnavailable, match=r"failed with exit code 1:\n    planted fault"):
        fetch_libraries(tmp_path / "cache")
    assert not libraries_in(tmp_path / "cache").exists()
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_class_path_is_whole_or_absent(kafka: KafkaBroker) -> None:
    assert (kafka.libraries / f"kafka_2.13-{VERSION}.jar").exists()
    assert any(path.name.startswith("log4j-slf4j-impl") for path in kafka.libraries.iterdir())
    assert fetch_libraries(kafka.cache_dir) is False


def test_what_kafka_needs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "java not found" in (KafkaBroker.why_missing(tmp_path) or "")
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\n")
    java.chmod(0o755)
    assert "mvn not found" in (KafkaBroker.why_missing(tmp_path) or "")
    (tmp_path / f"kafka-{VERSION}").mkdir()
    (tmp_path / f"kafka-{VERSION}" / f"kafka_2.13-{VERSION}.jar").touch()
    assert KafkaBroker.why_missing(tmp_path) is None


def test_the_stand_in_takes_and_gives_messages_and_has_the_topics_asked_for(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    mock = MockKafka(tmp_path_factory.mktemp("k"), topics=["a.topic", "b.topic"])
    address = mock.start()
    try:
        assert address == {"kafka_brokers": mock.brokers}
        admin = AdminClient({"bootstrap.servers": mock.brokers, **QUIET})
        assert set(admin.list_topics(timeout=10).topics) == {"a.topic", "b.topic"}
        topics = Topics(mock.brokers)
        assert topics.create("a.topic", partitions=8, replication=1) is False
        assert topics.max_message_bytes("a.topic") == 0
        producer = Producer({"bootstrap.servers": mock.brokers, "enable.idempotence": True, **QUIET})
        producer.produce("a.topic", b"hello", partition=0)
        assert producer.flush(10) == 0
        assert read(mock.brokers, "a.topic", 1) == [b"hello"]
    finally:
        mock.stop()
    with pytest.raises(BrokerUnavailable, match="no address"):
        mock.ping(timeout_s=0.1)
