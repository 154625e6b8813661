"""Reserve ranges of entity ids ahead of demand and serve them to the processes of this host.

Reads:    id_ranges, id_high_water
Writes:   id_ranges, id_high_water
Repeats:  harmless; ids are given out only from ranges that are committed, and a range whose commit is uncertain is
          never used
Schedule: continuous
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from wbd.entity.ids import EntityType
from wbd.errors import SegmentUnusable
from wbd.id_server.clients import ServerLimits
from wbd.id_server.host import IdHost
from wbd.id_server.socket_file import SocketFile
from wbd.ids.id_range import parse_reserved
from wbd.ids.refill import SizeBounds
from wbd.ids.segment_file import SegmentFile
from wbd.runtime.clock import SystemClock
from wbd.runtime.process import run_worker
from wbd.runtime.worker import Run
from wbd.settings.settings import Settings
from wbd.wiki import Wiki

# A process that stands by asks for the socket this often: the longest gap after the serving one was killed.
_STANDBY_S = 0.25


@dataclass(frozen=True, slots=True)
class IdGeneratorWorker:
    """One process a host serves; others with the same socket stand by and take over when it ends."""

    host: IdHost

    def start(self, run: Run) -> None:
        """Take the socket and serve; while another process has it, stand by."""
        self.host.begin(run)
        if not self.host.serve(run):
            run.log.info("standing by; another process serves the ids of this host", socket=self.host.socket)

    def step(self, run: Run) -> float:
        """Reserve at most one range for each type that runs low."""
        if not self.host.serve(run):
            run.ready(False)
            return _STANDBY_S
        try:
            return self.host.supply(run)
        except SegmentUnusable as error:
            run.log.error("the ring of ids is damaged; a new one is made", error=str(error))
            self.host.abandon_ring()
            raise

    def stop(self) -> None:
        """Answer the requests that have come in, then give the ids that are left back to the table."""
        self.host.stop()

    def health(self) -> dict[str, Any]:
        """Return the last reservation, the supply of each type, and who is served."""
        return self.host.health()


def build(settings: Settings) -> IdGeneratorWorker:
    """Build the worker that the settings describe."""
    address = settings.database_address()
    floors = {
        EntityType.ITEM: settings.id_floor_item,
        EntityType.PROPERTY: settings.id_floor_property,
        EntityType.LEXEME: settings.id_floor_lexeme,
        EntityType.ENTITYSCHEMA: settings.id_floor_entityschema,
    }
    reserved = [
        *parse_reserved(EntityType.ITEM, settings.id_reserved_item),
        *parse_reserved(EntityType.PROPERTY, settings.id_reserved_property),
        *parse_reserved(EntityType.LEXEME, settings.id_reserved_lexeme),
        *parse_reserved(EntityType.ENTITYSCHEMA, settings.id_reserved_entityschema),
    ]
    host = IdHost(
        # Short timeouts: only the supply waits for an answer, and a hung server must not hold it up.
        Wiki(settings, connections=2, connect_timeout_s=2, read_timeout_s=3).database,
        SocketFile(settings.ids_socket_path, mode=settings.ids_socket_mode, group=settings.ids_socket_group),
        SegmentFile(
            settings.ids_segment_path,
            mode=settings.ids_socket_mode,
            group=settings.ids_socket_group,
            database=f"{address.unix_socket or f'{address.host}:{address.port}'}/{address.database}",
        ),
        SystemClock(),
        floors=floors,
        reserved=reserved,
        bounds=SizeBounds(settings.id_range_size_min, settings.id_range_size_max),
        limits=ServerLimits(
            clients_max=settings.ids_max_clients,
            count_max=settings.ids_max_count,
            wait_s=settings.ids_wait_s,
            idle_s=settings.ids_idle_s,
        ),
    )
    return IdGeneratorWorker(host)


if __name__ == "__main__":
    sys.exit(run_worker("id_generation", build))
