"""Take ids on this host: in C from the ring in shared memory, or else over the id server's socket.

The ring needs no connection, no lock, and no worker while ids are in it; threads and forked children share it. A taker
that finds it dry, closed or out of reach asks over the socket: the server waits for the refill, or says why there is
none.

Each process has one connection, made when it is first needed; threads share it, one request at a time. After a fork the
child makes its own. A lost connection is made again within the same call: the ids of a lost reply become a gap, never a
repeat.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import hiredis

from wbd.entity.ids import EntityType, format_id, parse_type
from wbd.errors import BadInput, IdsUnavailable, SegmentUnusable, WbdError
from wbd.ids.attachment import Attachment, open_segment
from wbd.ids.id_range import IdRange
from wbd.ids.peer import Peer
from wbd.ids.pool import LANES
from wbd.ids.segment import ALL, BLOCK, Taker

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")

_READ_BYTES = 256 * 1024
# Wait before a refused or lost connection is tried again; supervisord restarts a worker within seconds.
_RETRY_S = 0.05
# Wait before the server is asked again for a ring that could not be attached.
_ATTACH_AGAIN_S = 1.0
# Error codes after which a later try may succeed: a dry pool (the server has waited for a refill already), too many
# clients.
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


class IdClient(Taker):
    """
    Ids of this host, by the id server at *socket_path*; safe to share between threads and across forks.

    next(), next_int() and take() are C and cost about 0.1 us an id from the ring; over the socket about 40 us a call.

    Args:
        timeout_s: how long one call may take in all, waiting for other threads and for the server included; the
            default lets the server's own wait for a refill (ids_wait_s, 5 s) end first, so that its reason arrives.
        shared_memory: False to always ask over the socket.
    """

    def __init__(self, socket_path: Path | str, timeout_s: float = 6.0, *, shared_memory: bool = True) -> None:
        super().__init__(tuple(EntityType))
        self._path = str(socket_path)
        self._timeout_s = timeout_s
        # By process id: a forked child makes a link of its own, and never meets a lock that its parent's thread held.
        self._links: dict[int, _Link] = {}
        self._attach_mono_s = 0.0 if shared_memory else float("inf")
        # Why ids come over the socket; "" once a ring is attached.
        self.attach_problem = "not asked for yet" if shared_memory else "switched off"
        self._count_max = 0
        self._where: Attachment | None = None

    if TYPE_CHECKING:

        def next(self, entity_type: EntityType | str, /) -> str:
            """
            Return the next id, such as "Q123".

            Raises:
                IdsUnavailable: none within timeout_s; says what to check.
                BadInput: unknown entity type.
            """

        def next_int(self, entity_type: EntityType | str, /) -> int:
            """Return the number of the next id. Raises as next()."""

        def take(self, entity_type: EntityType | str, count: int, /) -> list[str]:
            """Return the next *count* ids in order. Raises as next(); BadInput when count passes the host's limit."""

    def range(self, entity_type: EntityType | str, count: int) -> IdRange:
        """Return *count* consecutive ids. Raises as take()."""
        return self._slow_range(entity_type, count)

    def _slow_range(self, entity_type: EntityType | str, count: int, deadline_mono_s: float | None = None) -> IdRange:
        kind = parse_type(entity_type)
        deadline_mono_s = deadline_mono_s or self._deadline_mono_s()
        block = self.ring_range(kind, count)
        if block is None and self._attach_anew(deadline_mono_s):
            block = self.ring_range(kind, count)
        if block is None:
            reply = self._expect(self._ask(deadline_mono_s, "RANGE", kind.value, str(count)), list)
            block = IdRange(kind, *(self._expect(one, int) for one in reply))
        return block

    @property
    def attached(self) -> bool:
        """True while ids come from the ring."""
        segment = self._attached
        return segment is not None and not segment.closed

    def info(self) -> dict[str, str]:
        """Return the server's INFO as names and values. Raises IdsUnavailable."""
        lines = self._expect(self._ask(self._deadline_mono_s(), "INFO"), bytes).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def close(self) -> None:
        """Close this process' connection and let go of the ring; the next call makes new ones."""
        if self._attached is not None:
            self._detach("closed")
            self._attach_mono_s = 0.0
        link = self._links.pop(os.getpid(), None)
        if link is not None:
            with link.lock:
                link.close()

    def __enter__(self) -> IdClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Called by the C code for whatever it leaves to Python: another spelling of the type, a ring dry or not attached.

    def _slow_next(self, entity_type: EntityType | str) -> str:
        return format_id(parse_type(entity_type), self._slow_next_int(entity_type))

    def _slow_next_int(self, entity_type: EntityType | str, deadline_mono_s: float | None = None) -> int:
        kind = parse_type(entity_type)
        deadline_mono_s = deadline_mono_s or self._deadline_mono_s()
        return (
            self.ring_next(kind)
            or (self._attach_anew(deadline_mono_s) and self.ring_next(kind))
            or self._expect(self._ask(deadline_mono_s, "INCR", kind.value), int)
        )

    def _slow_take(self, entity_type: EntityType | str, count: int, deadline_mono_s: float | None = None) -> list[str]:
        kind = parse_type(entity_type)
        deadline_mono_s = deadline_mono_s or self._deadline_mono_s()
        ids = self.ring_take(kind, count)
        if not ids and self._attach_anew(deadline_mono_s):
            ids = self.ring_take(kind, count)
        if not ids:
            reply = self._expect(self._ask(deadline_mono_s, "NEXT", kind.value, str(count)), list)
            ids = [self._expect(one, bytes).decode() for one in reply]
        return ids

    # The ring alone, for callers that must not wait: these never use the socket.

    def ring_next(self, entity_type: EntityType | str) -> int:
        """Return the number of the next id, or 0 when it cannot come from the ring. Raises BadInput."""
        pieces = self._taken(parse_type(entity_type), 1, ALL)
        return pieces[0][0] if pieces else 0

    def ring_take(self, entity_type: EntityType | str, count: int) -> list[str]:
        """Return the next *count* ids, or [] when they cannot all come from the ring. Raises BadInput."""
        kind = parse_type(entity_type)
        pieces = self._taken(kind, _checked(count), ALL)
        return [f"{kind.prefix}{number}" for first, last in pieces for number in range(first, last + 1)]

    def ring_range(self, entity_type: EntityType | str, count: int) -> IdRange | None:
        """Return *count* consecutive ids, or None when they cannot come from the ring. Raises BadInput."""
        kind = parse_type(entity_type)
        pieces = self._taken(kind, _checked(count), BLOCK)
        return IdRange(kind, *pieces[0]) if pieces else None

    def _taken(self, kind: EntityType, count: int, mode: int) -> list[tuple[int, int]]:
        segment = self._attached
        if segment is None or count > self._count_max:
            return []
        try:
            return segment.take(LANES[kind], count, mode)
        except SegmentUnusable as error:
            self._detach(str(error))
            return []

    def _attach_anew(self, deadline_mono_s: float) -> bool:
        """
        Map the ring that the server names.

        Returns:
            False when there is no new ring: the server was asked a moment ago, has none, or names the attached one.

        Raises:
            IdsUnavailable: the server does not answer.
        """
        mono_s = time.monotonic()
        if mono_s < self._attach_mono_s:
            return False
        self._attach_mono_s = mono_s + _ATTACH_AGAIN_S
        try:
            reply = self._expect(self._ask(deadline_mono_s, "ATTACH"), list)
            fields = dict(zip(reply[::2], reply[1::2], strict=True))
            where = Attachment(
                os.fsdecode(fields[b"path"]), int(fields[b"device"]), int(fields[b"inode"]), int(fields[b"layout"])
            )
            count_max = int(fields[b"count_max"])
            if self._attached is not None and where == self._where:
                return False
            segment = open_segment(where, self._server_uid())
        except (SegmentUnusable, BadInput) as error:
            self._detach(str(error))
            return False
        except (KeyError, ValueError, TypeError) as error:
            self._detach(f"not an answer to ATTACH: {error!r}")
            return False
        # So that a ring which moves is followed at once.
        self._attach_mono_s = mono_s
        self._where, self._count_max, self.attach_problem = where, count_max, ""
        self._attach(segment, count_max)
        return True

    def _detach(self, problem: str) -> None:
        self.attach_problem = problem
        self._attach(None, 0)

    def _server_uid(self) -> int:
        link = self._links.get(os.getpid())
        connected = link.socket if link is not None else None
        try:
            if connected is not None:
                return Peer.of(connected).uid
        except OSError:
            # Another thread has closed it.
            pass
        raise SegmentUnusable("the connection was lost")

    def _deadline_mono_s(self) -> float:
        return time.monotonic() + self._timeout_s

    def _ask(self, deadline_mono_s: float, *command: str) -> Any:
        """Send one command and return its reply, over a new connection if need be, until the deadline."""
        parts = [part.encode() for part in command]
        request = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
        try:
            return self._ask_in_turn(self._link(), request, deadline_mono_s)
        except WbdError:
            raise
        except BaseException:
            # An interrupt may come between any two steps, also right after the lock was acquired. The lock may then
            # never be released, so the next call makes a new link.
            self._links.pop(os.getpid(), None)
            raise

    def _ask_in_turn(self, link: _Link, request: bytes, deadline_mono_s: float) -> Any:
        if not link.lock.acquire(timeout=max(0.0, deadline_mono_s - time.monotonic())):
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
                # An error from before the time ran out says more.
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
                # A new connection failed. (An old one that the server had closed fails at first use: retry at once.)
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
    """Allocates ids for API handlers, under the documents' name for this; thread-safe."""

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


def _checked(count: int) -> int:
    """Return *count* if it is a number of ids. Raises BadInput."""
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise BadInput(f"count {count!r} is not a number from 1")
    return count
