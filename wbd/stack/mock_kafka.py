"""A stand-in for Kafka where Java is missing: the mock cluster that librdkafka contains for its own tests.

Run as a program: ``python -m wbd.stack.mock_kafka STATE_DIR [TOPIC...]``

Writes:  run/mock-kafka.json, its address
Repeats: a new cluster each time; the messages of the old one are lost

It keeps no message across a restart, comes back at another address, and takes no commands to create topics: only those
named on the command line exist, with four partitions each. It uses about 5 MB of memory per partition.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from wbd.errors import BrokerUnavailable, DependencyUnavailable
from wbd.group.supervisord import import_folder
from wbd.settings.state_dir import StateDir
from wbd.stack.engine import Engine
from wbd.stack.files import read_json_object, write_private

MODULE = "wbd.stack.mock_kafka"
LIMITS = (
    "librdkafka's mock cluster stands in for Kafka: for trying out only, keeps nothing across a restart, "
    "about 5 MB of memory a partition"
)


class MockKafka(Engine):
    """
    The mock cluster as an engine of the stack.

    Args:
        topics: created when it starts, because it takes no commands to create topics.
    """

    name: ClassVar[str] = "mock_kafka"
    unavailable: ClassVar[type[DependencyUnavailable]] = BrokerUnavailable
    start_s: ClassVar[float] = 30.0
    stop_s: ClassVar[float] = 10.0
    restartable: ClassVar[bool] = False

    def __init__(self, state_dir: Path, topics: Sequence[str] = ()) -> None:
        super().__init__(state_dir)
        self.topics = tuple(topics)

    @property
    def brokers(self) -> str:
        """Address of the running cluster. Raises BrokerUnavailable while there is none."""
        address = read_json_object(_address_path(self.places))
        if not address:
            raise BrokerUnavailable("embedded mock_kafka: no address yet")
        return str(address["brokers"])

    @property
    def folder(self) -> Path:
        return import_folder(self.places)

    def prepare(self) -> None:
        _address_path(self.places).unlink(missing_ok=True)

    def command(self) -> list[str]:
        return [sys.executable, "-m", MODULE, str(self.places.root), *self.topics]

    def ping(self, timeout_s: float) -> str:
        client = AdminClient({"bootstrap.servers": self.brokers, "log_level": 0})
        try:
            client.list_topics(timeout=timeout_s)
        except KafkaException as error:
            raise BrokerUnavailable(f"embedded mock_kafka: {self.brokers}: {error.args[0].str()}") from error
        return "librdkafka's mock cluster"

    def settings(self) -> dict[str, str]:
        return {"kafka_brokers": self.brokers}

    def is_mine(self, arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
        return any(
            list(arguments[at : at + 3]) == ["-m", MODULE, str(self.places.root)] for at in range(len(arguments))
        )


def _address_path(places: StateDir) -> Path:
    return places.run / "mock-kafka.json"


def main(arguments: Sequence[str]) -> int:
    """Hold a mock cluster until SIGTERM or SIGINT."""
    places = StateDir.at(Path(arguments[0]))
    stop = {signal.SIGTERM, signal.SIGINT}
    # Before librdkafka starts threads, so that all of them leave the signals to sigwait below.
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    cluster = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    brokers = ",".join(f"{b.host}:{b.port}" for b in cluster.list_topics(timeout=10.0).brokers.values())
    admin = AdminClient({"bootstrap.servers": brokers, "log_level": 0})
    for topic in arguments[1:]:
        admin.list_topics(topic, timeout=10.0)  # a request for a topic creates it
    write_private(_address_path(places), json.dumps({"brokers": brokers, "pid": os.getpid()}))
    sys.stdout.write(f"{LIMITS}; address {brokers}\n")
    sys.stdout.flush()
    signal.sigwait(stop)
    _address_path(places).unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
