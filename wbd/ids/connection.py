"""One client of the id server: bytes in, commands, replies out, in order.

A connection reads from its socket and executes commands unless something holds it:

    waiting    a command found too few ids; it is tried again at each refill until its deadline
    stalled    the client does not read its replies; dropped when that lasts too long
    yielding   a long pipeline lets the other clients have their turn, and goes on in the loop's next round
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import hiredis

from wbd.ids import resp
from wbd.ids.commands import Attempt, execute

if TYPE_CHECKING:
    from wbd.ids.server import IdServer

# Replies that may wait in this process for one client; the kernel's socket buffer comes on top.
_OUTPUT_BYTES_MAX = 256 * 1024
# One client gets so many bytes of replies before the others have their turn.
_TURN_BYTES = 64 * 1024


class Connection(asyncio.Protocol):
    """See the module. Lives in the server's thread only."""

    def __init__(self, server: IdServer, number: int) -> None:
        self.server = server
        self.number = number
        self.name = b""
        self.heard_mono_s = server.mono_s
        self.stalled_mono_s: float | None = None
        self.quitting = False
        self._transport: Any = None
        self._reader = hiredis.Reader()
        # The last bytes of an incomplete command, for refuse_huge_arrays.
        self._tail = b""
        self._incomplete_bytes = 0
        self._waiting: Attempt | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._yielding = False
        self._reading = True
        self._at_eof = False

    # What the event loop calls.

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=_OUTPUT_BYTES_MAX)
        if not self.server.admit(self):
            transport.write(resp.error("max number of clients reached"))
            self._close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.quitting = True
        self._stop_waiting()
        self.server.forget(self)

    def data_received(self, data: bytes) -> None:
        if self.quitting:
            return
        self.heard_mono_s = self.server.mono_s
        try:
            resp.refuse_huge_arrays(self._tail + data if self._tail else data)
        except resp.ProtocolError as error:
            self._refuse(error)
            return
        reader = self._reader
        reader.feed(data)
        if not self._reading:
            # What the loop had read before it was told to pause.
            return
        if self._process() or not reader.has_data():
            self._incomplete_bytes = 0
        else:
            self._incomplete_bytes += len(data)
            if self._incomplete_bytes > resp.COMMAND_BYTES_MAX:
                self._refuse(resp.ProtocolError(f"command over {resp.COMMAND_BYTES_MAX} bytes"))
                return
        self._tail = data[-resp.OVERLAP_BYTES :] if reader.has_data() else b""

    def eof_received(self) -> bool:
        """Keep a connection whose replies are still owed; say False to close it at once."""
        self._at_eof = True
        return self._is_held()

    def pause_writing(self) -> None:
        self.stalled_mono_s = self.server.mono_s

    def resume_writing(self) -> None:
        self.stalled_mono_s = None
        self._go_on()

    # What the server calls.

    def refilled(self) -> bool:
        """Try the waiting command again; False when there are still too few ids for it."""
        if self._waiting is not None:
            reply = self._waiting.run()
            if reply is None:
                return False
            self._answer_waiting(reply)
        return True

    def finish(self) -> None:
        """End the connection after the replies that are ready; a waiting command gets an error."""
        if self._waiting is not None:
            self._stop_waiting()
            self._transport.write(resp.error("the id server is stopping; ask again", "NOIDS"))
        self._close()

    def drop(self) -> None:
        """End the connection at once."""
        self._transport.abort()

    def _process(self) -> bool:
        """Execute the commands that have come in whole; True if there was any."""
        gets = self._reader.gets
        replies: list[bytes] = []
        size = 0
        try:
            while not self.quitting and (command := gets()) is not False:
                reply = execute(self, command)
                if isinstance(reply, Attempt):
                    self._wait(reply)
                    break
                replies.append(reply)
                size += len(reply)
                if size > _TURN_BYTES:
                    self._yielding = True
                    self.server.loop.call_soon(self._end_of_turn)
                    break
        except (hiredis.ProtocolError, resp.ProtocolError) as error:
            replies.append(resp.protocol_error(error))
            self.quitting = True
        self.server.commands += len(replies)
        if replies:
            self._transport.write(b"".join(replies))
        if self.quitting:
            self._close()
        elif self._reading and self._is_held():
            self._reading = False
            self._transport.pause_reading()
        return bool(replies) or self._waiting is not None

    def _go_on(self) -> None:
        """Execute what came in while the connection was held, then read again, or close after the client's last."""
        if self._is_held() or self.quitting:
            return
        self._process()
        if self._is_held() or self.quitting:
            return
        if self._at_eof:
            self._close()
        elif not self._reading:
            self._reading = True
            self._transport.resume_reading()

    def _is_held(self) -> bool:
        return self._waiting is not None or self._yielding or self.stalled_mono_s is not None

    def _end_of_turn(self) -> None:
        self._yielding = False
        self._go_on()

    def _wait(self, attempt: Attempt) -> None:
        self._waiting = attempt
        self._deadline = self.server.loop.call_later(self.server.limits.wait_s, self._deadline_passed)
        self.server.add_waiting(self, attempt.entity_type)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self.server.remove_waiting(self, self._waiting.entity_type)
            self._waiting = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _deadline_passed(self) -> None:
        if self._waiting is not None:
            self._answer_waiting(
                resp.error(
                    f"no {self._waiting.entity_type.value} ids: none left here and none reserved within "
                    f"{self.server.limits.wait_s:g} s; check the database and the health of id_generation",
                    "NOIDS",
                )
            )

    def _answer_waiting(self, reply: bytes) -> None:
        self._stop_waiting()
        self.server.commands += 1
        self._transport.write(reply)
        self._go_on()

    def _refuse(self, error: resp.ProtocolError) -> None:
        self._transport.write(resp.protocol_error(error))
        self._close()

    def _close(self) -> None:
        """Close after the replies that are written; a client that does not read them is dropped by the server."""
        self.quitting = True
        self._stop_waiting()
        self._transport.close()
