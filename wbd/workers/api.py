"""Serve the group's health and metrics over HTTP.

Reads:    the health sockets of this host's workers
Writes:   nothing
Repeats:  harmless
Schedule: always; a step only checks that the server still runs
"""

from __future__ import annotations

import socket
import sys
import threading
from typing import Any

import uvicorn

from wbd.api.app import create_app
from wbd.errors import RetryableError
from wbd.runtime.process import run_worker
from wbd.runtime.worker import Run
from wbd.settings.settings import Settings

_IDLE_S = 5.0
_STOPPED_WITHIN_S = 4.0


class ApiWorker:
    """An HTTP server in a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self, run: Run) -> None:
        """Bind and serve. Raises RetryableError while another process has the port."""
        listener = _listen(self._settings.api_host, self._settings.metrics_port)
        app = create_app(self._settings.run_dir, self._settings.worker_name or run.name, run.clock)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_keep_alive=5,
            limit_concurrency=200,
            timeout_graceful_shutdown=2,
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="http", daemon=True)
        self._thread.start()
        run.log.info("listening", host=self._settings.api_host, port=self._settings.metrics_port)
        run.ready()

    def step(self, run: Run) -> float:
        """Start the server again when its thread has ended."""
        if self._thread is not None and not self._thread.is_alive():
            run.ready(False)
            self.start(run)
        return _IDLE_S

    def stop(self) -> None:
        """Finish the current requests and close."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(_STOPPED_WITHIN_S)

    def health(self) -> dict[str, Any]:
        """Return the address of the server and the number of requests answered."""
        answered = self._server.server_state.total_requests if self._server else 0
        return {"listens": f"{self._settings.api_host}:{self._settings.metrics_port}", "requests": answered}


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise RetryableError(f"api: {host}:{port}: {error.strerror}; set METRICS_PORT to a free port") from error
    return listener


def build(settings: Settings) -> ApiWorker:
    """Wire the worker to the settings."""
    return ApiWorker(settings)


if __name__ == "__main__":
    sys.exit(run_worker("api", build))
