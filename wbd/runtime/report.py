"""What a worker process says of itself: written by the process, read by API, commands and tests.

The JSON is one flat object, as the requirement documents show it: the fields of Report, and beside them the fields of
the worker's own. Processes of two releases run side by side during an upgrade. A field that a reader does not know
counts as the worker's own and is passed on; one that the writer did not know has its default.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson

from wbd.errors import BadInput
from wbd.runtime.json_fields import decode, encode

# A main thread that has not shown itself for this long is stuck, or in a step far longer than steps are.
STALLED_S = 60.0


class Status(StrEnum):
    """States of a worker process, best first; the last two are said about a process that cannot answer for itself."""

    RUNNING = "running"
    DEGRADED = "degraded"
    DRAINING = "draining"
    STARTING = "starting"
    STOPPED = "stopped"
    UNRESPONSIVE = "unresponsive"


class Verdict(StrEnum):
    """Whether something works, as monitoring wants to know it."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: whether it works, and a sentence for people."""

    status: str
    message: str


@dataclass(frozen=True, slots=True)
class LastStep:
    """
    The step that ended last.

    outcome: ``ok``, or the class of the error.
    """

    at: datetime
    duration_s: float
    outcome: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """
    The error that the process is retrying now.

    dependency: the server that does not answer; ``none`` when the error has another cause.
    since: the first failure in this series.
    failures: number of failures in a row.
    """

    message: str
    dependency: str = "none"
    since: datetime | None = None
    failures: int = 0
    retry_in_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """
    One worker process as it describes itself.

    status: a Status; a newer process may have another.
    disabled_by: the setting that switches the worker off, None while it is on.
    processes: the reports of all processes of the worker, where there are several and this one is the worst of them.
    own: JSON-able fields of the worker's own; none may have the name of another field.
    """

    worker: str
    status: str
    ready: bool = False
    pid: int | None = None
    worker_id: str | None = None
    last_heartbeat: datetime | None = None
    heartbeat_age_s: float | None = None
    started_at: datetime | None = None
    uptime_seconds: float = 0.0
    last_step: LastStep | None = None
    trouble: Trouble | None = None
    disabled_by: str | None = None
    processes: tuple[Report, ...] = ()
    own: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if clash := _RUNTIME_FIELDS & self.own.keys():
            raise ValueError(f"{self.worker}: fields {sorted(clash)} are the runtime's; the worker needs other names")

    def to_json(self) -> dict[str, Any]:
        """Return the flat object; ``disabled_by`` and ``processes`` only where they say something."""
        value = {name: encode(getattr(self, name)) for name in _RUNTIME_ORDER}
        value["processes"] = [process.to_json() for process in self.processes]
        for name in ("disabled_by", "processes"):
            if not value[name]:
                del value[name]
        return {**value, **encode(self.own)}

    @classmethod
    def from_json(cls, value: object, place: str = "") -> Report:
        """
        Return the report that to_json() or an older or newer release of it wrote.

        Raises:
            BadInput: a field of the runtime has a value of another type; names the place, below *place*.
        """
        if not isinstance(value, dict):
            raise BadInput("not an object", place)
        known = {name: value[name] for name in _RUNTIME_FIELDS & value.keys() if name != "processes"}
        report = decode(cls, known, place)
        others = value.get("processes", [])
        if not isinstance(others, list):
            raise BadInput("not an array", f"{place}.processes" if place else "processes")
        prefix = f"{place}.processes" if place else "processes"
        return dataclasses.replace(
            report,
            processes=tuple(cls.from_json(other, f"{prefix}[{index}]") for index, other in enumerate(others)),
            own={name: item for name, item in value.items() if name not in _RUNTIME_FIELDS},
        )

    def to_bytes(self) -> bytes:
        """Return the JSON text; a value that JSON has no form for is written as its str()."""
        return orjson.dumps(self.to_json(), default=str)

    @classmethod
    def from_bytes(cls, text: bytes) -> Report:
        """
        Return the report of a JSON text.

        Raises:
            BadInput: not JSON, by line and column; or see from_json().
        """
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise BadInput(f"not JSON: {error.msg}", f"line {error.lineno}, column {error.colno}") from None
        return cls.from_json(value)

    def check(self) -> Check:
        """Return whether the worker does its work."""
        if self.disabled_by:
            return Check(Verdict.HEALTHY, f"disabled by {self.disabled_by}")
        if self.status == Status.STOPPED:
            return Check(Verdict.UNHEALTHY, "no process of it runs on this host")
        if self.status == Status.UNRESPONSIVE:
            reason = self.trouble.message if self.trouble else "lives and does not answer"
            return Check(Verdict.UNHEALTHY, f"process {self.pid} {reason}")
        age_s = self.heartbeat_age_s or 0.0
        if age_s > STALLED_S:
            return Check(Verdict.UNHEALTHY, f"no heartbeat for {age_s:.0f} s")
        if self.trouble:
            return Check(Verdict.DEGRADED if self.ready else Verdict.UNHEALTHY, self.trouble.message)
        if not self.ready:
            return Check(Verdict.UNHEALTHY, f"{self.status}, not ready")
        return Check(Verdict.HEALTHY, "working")


_RUNTIME_ORDER = tuple(item.name for item in dataclasses.fields(Report) if item.name not in ("own", "processes"))
# ``own`` is not among them: its fields lie beside these, so a worker may even have one of that name.
_RUNTIME_FIELDS = frozenset({*_RUNTIME_ORDER, "processes"})


def worst(reports: tuple[Report, ...]) -> Report:
    """Return the report of the process that needs attention most; with several, it carries all of them."""
    order = [str(status) for status in Status]
    chosen = max(reports, key=lambda one: order.index(one.status) if one.status in order else len(order))
    return chosen if len(reports) == 1 else dataclasses.replace(chosen, processes=reports)


@dataclass(frozen=True, slots=True)
class GroupReport:
    """
    The whole group: one check for each worker of the table.

    status: healthy when all work, unhealthy when an essential one does not, degraded otherwise.
    """

    status: str
    checks: Mapping[str, Check]

    @classmethod
    def of(cls, checks: Mapping[str, Check], essential: frozenset[str]) -> GroupReport:
        """Join the checks of all workers."""
        if any(checks[name].status == Verdict.UNHEALTHY for name in essential & checks.keys()):
            return cls(Verdict.UNHEALTHY, checks)
        well = all(check.status == Verdict.HEALTHY for check in checks.values())
        return cls(Verdict.HEALTHY if well else Verdict.DEGRADED, checks)

    def to_json(self) -> dict[str, Any]:
        """Return status and checks."""
        value: dict[str, Any] = encode(self)
        return value
