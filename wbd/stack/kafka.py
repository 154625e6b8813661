"""The embedded Apache Kafka: one KRaft node on loopback, from its Maven artifacts.

Reads:   the class path in the user's cache folder, which Maven fills once
Writes:  state_dir/kafka (log directory, ports), run/kafka.properties, run/kafka-log4j2.properties, log/kafka.log
Repeats: harmless; the log directory gets its name only when it is formatted, and the cluster id stays
"""

from __future__ import annotations

import base64
import contextlib
import json
import random
import shutil
import socket
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from wbd.errors import BrokerUnavailable, ConfigError, DependencyUnavailable
from wbd.stack.engine import Engine
from wbd.stack.files import read_json_object, replacing_folder, write_private

VERSION = "4.1.1"
POM = Path(__file__).with_name("kafka") / "pom.xml"
_FETCH_TIMEOUT_S = 600.0
_FORMAT_TIMEOUT_S = 60.0
# Below Linux's default range of ephemeral ports (32768 on): a client that retries a closed ephemeral port on
# loopback can connect to itself and keep the broker from binding it.
_PORTS = range(20_000, 32_000)
_JAVA_OPTIONS = (
    "-Xmx512m",
    # The serial collector and the first compiler start fastest and cost least on a small machine.
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
)
_LOG4J2 = """\
status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %p %c{1}: %m%n
rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
"""


