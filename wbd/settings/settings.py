"""Every setting of wbd, once: its name, default and allowed values.

Names and defaults are those of the requirement documents where they name them.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from wbd.errors import ConfigError
from wbd.settings.kinds import (
    Brokers,
    Bucket,
    Cron,
    DatabaseAddress,
    DatabaseUrl,
    Iri,
    Mode,
    ObjectsAddress,
    Port,
    Seconds,
    Spans,
    Topic,
    Version,
    database_from_url,
)

_SHARED_MEMORY = Path("/dev/shm")


def _same(name: str, *others: str) -> Any:
    """Other names under which the documents give the same setting."""
    return AliasChoices(name, *others)


class Settings(BaseSettings):
    """The settings in force. Build it with load(); attributes are typed and validated."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, validate_default=True, populate_by_name=True)

    # This process
    wbd_state_dir: Path = Field(
        default_factory=lambda: default_folder("XDG_STATE_HOME", ".local/state"),
        description="folder of sockets, logs and the embedded engines; made 0700",
    )
    wbd_cache_dir: Path = Field(
        default_factory=lambda: default_folder("XDG_CACHE_HOME", ".cache"),
        description="folder of fetched Kafka artifacts",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="least severe log line that is written"
    )
    log_format: Literal["structured", "simple"] = Field("structured", description="structured: one JSON object a line")
    environment: Literal["prod", "dev", "test"] = Field(
        "prod", description="prod, dev or test; in the log of a worker's start"
    )
    worker_id: str | None = Field(None, max_length=64, description="unique worker identifier; generated when absent")
    worker_name: str | None = Field(None, description="name in logs; the worker's own when absent")
    worker_version: str = Field("1.0.0", description="version in the log of a worker's start")
    organization_id: str | None = Field(None, description="default organization of internal API calls")

    # Database
    vitess_host: str | None = Field(
        None, description="database host (MySQL, MariaDB or Vitess); embedded MariaDB when no database is set"
    )
    vitess_port: Port = Field(3306, description="database port")
    vitess_unix_socket: str | None = Field(None, description="path; used instead of host and port")
    vitess_database: str | None = Field(None, description="database name")
    vitess_user: str | None = Field(None, description="database user")
    vitess_password: SecretStr = Field(SecretStr(""), description="database password")
    database_url: DatabaseUrl | None = Field(None, description="mysql://user:password@host:port/database, instead")
    database_max_connections: int = Field(200, ge=1, le=10_000, description="connections that one process may open")

    # Objects
    objects_url: str | None = Field(None, description="file:///folder or s3://; s3:// when an S3 setting is given")
    s3_endpoint: str = Field("http://minio:9000", description="S3 endpoint")
    s3_access_key: str | None = Field(None, description="S3 access key")
    s3_secret_key: SecretStr | None = Field(None, description="S3 secret key")
    s3_region: str = Field("us-east-1", description="S3 region")
    s3_revisions_bucket: Bucket = Field("revisions", description="bucket of revision snapshots")
    s3_statements_bucket: Bucket = Field("statements", description="bucket of statements")
    s3_references_bucket: Bucket = Field("references", description="bucket of references")
    s3_qualifiers_bucket: Bucket = Field("qualifiers", description="bucket of qualifiers")
    s3_snaks_bucket: Bucket = Field("snaks", description="bucket of snaks")
    s3_terms_bucket: Bucket = Field("terms", description="bucket of terms")
    s3_sitelinks_bucket: Bucket = Field("sitelinks", description="bucket of sitelinks")
    s3_lexeme_forms_bucket: Bucket = Field("lexeme-forms", description="bucket of lexeme forms")
    s3_lexeme_senses_bucket: Bucket = Field("lexeme-senses", description="bucket of lexeme senses")

    # Kafka
    kafka_brokers: Brokers | None = Field(
        None,
        validation_alias=_same("kafka_brokers", "kafka_bootstrap_servers"),
        description="Kafka brokers, host:port by comma; embedded Kafka when not set",
    )
    kafka_entitychange_json_topic: Topic = Field(
        "entitybase.entity_change",
        validation_alias=_same("kafka_entitychange_json_topic", "kafka_topic"),
        description="topic of entity change events",
    )
    kafka_entity_diff_topic: Topic = Field("wikibase.entity_diff", description="topic of entity diffs")
    kafka_partitions: int = Field(8, ge=1, le=1000, description="partitions of a topic that wbd creates")
    kafka_replication: int = Field(1, ge=1, le=10, description="replicas of a topic that wbd creates")

    # Wikibase
    wikibase_entity_base: Iri = Field("http://www.wikidata.org/entity/", description="IRI before an entity id")
    wikibase_data_base: Iri = Field(
        "https://www.wikidata.org/wiki/Special:EntityData/", description="IRI before the id of an entity's document"
    )
    wikibase_rdf_config: Path | None = Field(
        None, description="JSON file of sites, properties, units and foreign repositories; docs/rdf-config.md"
    )

    # Ids
    ids_socket: Path | None = Field(None, description="Unix socket of the id server; run/ids.sock when absent")
    ids_socket_mode: Mode = Field(0o600, description="octal; 0660 with ids_socket_group for API processes of a group")
    ids_socket_group: str | None = Field(None, description="group that owns the id server's socket")
    ids_segment: Path | None = Field(
        None, description="file on tmpfs for the ring of ids; in a private folder of /dev/shm when absent"
    )
    ids_max_clients: int = Field(10_000, ge=1, le=100_000, description="connections that the id server takes")
    ids_max_count: int = Field(10_000, ge=1, le=1_000_000, description="ids that one command may take")
    ids_idle_s: float = Field(0.0, ge=0.0, le=86_400.0, description="a client silent for so long is closed; 0: never")
    ids_wait_s: Seconds = Field(5.0, description="how long a command waits for a refill before the error")
    id_range_size_max: int = Field(1_000_000, ge=1, le=10**9, description="bound of the adaptive range size")
    id_range_size_min: int = Field(1000, ge=1, le=10**9, description="smallest range that is reserved ahead")
    id_floor_item: int = Field(1, ge=1, le=2**63 - 1, description="first item id to give out")
    id_floor_property: int = Field(1, ge=1, le=2**63 - 1, description="first property id to give out")
    id_floor_lexeme: int = Field(1, ge=1, le=2**63 - 1, description="first lexeme id to give out")
    id_floor_entityschema: int = Field(1, ge=1, le=2**63 - 1, description="first entity schema id to give out")

    id_reserved_item: Spans = Field("", description="item ids never given out, such as 1-1000, 4115189")
    id_reserved_property: Spans = Field("", description="property ids never given out, such as 1-1000, 4115189")
    id_reserved_lexeme: Spans = Field("", description="lexeme ids never given out, such as 1-1000, 4115189")
    id_reserved_entityschema: Spans = Field(
        "", description="entity schema ids never given out, such as 1-1000, 4115189"
    )

    # Entity diff
    entity_diff_enabled: bool = Field(True, description="run the entity diff worker")
    entity_diff_poll_interval: int = Field(60, ge=1, le=86_400, description="seconds between polls that find nothing")
    streaming_entity_diff_version: Version = Field("2.0.0", description="schema_version of entity diff events")
    entity_diff_overlap_s: Seconds = Field(
        120.0, description="window that is read again, longer than any transaction of a writer"
    )
    entity_diff_sweep_interval_s: Seconds = Field(3600.0, description="seconds between sweeps over every head")
    entity_diff_event_format: Literal["entity_diff", "rdf_change"] = Field(
        "entity_diff", description="fields of the events: wbd's, or Wikimedia's rdf_change 2.0.0"
    )
    entity_diff_rdf_format: Literal["turtle", "rdfxml", "ntriples"] = Field(
        "turtle", description="format of the triples in events"
    )
    entity_diff_flavour: Literal["full", "truthy", "updater"] = Field(
        "full", description="how much of an entity events carry; updater: what Wikidata's query service loads"
    )
    entity_diff_processes: int = Field(
        1, ge=1, le=256, description="processes that compute diffs; with 1 the worker does it itself"
    )
    entity_diff_missing_after_s: Seconds = Field(
        3600.0, description="how old a revision is when its missing snapshot is waited for no longer"
    )

    # Import
    import_max_line_bytes: int = Field(64 * 1024 * 1024, ge=1024, description="a longer line is rejected")
    import_threads: int = Field(4, ge=1, le=64, description="writers of one import")

    # Statistics, watchlist, notifications
    backlink_stats_enabled: bool = Field(True, description="run the backlink statistics worker")
    backlink_stats_schedule: Cron = Field("0 2 * * *", description="when it runs, cron, UTC")
    backlink_stats_top_limit: int = Field(100, ge=1, le=100_000, description="how many top entities it tracks")
    user_stats_enabled: bool = Field(True, description="run the user statistics worker")
    user_stats_schedule: Cron = Field("0 2 * * *", description="when it runs, cron, UTC")
    general_stats_enabled: bool = Field(True, description="run the general statistics worker")
    general_stats_schedule: Cron = Field("0 2 * * *", description="when it runs, cron, UTC")
    watchlist_consumer_enabled: bool = Field(True, description="run the watchlist consumer")
    notification_cleanup_enabled: bool = Field(True, description="run the notification cleanup")
    notification_cleanup_schedule: Cron = Field("0 3 * * *", description="when it runs, cron, UTC")
    notification_retention_days: int = Field(30, ge=1, le=36_500, description="days that notifications are kept")

    # Jobs
    worker_concurrency: int = Field(4, ge=1, le=1000, description="jobs that a job worker runs side by side")
    worker_poll_interval: Seconds = Field(5.0, description="seconds between looks for jobs")
    worker_max_retries: int = Field(3, ge=0, le=100, description="attempts of a job beside the first")
    worker_max_jobs_per_worker: int = Field(50, ge=1, description="jobs after which a job worker starts afresh")
    worker_replicas: int = Field(1, ge=1, le=1000, description="job worker processes on this host")
    max_concurrent_tasks: int = Field(10, ge=1, le=10_000, description="bound of tasks under way in one process")

    # API, health, retries
    internal_service_api_key: SecretStr | None = Field(None, description="key for the internal API")
    django_app_backend_url: Iri = Field("http://localhost:8000", description="the internal API")
    api_timeout: Seconds = Field(30.0, description="seconds that a call of the internal API may take")
    api_retry_attempts: int = Field(3, ge=0, le=100, description="retries of a call of the internal API")
    api_host: Literal["127.0.0.1", "::1", "localhost", "0.0.0.0", "::"] = Field(
        "127.0.0.1", description="address that the API listens on"
    )
    metrics_port: Port = Field(8080, description="port of the API: health and metrics")
    health_check_interval: Seconds = Field(30.0, description="seconds between checks of the servers a worker needs")
    circuit_breaker_failure_threshold: int = Field(
        5, ge=1, le=10_000, description="failures in a row that open a breaker"
    )
    circuit_breaker_recovery_timeout: Seconds = Field(60.0, description="seconds until an open breaker is tried")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what load() hands over: it reads the sources itself, so that it can name each value's origin."""
        return (init_settings,)

    @property
    def state_dir(self) -> Path:
        return self.wbd_state_dir

    @property
    def run_dir(self) -> Path:
        """Folder of every socket, 0700 like the state folder; made when first asked for."""
        folder = self.wbd_state_dir / "run"
        try:
            for path in (self.wbd_state_dir, folder):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise bad_state_dir(self.wbd_state_dir, error) from None
        return folder

    @property
    def ids_socket_path(self) -> Path:
        return self.ids_socket or self.run_dir / "ids.sock"

    @property
    def ids_segment_path(self) -> Path:
        if self.ids_segment is not None:
            return self.ids_segment
        if not _SHARED_MEMORY.is_dir():
            return self.run_dir / "ids.segment"
        # One ring a socket, wherever the socket is.
        digest = hashlib.blake2b(os.fsencode(self.ids_socket_path), digest_size=8).hexdigest()
        return _SHARED_MEMORY / f"wbd-{os.geteuid()}" / f"{digest}.ids"

    @property
    def database_is_set(self) -> bool:
        return bool(self.vitess_host or self.vitess_unix_socket or self.database_url)

    @property
    def objects_are_set(self) -> bool:
        return bool(self.objects_url) or bool({"s3_endpoint", "s3_access_key"} & self.model_fields_set)

    def pool_size(self, wanted: int) -> int:
        """Return how many database connections a process may open that could use *wanted*."""
        return min(wanted, self.database_max_connections)

    def database_address(self) -> DatabaseAddress:
        """Return where the database is. Raises ConfigError when the settings do not say."""
        if self.database_url is not None:
            return database_from_url(self.database_url.get_secret_value())
        if not self.database_is_set:
            raise ConfigError("vitess_host missing; set VITESS_HOST (and user, password, database), or start: wbd up")
        missing = [name for name in ("vitess_database", "vitess_user") if not getattr(self, name)]
        if missing:
            raise ConfigError(f"{', '.join(missing)} missing; vitess_host or vitess_unix_socket is set")
        return DatabaseAddress(
            database=self.vitess_database or "",
            user=self.vitess_user or "",
            password=self.vitess_password.get_secret_value(),
            host=self.vitess_host,
            port=self.vitess_port,
            unix_socket=self.vitess_unix_socket,
        )

    def objects_address(self) -> ObjectsAddress:
        """Return where objects live: as set, else a folder of the state folder, which is made then."""
        url = self.objects_url or ("s3://" if self.objects_are_set else f"file://{self.run_dir.parent / 'objects'}")
        if not re.match(r"file:///|s3://$", url):
            raise ConfigError(f"objects_url {url!r} not allowed; allowed: file:///folder or s3://")
        secret = self.s3_secret_key.get_secret_value() if self.s3_secret_key else None
        return ObjectsAddress(url, self.s3_endpoint, self.s3_access_key, secret, self.s3_region)

    def brokers(self) -> str:
        """Return the Kafka brokers. Raises ConfigError when the settings do not say."""
        if not self.kafka_brokers:
            raise ConfigError("kafka_brokers missing; set KAFKA_BROKERS, or start: wbd up")
        return self.kafka_brokers

    def buckets(self) -> list[str]:
        """Return every bucket of the documents, in their order."""
        return [getattr(self, name) for name in type(self).model_fields if name.endswith("_bucket")]

    def topics(self) -> list[str]:
        return [self.kafka_entitychange_json_topic, self.kafka_entity_diff_topic]


def bad_state_dir(path: Path, error: OSError) -> ConfigError:
    allowed = "allowed: a folder that this user owns or may make"
    return ConfigError(f"wbd_state_dir {str(path)!r} cannot be used: {error.strerror}; {allowed}")


def default_folder(variable: str, below_home: str) -> Path:
    base = os.environ.get(variable)
    return (Path(base) if base else Path.home() / below_home) / "wbd"
