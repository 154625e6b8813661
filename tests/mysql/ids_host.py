"""The id workers and takers of one host, as processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wbd.engines.mysql import Database
from wbd.group import reports
from wbd.id_server.report import IdServerReport
from wbd.ids import EntityType
from wbd.ids.ranges import RangeRow, RangeTable
from wbd.ids.ring import RingReport
from wbd.runtime import health
from wbd.runtime.report import Report
from wbd.settings.kinds import DatabaseAddress

DEADLINE_S = 60.0

# Takes ids until it is told to stop, and writes them down before the next call.
TAKER = """
import signal, sys, time
from wbd.errors import IdsUnavailable
from wbd.ids import IdClient
going = True
def stop(*_):
    global going
    going = False
signal.signal(signal.SIGTERM, stop)
client = IdClient(sys.argv[1], timeout_s=30)
turn = 0
while going:
    turn += 1
    kind = ("item", "lexeme")[turn % 5 == 0]
    ids = client.take(kind, 7) if turn % 3 else [client.next(kind)]
    print("\\n".join(ids), flush=True)
    # From the ring it would be a million lines a second.
    time.sleep(0.001)
"""


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + DEADLINE_S
    while not (answer := condition()):
        assert time.monotonic() < end, f"not within {DEADLINE_S:.0f} s: {what}"
        time.sleep(0.02)
    return answer


class Host:
    """The id workers of one host: one state folder, one socket, any number of processes."""

    def __init__(self, folder: Path, address: DatabaseAddress) -> None:
        self.run_dir = folder / "run"
        self.socket = self.run_dir / "ids.sock"
        self.segment = self.run_dir / "ids.segment"
        self._log = (folder / "worker.log").open("ab")
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.upper().startswith(("WBD_", "VITESS_"))},
            "WBD_STATE_DIR": str(folder),
            "VITESS_UNIX_SOCKET": str(address.unix_socket),
            "VITESS_USER": address.user,
            "VITESS_DATABASE": address.database,
            "IDS_WAIT_S": "2",
        }
        self.database = address.database
        self.workers: list[subprocess.Popen[bytes]] = []
        self.takers: list[tuple[subprocess.Popen[bytes], Path]] = []

    def start_worker(self, **settings: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "wbd.workers.id_generation"]
        environment = {**self._environment, "IDS_SEGMENT": str(self.segment), **settings}
        process = subprocess.Popen(command, env=environment, stdout=self._log, stderr=self._log)
        self.workers.append(process)
        return process

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``wbd`` on this host."""
        command = [sys.executable, "-m", "wbd", *arguments]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=DEADLINE_S)

    def process(self, process: subprocess.Popen[bytes]) -> reports.Process:
        path = health.socket_path(self.run_dir, "id_generation", process.pid)
        return reports.Process("id_generation", process.pid, path)

    def report(self, process: subprocess.Popen[bytes]) -> Report:
        return self.process(process).report()

    def server(self, process: subprocess.Popen[bytes]) -> IdServerReport:
        """Return the id server's part of the report; one without ids while the process does not answer."""
        silent = IdServerReport(standing_by=False, socket="", shared_memory=RingReport(""), database="ok")
        return IdServerReport.of(self.report(process)) or silent

    def left(self, process: subprocess.Popen[bytes], entity_type: str = "item") -> int | None:
        """Return the ids left of a type, None while the process does not answer."""
        supply = self.server(process).ids.get(entity_type)
        return supply.left if supply else None

    def wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        wait_until(lambda: self.report(process).ready, "the worker is ready")

    def has_metric(self, process: subprocess.Popen[bytes], line: str) -> bool:
        """Tell whether a process's metrics have this line."""
        return line in self.metrics(process)

    def wait_taken(self, more_than: int) -> None:
        """Wait until the takers have more ids than that."""
        wait_until(lambda: len(self.taken()) > more_than, "ids are taken")

    def metrics(self, process: subprocess.Popen[bytes]) -> str:
        return (self.process(process).ask("metrics") or b"").decode()

    def end(self, process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGTERM) -> int:
        process.send_signal(number)
        return process.wait(timeout=DEADLINE_S)

    def start_taker(self) -> None:
        path = self.run_dir.parent / f"taken-{len(self.takers)}"
        with path.open("wb") as file:
            command = [sys.executable, "-c", TAKER, str(self.socket)]
            process = subprocess.Popen(command, env=self._environment, stdout=file, stderr=self._log)
        self.takers.append((process, path))

    def taken(self) -> list[str]:
        return [line for _, path in self.takers for line in path.read_text().split()]

    def close(self) -> None:
        for process in [*(taker for taker, _ in self.takers), *self.workers]:
            if process.poll() is None:
                process.kill()
                process.wait()
        self._log.close()


def item_row(db: Database) -> RangeRow:
    return next(row for row in RangeTable(db).read() if row.entity_type is EntityType.ITEM)
