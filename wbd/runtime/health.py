"""Each worker process answers for its health and metrics on a Unix socket of its own.

The protocol is one line: the client sends ``health`` or ``metrics`` and a newline, the server sends the answer (a JSON
object, or the Prometheus text format) and closes. Sockets lie in ``run/health/NAME-PID.sock``, 0600.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

_TIMEOUT_S = 3.0
_ACCEPT_AGAIN_S = 0.1
_LINE_BYTES = 64
# The API and a few people at their terminals ask at once; silent clients cannot take more than these places.
_CLIENTS = 8
# Far above any real answer; an impostor on the socket cannot make the reader grow without bound.
_ANSWER_BYTES = 16 * 1024 * 1024

Answer = Callable[[], bytes]


class HealthServer:
    """Serves answers by name from daemon threads, to a few clients at a time, each within a time limit."""

    def __init__(self, path: Path, answers: dict[str, Answer], timeout_s: float = _TIMEOUT_S) -> None:
        self._path = path
        self._answers = answers
        self._timeout_s = timeout_s
        self._places = threading.BoundedSemaphore(_CLIENTS)
        self._stopping = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def start(self) -> None:
        """Bind and serve. A file left by a dead process of the same pid is replaced."""
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
                # Such as too many open files; the client waits in the backlog until there are fewer.
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
            # A mistake in one worker's health must not end the thread that everybody asks.
            logging.getLogger("wbd").exception("health answer failed")
            return orjson.dumps({"error": str(error)})


@dataclass(frozen=True, slots=True)
class Process:
    """One live worker process, by its health socket."""

    worker: str
    pid: int
    socket_path: Path

    def ask(self, question: str) -> bytes | None:
        """Return the answer to ``health`` or ``metrics``, None when the process is gone or does not answer in time."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(_TIMEOUT_S)
            try:
                client.connect(str(self.socket_path))
                client.sendall(question.encode() + b"\n")
                parts, size = [], 0
                while chunk := client.recv(65536):
                    parts.append(chunk)
                    size += len(chunk)
                    if size > _ANSWER_BYTES:
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


def socket_path(run_dir: Path, worker: str, pid: int) -> Path:
    """Return where the process *pid* of a worker serves its health."""
    return run_dir / "health" / f"{worker}-{pid}.sock"


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
