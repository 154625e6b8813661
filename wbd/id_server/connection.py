"""One client of the id server: bytes in, commands, replies out, in order.

A connection reads from its socket and runs commands unless something holds it:

    waiting    a command found too few ids; it is tried again at each refill until its deadline
    stalled    the client does not read its replies; dropped when that lasts too long
    yielding   a long pipeline lets the other clients have their turn, and goes on in the loop's next round
    lent       the fast path answers the client; it gives the socket back with what it cannot do

While it is held by one of the first three, what the client goes on sending stays in the kernel's socket buffer.
"""

from __future__ import annotations

import asyncio
import select
from collections import deque
from typing import TYPE_CHECKING, Any

import hiredis

from wbd.errors import SegmentUnusable
from wbd.id_server import resp
from wbd.id_server.commands import Call, Command, Parser

if TYPE_CHECKING:
    from wbd.id_server.server import IdServer

# Commands to run, each with the number of times that it stands there in a row.
Plan = tuple[tuple[Command, int], ...]

# Replies that may wait in this process for one client; the kernel's socket buffer comes on top.
_OUTPUT_BYTES_MAX = 256 * 1024
# A client may take so many ids before the others have their turn; about 1 ms of work.
_TURN_COST = 4096


class PlanCache:
    """
    The plans of chunks of bytes that clients send again and again.

    Commands that take ids hold nothing that varies, so a client's next request is nearly always the same bytes as
    one before, and finding them here costs a tenth of parsing them.
    """

    _CHUNK_BYTES_MAX = 4096
    _PLANS_MAX = 256

    def __init__(self, parser: Parser) -> None:
        self.parser = parser
        self._plans: dict[bytes, Plan] = {}
        self.get = self._plans.get

    def add(self, chunk: bytes, plan: Plan) -> None:
        """Remember the plan of a chunk that holds whole commands and nothing else, if it may come again."""
        if plan and len(chunk) <= self._CHUNK_BYTES_MAX and all(command.waits_for for command, _ in plan):
            if len(self._plans) >= self._PLANS_MAX:
                self._plans.clear()
            self._plans[chunk] = plan


