"""Ask every worker process of this host for its health and metrics, and join the answers."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from wbd.errors import BadInput
from wbd.runtime.health import ANSWER_BYTES_MAX, TIMEOUT_S
from wbd.runtime.report import GroupReport, Report, Status, Trouble, worst
from wbd.runtime.table import WORKERS

# Part of a malformed answer that an error message shows.
_SHOWN_BYTES = 200


@dataclass(frozen=True, slots=True)
class Process:
    """One live worker process, by its health socket."""

    worker: str
    pid: int
    socket_path: Path

    def ask(self, question: str) -> bytes | None:
        """Return the answer to ``health`` or ``metrics``; None when it is late or too large, or the process is gone."""
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

    def report(self) -> Report:
        """Return the report of the process; its status is ``unresponsive`` when it gives none that can be read."""
        answer = self.ask("health")
        if not answer:
            return Report(self.worker, Status.UNRESPONSIVE, pid=self.pid)
        try:
            return Report.from_bytes(answer)
        except BadInput as error:
            text = answer[:_SHOWN_BYTES].decode(errors="replace")
            trouble = Trouble(f"gives a malformed report ({error}): {text}")
            return Report(self.worker, Status.UNRESPONSIVE, pid=self.pid, trouble=trouble)


def processes(run_dir: Path, worker: str | None = None) -> list[Process]:
    """Return the live worker processes of this host; remove the sockets that dead ones left."""
    alive = []
    for path in sorted((run_dir / "health").glob("*.sock")):
        name, _, pid = path.stem.rpartition("-")
        if not pid.isdigit() or (worker is not None and name != worker):
            continue
        if not _is_alive(int(pid)):
            path.unlink(missing_ok=True)
            continue
        alive.append(Process(name, int(pid), path))
    return alive


def worker_report(run_dir: Path, name: str) -> Report:
    """
    Return the report of one worker.

    With several processes it is that of the worst one and carries all of them as ``processes``. Without a process its
    status is ``stopped``.
    """
    reports = tuple(process.report() for process in processes(run_dir, name))
    return worst(reports) if reports else Report(name, Status.STOPPED)


def group_report(run_dir: Path) -> GroupReport:
    """Return one check for each worker of the table, and the health of the whole group."""
    checks = {worker.name: worker_report(run_dir, worker.name).check() for worker in WORKERS}
    return GroupReport.of(checks, frozenset(worker.name for worker in WORKERS if worker.essential))


def group_metrics(run_dir: Path) -> bytes:
    """Return the metrics of every process, labelled with worker and pid; worker_up is 0 for a worker without one."""
    families: dict[str, Metric] = {}
    answered = set()
    for process in processes(run_dir):
        text = process.ask("metrics")
        try:
            parsed = list(text_string_to_metric_families((text or b"").decode()))
        except ValueError:
            # An error instead of metrics, or half the answer of a process that ended, must not hide the others.
            continue
        if not parsed:
            continue
        answered.add(process.worker)
        labels = {"worker": process.worker, "pid": str(process.pid)}
        for family in parsed:
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


class _Collected:
    """Lets joined families be written by prometheus_client's own writer."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
