"""Health servers of this process that give the answers a test wants."""

from __future__ import annotations

import os
from pathlib import Path

from wbd.runtime import health
from wbd.runtime.report import Report


class HealthServers:
    """Serves reports as workers do; close() stops all of them."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self._servers: list[health.HealthServer] = []

    def serve(self, worker: str, answer: Report | bytes, metrics: bytes = b"") -> Path:
        """Serve *answer* for a worker, instead of an earlier one; return the path of the socket."""
        path = health.socket_path(self.run_dir, worker, os.getpid())
        text = answer if isinstance(answer, bytes) else answer.to_bytes()
        server = health.HealthServer(path, {"health": lambda: text, "metrics": lambda: metrics})
        server.start()
        self._servers.append(server)
        return path

    def close(self) -> None:
        """Stop all servers."""
        for server in self._servers:
            server.stop()
