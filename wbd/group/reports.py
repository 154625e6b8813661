"""Ask every worker process of this host for its health and metrics, and join the answers."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from wbd.runtime.health import ANSWER_BYTES_MAX, TIMEOUT_S
from wbd.runtime.table import WORKERS

# A main thread that has not shown itself for this long is stuck, or in a step far longer than steps are.
STALLED_S = 60.0


@dataclass(frozen=True, slots=True)
class GroupHealth:
    """healthy: all work; degraded: some do not; unhealthy: an essential one does not."""

    status: str
    checks: dict[str, dict[str, str]]


def worker_health(run_dir: Path, name: str) -> dict[str, Any]:
    """
    Return the health of one worker.

    One process: as the process tells it. Several: the worst of them, with all of them under ``processes``. None:
    status ``stopped``. One that lives and does not answer: status ``unresponsive``.
    """
    alive = processes(run_dir, name)
    found = [process.health() or _silent(name, process.pid) for process in alive]
    if not found:
        return {**_silent(name, None), "status": "stopped"}
    worst = max(found, key=_badness)
    return worst if len(found) == 1 else {**worst, "processes": found}


def group_health(run_dir: Path) -> GroupHealth:
    """Return one check a worker of the table, and what they amount to."""
    checks, status = {}, "healthy"
    for worker in WORKERS:
        found = worker_health(run_dir, worker.name)
        verdict, message = _verdict(found)
        checks[worker.name] = {"status": verdict, "message": message}
        if verdict == "unhealthy" and worker.essential:
            status = "unhealthy"
        elif verdict != "healthy" and status == "healthy":
            status = "degraded"
    return GroupHealth(status, checks)


def group_metrics(run_dir: Path) -> bytes:
    """Return the metrics of every process with labels worker and pid, and worker_up 0 for workers without one."""
    families: dict[str, Metric] = {}
    answered = set()
    for process in processes(run_dir):
        text = process.ask("metrics")
        try:
            found = list(text_string_to_metric_families((text or b"").decode()))
        except ValueError:
            # An error instead of metrics, or half an answer of a process that ended: no reason to hide the others'.
            continue
        if not found:
            continue
        answered.add(process.worker)
        labels = {"worker": process.worker, "pid": str(process.pid)}
        for family in found:
            _join(families, family, labels)
    down = Metric("worker_up", "1 while the worker does its work.", "gauge")
    up = families.setdefault("worker_up", down)
    for worker in WORKERS:
        if worker.name not in answered:
            up.add_sample("worker_up", {"worker": worker.name, "pid": ""}, 0.0)
    registry = CollectorRegistry()
    registry.register(_Collected(families.values()))
    return generate_latest(registry)


def _join(families: dict[str, Metric], family: Metric, labels: dict[str, str]) -> None:
    joined = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
    joined.samples += [
        Sample(sample.name, {**sample.labels, **labels}, sample.value, sample.timestamp, sample.exemplar)
        for sample in family.samples
    ]


def _silent(name: str, pid: int | None) -> dict[str, Any]:
    return {
        "status": "unresponsive",
        "worker": name,
        "pid": pid,
        "ready": False,
        "last_heartbeat": None,
        "uptime_seconds": 0,
    }


def _badness(found: dict[str, Any]) -> int:
    order = ["running", "disabled", "degraded", "draining", "starting", "stopped"]
    status = found.get("status")
    return order.index(status) if status in order else len(order)


def _verdict(found: dict[str, Any]) -> tuple[str, str]:
    status = str(found.get("status"))
    if found.get("disabled_by"):
        return "healthy", f"disabled by {found['disabled_by']}"
    if status == "stopped":
        return "unhealthy", "no process of it runs on this host"
    if status == "unresponsive":
        return "unhealthy", f"process {found.get('pid')} lives and does not answer"
    age_s = float(found.get("heartbeat_age_s") or 0.0)
    if age_s > STALLED_S:
        return "unhealthy", f"no heartbeat for {age_s:.0f} s"
    trouble = found.get("trouble")
    if trouble:
        return ("degraded" if found.get("ready") else "unhealthy"), str(trouble.get("message"))
    return ("healthy", "working") if found.get("ready") else ("unhealthy", f"{status}, not ready")


class _Collected:
    """Lets joined families be written by prometheus_client's own writer."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[Metric]:
        yield from self._families


@dataclass(frozen=True, slots=True)
class Process:
    """One live worker process, by its health socket."""

    worker: str
    pid: int
    socket_path: Path

    def ask(self, question: str) -> bytes | None:
        """Return the answer to ``health`` or ``metrics``, None when the process is gone or does not answer in time."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(TIMEOUT_S)
            try:
                client.connect(str(self.socket_path))
                client.sendall(question.encode() + b"\n")
                parts, size = [], 0
                while chunk := client.recv(65536):
                    parts.append(chunk)
                    size += len(chunk)
                    if size > ANSWER_BYTES_MAX:
                        return None
            except OSError:
                return None
        return b"".join(parts)

    def health(self) -> dict[str, Any] | None:
        """Return the health as a dict, None when there is no answer."""
        answer = self.ask("health")
        try:
            found = orjson.loads(answer) if answer else None
        except orjson.JSONDecodeError:
            return None
        return found if isinstance(found, dict) else None


def processes(run_dir: Path, worker: str | None = None) -> list[Process]:
    """Return the worker processes of this host that are alive; sockets left by dead ones are removed."""
    found = []
    for path in sorted((run_dir / "health").glob("*.sock")):
        name, _, pid = path.stem.rpartition("-")
        if not pid.isdigit() or (worker is not None and name != worker):
            continue
        if not _is_alive(int(pid)):
            path.unlink(missing_ok=True)
            continue
        found.append(Process(name, int(pid), path))
    return found


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
