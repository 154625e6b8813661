"""One client of the id server: bytes in, commands, replies out, in order.

A connection reads from its socket and runs commands unless something holds it:

    waiting    a command found too few ids; it is tried again after each refill until its deadline
    stalled    the client does not read its replies; it is dropped when that lasts too long
    yielding   after part of a long pipeline the others have their turn; what is left runs in the loop's next round
    lent       the fast path answers the client, and returns the socket with whatever it cannot handle

While one of the first three holds it, further bytes of the client stay in the kernel's socket buffer.
"""

from __future__ import annotations

import asyncio
import select
from collections import deque
from dataclasses import dataclass
from typing import Any

import hiredis

from wbd.entity.ids import EntityType
from wbd.errors import SegmentUnusable
from wbd.id_server import resp
from wbd.id_server.clients import Clients
from wbd.id_server.commands import Call, Command, Plan, PlanCache
from wbd.id_server.fast_path import FastPath

# Bytes of replies that may wait in this process for one client; the kernel's socket buffer comes on top.
_OUTPUT_BYTES_MAX = 256 * 1024
# Ids that one client may take before the others have their turn; about 1 ms of work.
_TURN_COST = 4096
# The loop's timers count in milliseconds, and one that fired early would find that the wait is not over.
_TIMER_SLACK_S = 0.002


@dataclass(frozen=True, slots=True)
class Service:
    """What all connections of one server share; used in the server's thread only."""

    loop: asyncio.AbstractEventLoop
    clients: Clients
    plans: PlanCache
    fast_path: FastPath | None


