"""One wiki: its database, object store, brokers and mapping, opened from the settings once.

Workers, commands and the demonstration take their servers from here and open none themselves, so that circuit breakers
and their metrics attach in one place. Nothing connects before its first use; a client library is loaded only by the
process that uses it, since boto3 alone costs an id worker more memory than all of its own work.
"""

from __future__ import annotations

from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self

from wbd.engines.mysql import Database
from wbd.provision.steps import require_schema
from wbd.settings.settings import Settings

if TYPE_CHECKING:
    from wbd.engines.kafka import EventProducer, Topics
    from wbd.engines.objects import ObjectStore
    from wbd.mapping.context import MappingContext
    from wbd.revisions.editing import Revisions
    from wbd.revisions.store import RevisionStore


class Wiki:
    """
    The servers of one wiki; safe to share between threads once a server was asked for.

    Args:
        connections: that this process could use at the same time; database_max_connections bounds them.
        connect_timeout_s, read_timeout_s: of the database; an id worker gives up sooner than others.
    """

    def __init__(
        self, settings: Settings, *, connections: int = 1, connect_timeout_s: int = 5, read_timeout_s: int = 60
    ) -> None:
        self.settings = settings
        self._connections = connections
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def database(self) -> Database:
        """
        The database, whose connections are refused with DatabaseUnavailable while the schema is too old.

        Raises:
            ConfigError: the settings name no database.
        """
        return Database(
            self.settings.database_address(),
            max_connections=self.settings.pool_size(self._connections),
            connect_timeout_s=self._connect_timeout_s,
            read_timeout_s=self._read_timeout_s,
            admit=require_schema,
        )

    @cached_property
    def snapshots(self) -> ObjectStore:
        """The bucket of revision snapshots. Raises ConfigError for an address that is not allowed."""
        from wbd.engines.objects import open_store

        return open_store(self.settings.objects_address(), self.settings.s3_revisions_bucket)

    @cached_property
    def store(self) -> RevisionStore:
        """The store of revisions, on the database and the bucket of snapshots."""
        from wbd.revisions.store import RevisionStore

        # The objects first: where nothing is set, the message about the state folder is the one that helps.
        snapshots = self.snapshots
        return RevisionStore(self.database, snapshots, change_topic=self.settings.kafka_entitychange_json_topic)

    @cached_property
    def revisions(self) -> Revisions:
        """Entities to read and edit one at a time."""
        from wbd.revisions.editing import Revisions

        return Revisions(self.store)

    @cached_property
    def topics(self) -> Topics:
        """The topics of the brokers. Raises ConfigError when the settings name no broker."""
        from wbd.engines.kafka import Topics

        return Topics(self.settings.brokers())

    def producer(self, name: str) -> EventProducer:
        """Open a producer of events, known to the brokers as wbd-*name*. Raises ConfigError as topics does."""
        from wbd.engines.kafka import EventProducer

        return EventProducer(self.settings.brokers(), client_id=f"wbd-{name}")

    def mapping(self, flavour: str = "full") -> MappingContext:
        """
        Return how the entities of this wiki become RDF.

        Args:
            flavour: full, truthy or updater.

        Raises:
            ConfigError: the file of wikibase_rdf_config is not readable or something in it is not allowed.
        """
        from wbd.mapping.config import mapping_context
        from wbd.mapping.context import FLAVOURS

        return mapping_context(
            entity_base=self.settings.wikibase_entity_base,
            data_base=self.settings.wikibase_data_base,
            config_path=self.settings.wikibase_rdf_config,
            flavour=FLAVOURS[flavour],
        )

    def close(self) -> None:
        """Close the connections to the database; the other clients hold none that need it."""
        if "database" in self.__dict__:
            self.database.close()
