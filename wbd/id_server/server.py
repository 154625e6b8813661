"""The id server: ids from the pool of this process, over a Unix socket, in the Redis protocol.

Reads:   the pool
Writes:  nothing; every id it gives out lies in a range that the database has committed
Repeats: a client that asks again gets other ids; a lost reply is a gap, never a repeat

It runs in a thread of its own, so that a slow database never delays a client that can be served. Everything is
bounded: the number of clients, the length of a command, the ids of a command, the replies that wait for one client, and
how long a client may leave them unread, wait for a refill, or stay silent.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import threading
from contextlib import suppress

import uvloop

from wbd.entity.ids import EntityType
from wbd.id_server.clients import Clients, ServerLimits
from wbd.id_server.commands import Parser, PlanCache
from wbd.id_server.connection import Connection, Service
from wbd.id_server.fast_path import FastPath, open_fast_path
from wbd.id_server.socket_file import BACKLOG, SocketFile
from wbd.ids.attachment import Attachment
from wbd.ids.pool import IdPool
from wbd.runtime.clock import Clock, SystemClock

# While a client waits for ids, the refill is asked for again at this interval; also the precision of Clients' clock.
_TICK_S = 0.25
# How often the end of the last connections is looked for while the server stops.
_GONE_S = 0.01
# Open files that the process needs beside its clients.
_OTHER_FILES = 64


class IdServer:
    """Serves one pool at one address. start(), stop() and refilled() may be called from any other thread."""

    def __init__(
        self, pool: IdPool, address: SocketFile, limits: ServerLimits | None = None, clock: Clock | None = None
    ) -> None:
        self.pool = pool
        self.address = address
        self.limits = limits or ServerLimits()
        self.clients = Clients(self.limits, address.admits, clock or SystemClock())
        # Where takers of other processes find the ring of this pool, or why they cannot; set it before start().
        self.attachment: Attachment | str = "the ring of this server is in no file"
        self.loop: asyncio.AbstractEventLoop
        self._clock = self.clients.clock
        self._plans = PlanCache(Parser(pool, self.limits.count_max, self))
        self._fast_path: FastPath | None = None
        self._started_mono_s = self._clock.mono_s()
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
    def fast_path_clients(self) -> int | None:
        """How many clients the fast path serves at this moment; None while there is no fast path."""
        # Read once: the server's thread clears it at its end.
        fast_path = self._fast_path
        return None if fast_path is None else len(fast_path)

    def refilled(self, entity_type: EntityType) -> None:
        """Say that the pool has new ids of one type, so that waiting commands are tried again."""
        if self._thread is not None:
            with suppress(RuntimeError):
                # The loop is closed: nobody waits any more.
                self.loop.call_soon_threadsafe(self.clients.refilled, entity_type)

    def stop(self, drain_s: float = 2.0) -> None:
        """
        Stop accepting, answer what has come in, close every client, give up the address.

        When it returns, this server takes no more ids from the pool. Clients that do not read their replies within
        *drain_s* are dropped.
        """
        if self._thread is not None:
            self._drain_s = drain_s
            with suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            self._thread = None
        self.address.release()

    def info(self) -> str:
        """Return the text of INFO: sections of name:value lines, as Redis has them."""
        lines = [
            "# Server",
            "server_name:wbd-ids",
            f"process_id:{os.getpid()}",
            f"uptime_in_seconds:{int(self._clock.mono_s() - self._started_mono_s)}",
            "",
            "# Clients",
            f"connected_clients:{len(self.clients)}",
            f"maxclients:{self.limits.clients_max}",
            f"blocked_clients:{self.clients.waiting}",
            f"fast_path_clients:{self.fast_path_clients or 0}",
            "",
            "# Stats",
            f"total_connections_received:{self.clients.accepted}",
            f"rejected_connections:{self.clients.refused}",
            f"refused_peers:{self.clients.refused_peers}",
            f"dropped_connections:{self.clients.dropped}",
            f"total_commands_processed:{self.clients.commands}",
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
        except BaseException as error:  # check() raises it in the main thread
            self._failure = error
        finally:
            self._fast_path = None
            self.loop.close()
            listener.close()

    async def _serve(self, listener: socket.socket) -> None:
        numbers = iter(range(1, 2**63))
        self._fast_path = open_fast_path(self.pool.segment, self.clients, self.loop)
        service = Service(self.loop, self.clients, self._plans, self._fast_path)
        server = await self.loop.create_unix_server(
            lambda: Connection(service, next(numbers)), sock=listener, backlog=BACKLOG
        )
        ticking = self.loop.create_task(self._tick())
        await self._stop.wait()
        ticking.cancel()
        server.close()
        deadline_mono_s = self._clock.mono_s() + self._drain_s
        if self._fast_path is not None:
            # Half of the time, so that clients have the other half to read the replies.
            self._fast_path.finish(deadline_mono_s - self._drain_s / 2)
        self.clients.finish()
        while self.clients and self._clock.mono_s() < deadline_mono_s:
            await asyncio.sleep(_GONE_S)
        self.clients.drop()
        await asyncio.sleep(0)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            if self.clients.waiting:
                self.pool.segment.wake()
            self.clients.tick()


def _allow_files(wanted: int) -> None:
    """Raise this process' limit of open files to *wanted*, as far as its hard limit lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