class Connection(asyncio.Protocol):
    """See the module. Used in the server's thread only."""

    def __init__(self, service: Service, number: int) -> None:
        self.number = number
        self.name = b""
        # RESP2 until the client says HELLO 3; they differ here in maps only.
        self.protocol = 2
        self.stalled_mono_s: float | None = None
        self.fd = -1
        self._loop = service.loop
        self._clients = service.clients
        self._plans = service.plans
        self._fast_path = service.fast_path
        self._heard_mono_s = service.clients.tick_mono_s
        self._transport: Any = None
        self._reader = hiredis.Reader()
        # The last bytes of an incomplete command, and how many of its bytes have come. Counted here, since hiredis does
        # not tell whether it is in the middle of a command (has_data() is false at the end of a header).
        self._tail = b""
        self._incomplete_bytes = 0
        self._todo: deque[tuple[Command, int]] = deque()
        self._waiting: Command | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._yielding = False
        self._reading = True
        self._at_eof = False
        self._closing = False

    # What the event loop calls.

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=_OUTPUT_BYTES_MAX)
        self.fd = transport.get_extra_info("socket").fileno()
        if refusal := self._clients.admit(self, transport.get_extra_info("socket")):
            transport.write(refusal)
            self._close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._stop_waiting()
        self._clients.forget(self)

    def data_received(self, data: bytes) -> None:
        self._heard_mono_s = self._clients.tick_mono_s
        self._todo += (not self._incomplete_bytes and self._plans.get(data)) or self._parse(data)
        self._go_on()
        if self._fast_path is not None and self._is_idle():
            self._fast_path.offer(self, data)

    def eof_received(self) -> bool:
        """Return True to keep the connection while replies are still owed; False closes it."""
        self._at_eof = True
        return bool(self._todo) or self.stalled_mono_s is not None

    def pause_writing(self) -> None:
        self.stalled_mono_s = self._clients.tick_mono_s
        self._read_pause_or_close()

    def resume_writing(self) -> None:
        self.stalled_mono_s = None
        self._go_on()

    # What Clients calls.

    def refilled(self) -> bool:
        if self._waiting is not None:
            if self._is_deserted():
                self.drop()
                return True
            command, times = self._todo[0]
            reply, done = self._run(command, 1)
            if not done:
                return False
            self._answer_waiting(reply, times)
        return True

    def give_up_waiting(self) -> None:
        command, times = self._todo[0]
        problem = (
            f"no {command.waits_for} ids: none left here and none reserved within {self._clients.limits.wait_s:g} s; "
            "check the database and the health of id_generation"
        )
        self._answer_waiting(resp.error(problem, "NOIDS"), times)

    def finish(self) -> None:
        if self._waiting is not None:
            self._transport.write(resp.error("the id server is stopping; ask again", "NOIDS"))
        self._close()

    def drop(self) -> None:
        self._leave_fast_path()
        self._transport.abort()

    def heard_last_mono_s(self) -> float:
        """Return when the client last sent something, to this connection or to the fast path."""
        lent_mono_s = self._fast_path.heard_mono_s(self) if self._fast_path is not None else 0.0
        return max(self._heard_mono_s, lent_mono_s)

    # What the fast path calls.

    def is_quiet(self) -> bool:
        return self._is_idle() and not self._transport.get_write_buffer_size()

    def lend(self) -> None:
        self._reading = False
        self._transport.pause_reading()

    def take_back(self, unrun: bytes, unsent: bytes) -> None:
        self._heard_mono_s = self._clients.tick_mono_s
        if unsent:
            self._transport.write(unsent)
        if unrun:
            self._todo += self._parse(unrun)
        self._go_on()

    # What commands call.

    def set_name(self, name: bytes) -> bytes:
        self.name = name
        return resp.OK

    def greet(self, protocol: int) -> bytes:
        """Speak *protocol* from now on; return the reply to HELLO."""
        self.protocol = protocol
        return resp.greeting(protocol, self.number)

    def quit(self, reply: bytes) -> bytes:
        """Close the connection after *reply*."""
        self._closing = True
        return reply

    def _parse(self, data: bytes) -> Plan:
        """Return the complete commands so far; bytes that are no command become one that closes the connection."""
        plan: list[tuple[Command, int]] = []
        reader, parser = self._reader, self._plans.parser
        try:
            seen = self._tail + data
            resp.refuse_huge_arrays(seen)
            reader.feed(data)
            was_incomplete = self._incomplete_bytes
            self._incomplete_bytes += len(data)
            last, times, size = None, 0, 0
            while (read := reader.gets()) is not False:
                if read == last:
                    times += 1
                    plan[-1] = (plan[-1][0], times)
                else:
                    plan.append((parser.command(read), 1))
                    last, times, size = read, 1, resp.command_bytes(read)
                self._incomplete_bytes -= size
            self._tail = seen[-resp.OVERLAP_BYTES :] if self._incomplete_bytes else b""
            if not self._incomplete_bytes and not was_incomplete:
                self._plans.add(data, tuple(plan))
            if self._incomplete_bytes > resp.COMMAND_BYTES_MAX:
                raise resp.ProtocolError(f"command over {resp.COMMAND_BYTES_MAX} bytes")
        except (hiredis.ProtocolError, resp.ProtocolError) as error:
            reply = resp.protocol_error(error)
            plan.append((Call(lambda connection: connection.quit(reply)), 1))
        return tuple(plan)

    def _is_idle(self) -> bool:
        # While it reads, no command is queued, and no replies wait for the client to read them.
        return self._reading and not (self._incomplete_bytes or self._at_eof or self._closing)

    def _run(self, command: Command, times: int) -> tuple[bytes, int]:
        try:
            return command.run(self, times)
        except SegmentUnusable as error:
            return resp.error(f"{error}; a new ring is being made, ask again", "NOIDS"), 1

    def _go_on(self) -> None:
        """Run queued commands until something holds the connection, then read on, pause, or close."""
        if self._waiting is None and self.stalled_mono_s is None and not self._yielding and not self._closing:
            replies, left = [], _TURN_COST
            todo = self._todo
            while todo and left > 0 and not self._closing:
                command, times = todo.popleft()
                runs = min(times, max(1, left // command.cost))
                reply, done = self._run(command, runs)
                replies.append(reply)
                left -= done * command.cost
                self._clients.commands += done
                if done < times:
                    todo.appendleft((command, times - done))
                    if done < runs and command.waits_for is not None:
                        self._wait(command, command.waits_for)
                        break
            if replies:
                self._transport.write(b"".join(replies))
            if todo and self._waiting is None and not self._closing:
                self._yielding = True
                self._loop.call_soon(self._end_of_turn)
        self._read_pause_or_close()

    def _read_pause_or_close(self) -> None:
        if self._closing:
            self._close()
        elif self._todo or self.stalled_mono_s is not None:
            if self._reading:
                self._reading = False
                self._transport.pause_reading()
        elif self._at_eof:
            self._close()
        elif not self._reading:
            self._reading = True
            self._transport.resume_reading()

    def _is_deserted(self) -> bool:
        """Tell whether the client has closed its end; the transport does not notice while reading is paused."""
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), 0)
        return bool(poll.poll(0))

    def _end_of_turn(self) -> None:
        self._yielding = False
        self._go_on()

    def _wait(self, command: Command, entity_type: EntityType) -> None:
        self._waiting = command
        self._timer = self._loop.call_later(self._clients.limits.wait_s + _TIMER_SLACK_S, self._clients.end_waits)
        self._clients.add_waiting(self, entity_type)

    def _stop_waiting(self) -> None:
        if self._waiting is not None and self._waiting.waits_for is not None and self._timer is not None:
            self._clients.remove_waiting(self, self._waiting.waits_for)
            self._timer.cancel()
            self._waiting = self._timer = None

    def _answer_waiting(self, reply: bytes, times: int) -> None:
        self._stop_waiting()
        command, _ = self._todo.popleft()
        if times > 1:
            self._todo.appendleft((command, times - 1))
        self._clients.commands += 1
        self._transport.write(reply)
        self._go_on()

    def _close(self) -> None:
        """Close after the replies that are written; a client that does not read them is dropped."""
        self._closing, self._reading = True, False
        self._leave_fast_path()
        self._stop_waiting()
        self._todo.clear()
        if self.stalled_mono_s is None:
            self.stalled_mono_s = self._clients.tick_mono_s
        self._transport.close()

    def _leave_fast_path(self) -> None:
        # Before the socket is closed: another client may get its file descriptor a moment later.
        if self._fast_path is not None:
            self._fast_path.remove(self)
