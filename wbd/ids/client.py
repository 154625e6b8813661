"""Take ids from the id server of this host.

One connection a process, made at the first use; threads share it, one request at a time. After a fork the child makes
its own. A lost connection is made again within the same call: the ids of a lost reply become a gap, never a repeat.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import hiredis

from wbd.errors import BadInput, IdsUnavailable
from wbd.ids.entity_id import EntityType, parse_type
from wbd.ids.id_range import IdRange

T = TypeVar("T")

_READ_BYTES = 256 * 1024
# How soon a connection that was refused or lost is tried again; supervisord brings a worker back within seconds.
_RETRY_S = 0.05
# Error codes that a later try may not meet: a dry pool (the server has waited for a refill already), too many clients.
_LATER = ("NOIDS", "TRYAGAIN")
_WHAT_TO_CHECK = "check that the id_generation worker runs (wbd status) and reaches its database"


class _Link:
    """The connection of one process, and the lock that keeps requests and replies together."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.socket: socket.socket | None = None
        self.reader = hiredis.Reader()

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None


class IdClient:
    """
    Ids over the Unix socket at *socket_path*; safe to share between threads and across forks.

    Args:
        timeout_s: how long one call may take in all, waiting for other threads and for the server included; the
            default lets the server's own wait for a refill (ids_wait_s, 5 s) end first, so that its reason arrives.
    """

    def __init__(self, socket_path: Path | str, timeout_s: float = 6.0) -> None:
        self._path = str(socket_path)
        self._timeout_s = timeout_s
        # By process id: a forked child finds no link of its own, and takes no lock that a thread of its parent held.
        self._links: dict[int, _Link] = {}

    def next(self, entity_type: EntityType | str) -> str:
        """
        Return the next id, such as "Q123".

        Raises:
            IdsUnavailable: none within timeout_s; says what to check.
            BadInput: unknown entity type.
        """
        reply = self._ask("NEXT", parse_type(entity_type).value)
        return self._expect(reply, bytes).decode()

    def next_int(self, entity_type: EntityType | str) -> int:
        """Return the number of the next id. Raises as next()."""
        return self._expect(self._ask("INCR", parse_type(entity_type).value), int)

    def take(self, entity_type: EntityType | str, count: int) -> list[str]:
        """Return the next *count* ids in order. Raises as next(); BadInput when count passes the server's limit."""
        reply = self._ask("NEXT", parse_type(entity_type).value, str(count))
        return [self._expect(one, bytes).decode() for one in self._expect(reply, list)]

    def range(self, entity_type: EntityType | str, count: int) -> IdRange:
        """Return *count* consecutive ids. Raises as take()."""
        kind = parse_type(entity_type)
        reply = self._expect(self._ask("RANGE", kind.value, str(count)), list)
        first, last = (self._expect(one, int) for one in reply)
        return IdRange(kind, first, last)

    def info(self) -> dict[str, str]:
        """Return the server's INFO as names and values. Raises IdsUnavailable."""
        lines = self._expect(self._ask("INFO"), bytes).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def close(self) -> None:
        """Close this process' connection; the next call makes a new one."""
        link = self._links.pop(os.getpid(), None)
        if link is not None:
            with link.lock:
                link.close()

    def __enter__(self) -> IdClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, *command: str) -> Any:
        """Send one command and return its reply, over a new connection if need be, until the deadline."""
        parts = [part.encode() for part in command]
        request = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
        deadline_mono_s = time.monotonic() + self._timeout_s
        link = self._link()
        if not link.lock.acquire(timeout=self._timeout_s):
            raise self._unavailable("other threads hold the connection")
        try:
            return self._until_answered(link, request, deadline_mono_s)
        except BadInput:
            raise
        except BaseException:
            # Half an exchange may be left (an interrupt, a reply too late); it must not become the next one's.
            link.close()
            raise
        finally:
            link.lock.release()

    def _until_answered(self, link: _Link, request: bytes, deadline_mono_s: float) -> Any:
        problem = refusal = ""
        while True:
            was_connected = link.socket is not None
            try:
                reply = self._exchange(link, request, deadline_mono_s)
            except PermissionError as error:
                raise IdsUnavailable(
                    f"no ids from {self._path}: {error.strerror}; check ids_socket_mode and ids_socket_group"
                ) from error
            except hiredis.HiredisError as error:
                raise self._unavailable(f"not an id server: {error}") from error
            except TimeoutError:
                # What went wrong before the time ran out says more.
                problem = problem or "timed out; it does not answer"
            except OSError as error:
                link.close()
                problem = refusal or error.strerror or str(error)
            else:
                if not isinstance(reply, hiredis.ReplyError):
                    return reply
                if not str(reply).startswith(_LATER):
                    raise BadInput(f"id server: {reply}")
                problem = refusal = str(reply)
            left_s = deadline_mono_s - time.monotonic()
            if left_s <= 0:
                raise self._unavailable(problem)
            if not was_connected:
                # A connection that the server closed meanwhile shows only when it is used: then try at once.
                time.sleep(min(_RETRY_S, left_s))

    def _exchange(self, link: _Link, request: bytes, deadline_mono_s: float) -> Any:
        if link.socket is None:
            link.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            link.reader = hiredis.Reader()
            link.socket.settimeout(_left_s(deadline_mono_s))
            link.socket.connect(self._path)
        link.socket.settimeout(_left_s(deadline_mono_s))
        link.socket.sendall(request)
        while (reply := link.reader.gets()) is False:
            link.socket.settimeout(_left_s(deadline_mono_s))
            data = link.socket.recv(_READ_BYTES)
            if not data:
                raise ConnectionResetError("the id server closed the connection")
            link.reader.feed(data)
        return reply

    def _link(self) -> _Link:
        pid = os.getpid()
        link = self._links.get(pid)
        if link is None:
            for parent in [other for other in list(self._links) if other != pid]:
                # Inherited by fork: closing the child's copy leaves the parent's connection alone.
                inherited = self._links.pop(parent, None)
                if inherited is not None:
                    with suppress(OSError):
                        inherited.close()
            link = self._links.setdefault(pid, _Link())
        return link

    def _expect(self, reply: Any, kind: type[T]) -> T:
        if not isinstance(reply, kind):
            raise self._unavailable(f"not an id server: it answered {type(reply).__name__}")
        return reply

    def _unavailable(self, problem: str) -> IdsUnavailable:
        return IdsUnavailable(f"no ids from {self._path} within {self._timeout_s:g} s: {problem}; {_WHAT_TO_CHECK}")


class EnumerationService:
    """Allocates ids for API handlers, as the documents name it; thread-safe."""

    def __init__(self, client: IdClient) -> None:
        self._client = client

    def allocate_id(self, entity_type: EntityType) -> str:
        """Return the next id of a type, formatted with its prefix. Raises IdsUnavailable."""
        return self._client.next(entity_type)


def _left_s(deadline_mono_s: float) -> float:
    left_s = deadline_mono_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError(110, "timed out")
    return left_s
