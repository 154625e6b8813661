"""Settings of ids: the id server, the ring in shared memory, the ranges."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from pydantic import Field

from wbd.settings.kinds import Mode, Seconds, Spans
from wbd.settings.process import Process

_SHARED_MEMORY = Path("/dev/shm")


class Ids(Process):
    """Ids: who may take them, how many are reserved ahead, and which are never given out."""

    ids_socket: Path | None = Field(None, description="Unix socket of the id server; run/ids.sock when absent")
    ids_socket_mode: Mode = Field(0o600, description="octal; 0660 with ids_socket_group for API processes of a group")
    ids_socket_group: str | None = Field(None, description="group that owns the id server's socket")
    ids_segment: Path | None = Field(
        None, description="file on tmpfs for the ring of ids; in a private folder of /dev/shm when absent"
    )
    ids_max_clients: int = Field(10_000, ge=1, le=100_000, description="connections that the id server takes")
    ids_max_count: int = Field(10_000, ge=1, le=1_000_000, description="ids that one command may take")
    ids_idle_s: float = Field(
        0.0, ge=0.0, le=86_400.0, description="a client is disconnected after this much silence; 0: never"
    )
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

    @property
    def ids_socket_path(self) -> Path:
        return self.ids_socket or self.run_dir / "ids.sock"

    @property
    def ids_segment_path(self) -> Path:
        if self.ids_segment is not None:
            return self.ids_segment
        if not _SHARED_MEMORY.is_dir():
            return self.run_dir / "ids.segment"
        # One ring per socket, wherever the socket is.
        digest = hashlib.blake2b(os.fsencode(self.ids_socket_path), digest_size=8).hexdigest()
        return _SHARED_MEMORY / f"wbd-{os.geteuid()}" / f"{digest}.ids"
