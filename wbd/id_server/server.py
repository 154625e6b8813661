"""The id server: ids from the pool of this process, over a Unix socket, in the Redis protocol.

Reads:   the pool
Writes:  nothing; every id it gives out lies in a range that the database has committed
Repeats: a client that asks again gets other ids; a lost reply is a gap, never a repeat

It runs in a thread of its own, so that a slow database never holds up a client that can be served. Everything is
bounded: clients, length of a command, ids a command, replies that wait for one client, and how long a client may
leave them unread, wait for a refill, or say nothing.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

import uvloop

from wbd.entity.ids import EntityType
from wbd.id_server import resp
from wbd.id_server.commands import Parser
from wbd.id_server.connection import Connection, PlanCache
from wbd.id_server.fast_path import FastPath, open_fast_path
from wbd.id_server.socket_file import BACKLOG, SocketFile
from wbd.ids.peer import Peer
from wbd.ids.pool import IdPool
from wbd.ids.segment_file import Attachment

# While a client waits for ids, the refill is asked for again this often; also how coarse the server's clock is.
_TICK_S = 0.25
# Open files that the process needs beside its clients.
_OTHER_FILES = 64


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """
    What one client, and all of them, may take.

    wait_s: how long a command waits for a refill before the error.
    idle_s: a client that has said nothing for so long is closed; 0 keeps it for good.
    stall_s: a client that has left its replies unread for so long is dropped.
    """

    clients_max: int = 10_000
    count_max: int = 10_000
    wait_s: float = 5.0
    idle_s: float = 0.0
    stall_s: float = 30.0


class IdServer:
    """Serves one pool at one address. start(), stop() and refilled() may be called from any other thread."""

    def __init__(self, pool: IdPool, address: SocketFile, limits: ServerLimits | None = None) -> None:
        self.pool = pool
        self.address = address
        self.limits = limits or ServerLimits()
        self.plans = PlanCache(Parser(pool, self.limits.count_max))
        self.fast_path: FastPath | None = None
        # Where takers of other processes find the ring of this pool, or why they cannot; set it before start().
        self.attachment: Attachment | str = "the ring of this server is in no file"
        self.mono_s = time.monotonic()
        self.commands = 0
        self.accepted = 0
        self.refused = 0
        self.refused_peers = 0
        self.dropped = 0
        self.loop: asyncio.AbstractEventLoop
        self._started_mono_s = self.mono_s
        self._clients: set[Connection] = set()
        # In the order in which they began to wait.
        self._waiting: dict[EntityType, dict[Connection, None]] = {t: {} for t in EntityType}
        self._thread: threading.Thread | None = None
        self._stop: asyncio.Event
        self._drain_s = 0.0
        self._failure: BaseException | None = None

    # From other threads.

    def start(self) -> bool:
        """
        Take the address and serve; False while another process has it (call again later).

        Raises:
            ConfigError: the address cannot be used.
        """
        listener = self.address.listen()
        if listener is None:
            return False
        _allow_files(self.limits.clients_max + _OTHER_FILES)
        self.loop = uvloop.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, args=(listener,), name="id-server", daemon=True)
        self._thread.start()
        return True

    @property
    def serving(self) -> bool:
        """True between start() and stop()."""
        return self._thread is not None

    def check(self) -> None:
        """Raise RuntimeError, ready to start again, when the server's thread ended by itself."""
        failure, self._failure = self._failure, None
        if failure is not None:
            self.stop()
            raise RuntimeError("the thread of the id server ended") from failure

    @property
    def clients(self) -> int:
        return len(self._clients)

    @property
    def fast_path_clients(self) -> int:
        # Read once: the server's thread clears it at its end.
        fast_path = self.fast_path
        return 0 if fast_path is None else len(fast_path)

    @property
    def waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    def refilled(self, entity_type: EntityType) -> None:
        """Say that the pool has new ids of one type, so that waiting commands are tried again."""
        if self._thread is not None:
            with suppress(RuntimeError):
                # A closed loop: nobody waits any more.
                self.loop.call_soon_threadsafe(self._serve_waiting, entity_type)

    def stop(self, drain_s: float = 2.0) -> None:
        """
        Stop accepting, answer what has come in, close every client, give up the address.

        When it returns, nothing takes from the pool any more. Clients that do not read their replies within
        *drain_s* are dropped.
        """
        if self._thread is not None:
            self._drain_s = drain_s
            with suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            self._thread = None
        self.address.release()

    # From connections.

    def admit(self, connection: Connection, client: socket.socket) -> bytes:
        """Count a new client in; or return what is said to it before it is closed."""
        peer = Peer.of(client)
        if not self.address.admits(peer):
            self.refused_peers += 1
            return resp.error(f"{peer} may not take ids here; see ids_socket_mode and ids_socket_group", "NOPERM")
        if len(self._clients) >= self.limits.clients_max:
            self.refused += 1
            return resp.error("max number of clients reached; ask again later", "TRYAGAIN")
        self.accepted += 1
        self._clients.add(connection)
        return b""

    def forget(self, connection: Connection) -> None:
        self._clients.discard(connection)

    def add_waiting(self, connection: Connection, entity_type: EntityType | None) -> None:
        if entity_type is not None:
            self._waiting[entity_type][connection] = None

    def remove_waiting(self, connection: Connection, entity_type: EntityType | None) -> None:
        if entity_type is not None:
            self._waiting[entity_type].pop(connection, None)

    def where(self, protocol: int) -> bytes:
        """Return the reply to ATTACH."""
        found = self.attachment
        if isinstance(found, str):
            return resp.error(resp.one_line(found), "NOSHM")
        fields = [
            (b"path", resp.bulk(os.fsencode(found.path))),
            # As text: numbers of the protocol have a sign, and these use all 64 bits.
            (b"device", resp.bulk(b"%d" % found.device)),
            (b"inode", resp.bulk(b"%d" % found.inode)),
            (b"layout", resp.integer(found.layout)),
            (b"count_max", resp.integer(self.limits.count_max)),
        ]
        return resp.mapping(fields, protocol)

    def info(self) -> str:
        """Return the text of INFO: sections of name:value lines, as Redis has them."""
        lines = [
            "# Server",
            "server_name:wbd-ids",
            f"process_id:{os.getpid()}",
            f"uptime_in_seconds:{int(time.monotonic() - self._started_mono_s)}",
            "",
            "# Clients",
            f"connected_clients:{self.clients}",
            f"maxclients:{self.limits.clients_max}",
            f"blocked_clients:{self.waiting}",
            f"fast_path_clients:{self.fast_path_clients}",
            "",
            "# Stats",
            f"total_connections_received:{self.accepted}",
            f"rejected_connections:{self.refused}",
            f"refused_peers:{self.refused_peers}",
            f"dropped_connections:{self.dropped}",
            f"total_commands_processed:{self.commands}",
            "",
            "# Ids",
        ]
        for lane in self.pool.states():
            next_id = f"{lane.entity_type.prefix}{lane.current.first}" if lane.current else "none"
            lines.append(
                f"{lane.entity_type.value}:next={next_id},left={lane.left},taken={lane.taken},skipped={lane.skipped}"
            )
        return "\r\n".join(lines) + "\r\n"

    # The server's thread.

    def _run(self, listener: socket.socket) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._serve(listener))
        except BaseException as error:  # the main thread reads it from `serving`, and raises there
            self._failure = error
        finally:
            self.fast_path = None
            self.loop.close()
            listener.close()

    async def _serve(self, listener: socket.socket) -> None:
        numbers = iter(range(1, 2**63))
        self.fast_path = open_fast_path(self)
        server = await self.loop.create_unix_server(
            lambda: Connection(self, next(numbers)), sock=listener, backlog=BACKLOG
        )
        ticking = self.loop.create_task(self._tick())
        await self._stop.wait()
        ticking.cancel()
        server.close()
        deadline_mono_s = time.monotonic() + self._drain_s
        if self.fast_path is not None:
            # Half of the time, so that the other half is left to read the replies.
            self.fast_path.finish(deadline_mono_s - self._drain_s / 2)
        for connection in list(self._clients):
            connection.finish()
        while self._clients and time.monotonic() < deadline_mono_s:
            await asyncio.sleep(0.01)
        for connection in list(self._clients):
            connection.drop()
        await asyncio.sleep(0)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self.mono_s = mono_s = time.monotonic()
            if self.waiting:
                self.pool.segment.wake()
            idle_s = self.limits.idle_s
            for connection in list(self._clients):
                stalled_s = mono_s - (connection.stalled_mono_s or mono_s)
                if stalled_s > self.limits.stall_s:
                    self.dropped += 1
                    connection.drop()
                elif idle_s and mono_s - connection.heard_last_mono_s() > idle_s and not stalled_s:
                    connection.finish()

    def _serve_waiting(self, entity_type: EntityType) -> None:
        for connection in list(self._waiting[entity_type]):
            if not connection.refilled():
                return


def _allow_files(wanted: int) -> None:
    """Raise this process' limit of open files to *wanted*, as far as its hard limit lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
