"""The Unix socket on which a worker process serves its report and its metrics.

The client sends one line, ``health`` or ``metrics``; the server sends the answer (a JSON object, or the Prometheus text
format) and closes the connection. The socket is ``run/health/NAME-PID.sock``, mode 0600.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import orjson

TIMEOUT_S = 3.0
_ACCEPT_AGAIN_S = 0.1
_LINE_BYTES = 64
# Clients served at once: the API and a few people at terminals. Silent clients can block no more than these.
_CLIENTS = 8
# Far above any real answer, so an impostor on the socket cannot exhaust the reader's memory.
ANSWER_BYTES_MAX = 16 * 1024 * 1024

Answer = Callable[[], bytes]


class HealthServer:
    """Serves answers by name from daemon threads, to a few clients at a time, each within a time limit."""

    def __init__(self, path: Path, answers: dict[str, Answer], timeout_s: float = TIMEOUT_S) -> None:
        self._path = path
        self._answers = answers
        self._timeout_s = timeout_s
        self._places = threading.BoundedSemaphore(_CLIENTS)
        self._stopping = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def start(self) -> None:
        """Bind and serve. The socket that a dead process of the same pid left is replaced."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        self._socket.bind(str(self._path))
        self._path.chmod(0o600)
        self._socket.listen(16)
        threading.Thread(target=self._serve, name="health", daemon=True).start()

    def stop(self) -> None:
        """Stop serving and remove the socket."""
        self._stopping.set()
        self._path.unlink(missing_ok=True)
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                # For example too many open files; the client waits in the backlog until one is closed.
                if self._stopping.wait(_ACCEPT_AGAIN_S):
                    return
                continue
            self._places.acquire()
            threading.Thread(target=self._serve_one, args=(client,), name="health-client", daemon=True).start()

    def _serve_one(self, client: socket.socket) -> None:
        try:
            with client, suppress(OSError):
                client.settimeout(self._timeout_s)
                question = client.recv(_LINE_BYTES).decode("ascii", "replace").strip()
                client.sendall(self._answer(question))
        finally:
            self._places.release()

    def _answer(self, question: str) -> bytes:
        if question not in self._answers:
            return orjson.dumps({"error": f"unknown question; there are: {', '.join(self._answers)}"})
        try:
            return self._answers[question]()
        except Exception as error:
            # A bug in one worker's health must not end the thread that answers all questions.
            logging.getLogger("wbd").exception("health answer failed")
            return orjson.dumps({"error": str(error)})


def socket_path(run_dir: Path, worker: str, pid: int) -> Path:
    """Return the path of the socket on which process *pid* of a worker serves its health."""
    return run_dir / "health" / f"{worker}-{pid}.sock"