class KafkaBroker(Engine):
    """
    An Apache Kafka broker and controller in one process, with its log in ``state_dir/kafka``.

    Attributes:
        libraries: folder of jars, filled by ``fetch_libraries``.
    """

    name: ClassVar[str] = "kafka"
    unavailable: ClassVar[type[DependencyUnavailable]] = BrokerUnavailable
    stop_s: ClassVar[float] = 30.0

    def __init__(self, state_dir: Path, cache_dir: Path | None = None) -> None:
        super().__init__(state_dir)
        self.cache_dir = cache_dir
        self.libraries = libraries_in(cache_dir)
        self._properties = self.places.run / "kafka.properties"
        self._log4j2 = self.places.run / "kafka-log4j2.properties"
        self._ports_json = self.places.kafka / "ports.json"
        self._data = self.places.kafka / "data"

    @property
    def brokers(self) -> str:
        """Address of the broker; known after prepare()."""
        return f"127.0.0.1:{read_json_object(self._ports_json)['broker']}"

    @property
    def has_libraries(self) -> bool:
        """Whether the jars are in the cache folder."""
        return _complete(self.libraries)

    @property
    def has_data(self) -> bool:
        """Whether a broker has run in this state folder."""
        return self._data.exists()

    @staticmethod
    def why_missing(cache_dir: Path | None = None) -> str | None:
        """Return why Kafka cannot run here; None when it can, or when Maven can fetch the missing jars."""
        if shutil.which("java") is None:
            return "java not found; install it with: apt-get install openjdk-17-jre-headless maven"
        folder = libraries_in(cache_dir)
        if not _complete(folder) and shutil.which("mvn") is None:
            return (
                f"no Kafka {VERSION} in {folder} and mvn not found to fetch it; install it with: apt-get install maven"
            )
        return None

    def prepare(self) -> None:
        if reason := self.why_missing(self.cache_dir):
            raise ConfigError(f"embedded Kafka: {reason}, or set kafka_brokers to a server of your own")
        fetch_libraries(self.cache_dir)
        self.places.kafka.mkdir(mode=0o700, exist_ok=True)
        self._choose_ports()
        write_private(self._log4j2, _LOG4J2)
        write_private(self._properties, self._server_properties(self._data))
        if not (self._data / "meta.properties").exists():
            if self._data.exists() and any(self._data.iterdir()):
                raise ConfigError(f"embedded Kafka: {self._data} is not empty and holds no log of Kafka; move it away")
            with replacing_folder(self._data) as fresh:
                self._format(fresh)

    def command(self) -> list[str]:
        return [*self._java(), "kafka.Kafka", str(self._properties)]

    def ping(self, timeout_s: float) -> str:
        client = AdminClient(
            {
                "bootstrap.servers": self.brokers,
                "reconnect.backoff.ms": 20,
                "reconnect.backoff.max.ms": 100,
                "log_level": 0,
            }
        )
        try:
            answer = client.list_topics(timeout=timeout_s)
        except KafkaException as error:
            raise BrokerUnavailable(f"embedded kafka: {self.brokers}: {error.args[0].str()}") from error
        if not answer.brokers:
            raise BrokerUnavailable(f"embedded kafka: {self.brokers}: no broker registered yet")
        return f"Apache Kafka {VERSION}"

    def settings(self) -> dict[str, str]:
        return {"kafka_brokers": self.brokers}

    def is_mine(self, arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
        return list(arguments[-2:]) == ["kafka.Kafka", str(self._properties)]

    def _java(self) -> list[str]:
        java = shutil.which("java")
        if java is None:
            raise ConfigError("embedded Kafka: java not found")
        return [
            java,
            *_JAVA_OPTIONS,
            f"-XX:ErrorFile={self.places.log}/kafka-crash-%p.log",
            f"-Dlog4j2.configurationFile={self._log4j2}",
            "-cp",
            f"{self.libraries}/*",
        ]

    def _choose_ports(self) -> None:
        """Reuse the ports of the last run while they are free, so that clients find the broker again."""
        used = read_json_object(self._ports_json)
        broker, controller = used.get("broker"), used.get("controller")
        if broker and controller and broker != controller and _is_free(broker) and _is_free(controller):
            return
        free = (port for port in random.sample(_PORTS, len(_PORTS)) if _is_free(port))
        try:
            ports = {"broker": next(free), "controller": next(free)}
        except StopIteration:
            raise ConfigError(
                f"embedded Kafka: no two free ports on loopback from {_PORTS.start} to {_PORTS.stop - 1}"
            ) from None
        write_private(self._ports_json, json.dumps(ports))

    def _server_properties(self, data: Path) -> str:
        ports = read_json_object(self._ports_json)
        broker, controller = f"127.0.0.1:{ports['broker']}", f"127.0.0.1:{ports['controller']}"
        values = {
            "process.roles": "broker,controller",
            "node.id": "1",
            # A static quorum: the address is not written into the log, so the ports may change.
            "controller.quorum.voters": f"1@{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{broker}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(data),
            "auto.create.topics.enable": "false",
            "message.max.bytes": str(16 * 1024 * 1024),
            "log.segment.bytes": str(64 * 1024 * 1024),
            # 128 MiB by default, a quarter of this heap.
            "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
            "num.network.threads": "2",
            "num.io.threads": "4",
            "default.replication.factor": "1",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "8",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "8",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "share.coordinator.state.topic.num.partitions": "8",
            "group.initial.rebalance.delay.ms": "0",
            # A broker that was killed may register again only when its old session is over, 9 s by default.
            "broker.session.timeout.ms": "2000",
            "broker.heartbeat.interval.ms": "400",
        }
        # The format of java.util.Properties: a backslash is an escape. Paths with one are refused by StateDir.
        return "".join(f"{key}={value}\n" for key, value in values.items())

    def _format(self, folder: Path) -> None:
        properties = self.places.run / "kafka-format.properties"
        write_private(properties, self._server_properties(folder))
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        command = [*self._java(), "kafka.tools.StorageTool", "format"]
        # One argument, because an id may begin with a dash.
        command += [f"--cluster-id={cluster_id}", f"--config={properties}"]
        _run(command, _FORMAT_TIMEOUT_S, "kafka.tools.StorageTool format")
        properties.unlink()


def libraries_in(cache_dir: Path | None) -> Path:
    """Return the folder of Kafka's jars below wbd's cache folder, ~/.cache/wbd if None."""
    return (cache_dir or Path.home() / ".cache" / "wbd") / f"kafka-{VERSION}"


def fetch_libraries(cache_dir: Path | None = None) -> bool:
    """
    Fill the folder of Kafka's jars by Maven; harmless when it is filled. Takes seconds to a minute.

    Returns:
        True if anything was fetched.

    Raises:
        ConfigError: mvn is missing.
        BrokerUnavailable: mvn failed; carries the end of its output.
    """
    target = libraries_in(cache_dir)
    if _complete(target):
        return False
    maven = shutil.which("mvn")
    if maven is None:
        raise ConfigError("embedded Kafka: mvn not found; install it with: apt-get install maven")
    if target.exists() and any(target.iterdir()):
        raise ConfigError(f"embedded Kafka: {target} is not empty and holds no Kafka {VERSION}; move it away")
    with replacing_folder(target) as fresh:
        goal = "dependency:copy-dependencies"
        options = ["-q", "-B", "-f", str(POM), goal, f"-DoutputDirectory={fresh}"]
        _run([maven, *options], _FETCH_TIMEOUT_S, f"mvn {goal}")
    return True


def _complete(folder: Path) -> bool:
    return (folder / f"kafka_2.13-{VERSION}.jar").exists()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return True
    return False


def _run(command: list[str], timeout_s: float, what: str) -> None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as error:
        raise BrokerUnavailable(f"embedded kafka: {what} not done after {timeout_s:.0f} s") from error
    if done.returncode != 0:
        lines = done.stdout.decode(errors="replace").splitlines()[-15:]
        raise BrokerUnavailable(
            f"embedded kafka: {what} failed with exit code {done.returncode}:\n"
            + "\n".join(f"    {line}" for line in lines)
        )