class Connection(asyncio.Protocol):
    """See the module. Lives in the server's thread only."""

    def __init__(self, server: IdServer, number: int) -> None:
        self.server = server
        self.number = number
        self.name = b""
        # RESP2 until the client says HELLO 3; they differ here in maps only.
        self.protocol = 2
        self.heard_mono_s = server.mono_s
        self.stalled_mono_s: float | None = None
        self.fd = -1
        self._transport: Any = None
        self._plans = server.plans
        self._reader = hiredis.Reader()
        # The last bytes of an incomplete command, and how much of it has come; counted here, since hiredis has no word
        # for "in the middle of a command" (has_data() is false when it has read a header to its end).
        self._tail = b""
        self._incomplete_bytes = 0
        self._todo: deque[tuple[Command, int]] = deque()
        self._waiting: Command | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._yielding = False
        self._reading = True
        self._at_eof = False
        self._closing = False

    # What the event loop calls.

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=_OUTPUT_BYTES_MAX)
        self.fd = transport.get_extra_info("socket").fileno()
        if refusal := self.server.admit(self, transport.get_extra_info("socket")):
            transport.write(refusal)
            self._close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._stop_waiting()
        self.server.forget(self)

    def data_received(self, data: bytes) -> None:
        self.heard_mono_s = self.server.mono_s
        self._todo += (not self._incomplete_bytes and self._plans.get(data)) or self._parse(data)
        self._go_on()
        if self.server.fast_path is not None and self._is_idle():
            self.server.fast_path.offer(self, data)

    def eof_received(self) -> bool:
        """Keep a connection whose replies are still owed; False closes it."""
        self._at_eof = True
        return bool(self._todo) or self.stalled_mono_s is not None

    def pause_writing(self) -> None:
        self.stalled_mono_s = self.server.mono_s
        self._read_pause_or_close()

    def resume_writing(self) -> None:
        self.stalled_mono_s = None
        self._go_on()

    # What the server and the commands call.

    def refilled(self) -> bool:
        """Try the waiting command again; False when there are still too few ids for it."""
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

    def finish(self) -> None:
        """End the connection after the replies that are ready; a waiting command gets an error."""
        if self._waiting is not None:
            self._transport.write(resp.error("the id server is stopping; ask again", "NOIDS"))
        self._close()

    def drop(self) -> None:
        """End the connection at once."""
        self._leave_fast_path()
        self._transport.abort()

    def heard_last_mono_s(self) -> float:
        """Return when the client last said something, to this connection or to the fast path."""
        fast_path = self.server.fast_path
        return max(self.heard_mono_s, fast_path.heard_mono_s(self)) if fast_path is not None else self.heard_mono_s

    # What the fast path calls.

    def is_quiet(self) -> bool:
        """Tell whether there is nothing to do but to wait for the client's next command."""
        return self._is_idle() and not self._transport.get_write_buffer_size()

    def lend(self) -> None:
        """Leave the socket to the fast path until take_back()."""
        self._reading = False
        self._transport.pause_reading()

    def take_back(self, rest: bytes, unsent: bytes) -> None:
        """Go on with what the fast path has read and not run, after the replies that it has not sent."""
        self.heard_mono_s = self.server.mono_s
        if unsent:
            self._transport.write(unsent)
        if rest:
            self._todo += self._parse(rest)
        self._go_on()

    def set_name(self, name: bytes) -> bytes:
        self.name = name
        return resp.OK

    def greet(self, protocol: int) -> bytes:
        self.protocol = protocol
        return resp.greeting(protocol, self.number)

    def quit(self, reply: bytes) -> bytes:
        """Close the connection after *reply*."""
        self._closing = True
        return reply

    def _parse(self, data: bytes) -> Plan:
        """Return the commands that have come in whole; after bytes that are no command, one that ends it all."""
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
        # Reading, so nothing is to do, and no replies wait for the client to read.
        return self._reading and not (self._incomplete_bytes or self._at_eof or self._closing)

    def _run(self, command: Command, times: int) -> tuple[bytes, int]:
        try:
            return command.run(self, times)
        except SegmentUnusable as error:
            return resp.error(f"{error}; a new ring is being made, ask again", "NOIDS"), 1

    def _go_on(self) -> None:
        """Run what is to do until something holds the connection, then read on, pause, or close."""
        if self._waiting is None and self.stalled_mono_s is None and not self._yielding and not self._closing:
            replies, left = [], _TURN_COST
            todo = self._todo
            while todo and left > 0 and not self._closing:
                command, times = todo.popleft()
                runs = min(times, max(1, left // command.cost))
                reply, done = self._run(command, runs)
                replies.append(reply)
                left -= done * command.cost
                self.server.commands += done
                if done < times:
                    todo.appendleft((command, times - done))
                    if done < runs and command.waits_for is not None:
                        self._wait(command)
                        break
            if replies:
                self._transport.write(b"".join(replies))
            if todo and self._waiting is None and not self._closing:
                self._yielding = True
                self.server.loop.call_soon(self._end_of_turn)
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
        """Tell whether the client has closed its end; not being read from, the transport does not notice by itself."""
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), 0)
        return bool(poll.poll(0))

    def _end_of_turn(self) -> None:
        self._yielding = False
        self._go_on()

    def _wait(self, command: Command) -> None:
        self._waiting = command
        self._deadline = self.server.loop.call_later(self.server.limits.wait_s, self._deadline_passed)
        self.server.add_waiting(self, command.waits_for)

    def _stop_waiting(self) -> None:
        if self._waiting is not None and self._deadline is not None:
            self.server.remove_waiting(self, self._waiting.waits_for)
            self._deadline.cancel()
            self._waiting = self._deadline = None

    def _deadline_passed(self) -> None:
        entity_type = self._todo[0][0].waits_for
        problem = (
            f"no {entity_type} ids: none left here and none reserved within {self.server.limits.wait_s:g} s; "
            "check the database and the health of id_generation"
        )
        self._answer_waiting(resp.error(problem, "NOIDS"), self._todo[0][1])

    def _answer_waiting(self, reply: bytes, times: int) -> None:
        self._stop_waiting()
        command, _ = self._todo.popleft()
        if times > 1:
            self._todo.appendleft((command, times - 1))
        self.server.commands += 1
        self._transport.write(reply)
        self._go_on()

    def _close(self) -> None:
        """Close after the replies that are written; the server drops a client that does not read them."""
        self._closing, self._reading = True, False
        self._leave_fast_path()
        self._stop_waiting()
        self._todo.clear()
        self.stalled_mono_s = self.stalled_mono_s or self.server.mono_s
        self._transport.close()

    def _leave_fast_path(self) -> None:
        # Before the socket is closed: its number may belong to another client a moment later.
        if self.server.fast_path is not None:
            self.server.fast_path.remove(self)
