"""The id server's own part of its worker's report: written by the worker, read by ``wbd ids`` and the tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from wbd.ids.refill import SupplyReport
from wbd.ids.ring import RingReport
from wbd.runtime.json_fields import decode, encode
from wbd.runtime.report import Report


@dataclass(frozen=True, slots=True)
class IdServerReport:
    """
    The state of the id server.

    standing_by: another process of this host serves.
    socket: path of the server's Unix socket.
    clients_waiting: clients whose command waits for a refill.
    database: ``ok``, or the error of the last access.
    ids: the supply of each entity type, by its name.
    """

    standing_by: bool
    socket: str
    shared_memory: RingReport
    database: str
    clients: int = 0
    clients_waiting: int = 0
    commands: int = 0
    last_reservation_at: datetime | None = None
    ids: Mapping[str, SupplyReport] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a worker's health() does."""
        fields: dict[str, Any] = encode(self)
        return fields

    @classmethod
    def of(cls, report: Report) -> IdServerReport | None:
        """
        Return the id server's part of the report of its worker; None when the report has none.

        A process that stopped, does not answer, or is disabled has no such part.

        Raises:
            BadInput: a field is missing or has a value of another type.
        """
        return decode(cls, report.own) if report.own else None
