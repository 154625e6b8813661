"""Settings of Kafka."""

from __future__ import annotations

from pydantic import AliasChoices, Field

from wbd.errors import ConfigError
from wbd.settings.kinds import Brokers, Topic
from wbd.settings.subject import Subject


class Kafka(Subject):
    """Kafka: the brokers and the topics of events; an embedded Kafka where no broker is set."""

    # The requirement documents give two of these settings a second name.
    kafka_brokers: Brokers | None = Field(
        None,
        validation_alias=AliasChoices("kafka_brokers", "kafka_bootstrap_servers"),
        description="Kafka brokers, host:port by comma; embedded Kafka when not set",
    )
    kafka_entitychange_json_topic: Topic = Field(
        "entitybase.entity_change",
        validation_alias=AliasChoices("kafka_entitychange_json_topic", "kafka_topic"),
        description="topic of entity change events",
    )
    kafka_entity_diff_topic: Topic = Field("wikibase.entity_diff", description="topic of entity diffs")
    kafka_partitions: int = Field(8, ge=1, le=1000, description="partitions of a topic that wbd creates")
    kafka_replication: int = Field(1, ge=1, le=10, description="replicas of a topic that wbd creates")

    def brokers(self) -> str:
        """Return the Kafka brokers. Raises ConfigError when the settings do not name any."""
        if not self.kafka_brokers:
            raise ConfigError("kafka_brokers missing; set KAFKA_BROKERS, or start: wbd up")
        return self.kafka_brokers

    def topics(self) -> list[str]:
        """Return every topic that wbd writes to."""
        return [self.kafka_entitychange_json_topic, self.kafka_entity_diff_topic]
