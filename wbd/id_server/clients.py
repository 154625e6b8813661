"""The clients of the id server: who is let in, who waits for ids, and who is closed for silence or for not reading.

Used in the server's thread only; any thread may read the counts.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from wbd.entity.ids import EntityType
from wbd.id_server import resp
from wbd.ids.peer import Peer
from wbd.runtime.clock import Clock


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """
    What one client, and all of them, may take.

    wait_s: how long a command waits for a refill before it gets an error.
    idle_s: a client that has been silent for this long is closed; 0 keeps it open.
    stall_s: a client that has left its replies unread for this long is dropped.
    """

    clients_max: int = 10_000
    count_max: int = 10_000
    wait_s: float = 5.0
    idle_s: float = 0.0
    stall_s: float = 30.0


class Client(Protocol):
    """One connection, as this module sees it."""

    @property
    def stalled_mono_s(self) -> float | None:
        """When the client stopped reading its replies; None while it reads them."""

    def heard_last_mono_s(self) -> float:
        """Return when the client last sent something."""

    def refilled(self) -> bool:
        """Try the waiting command again; False when there are still too few ids for it."""

    def give_up_waiting(self) -> None:
        """Answer the waiting command with an error."""

    def finish(self) -> None:
        """End the connection after the replies that are ready; a waiting command gets an error."""

    def drop(self) -> None:
        """End the connection at once."""


class Clients:
    """
    All clients of one server.

    Args:
        admits: tells whether the process at the other end may take ids.
    """

    def __init__(self, limits: ServerLimits, admits: Callable[[Peer], bool], clock: Clock) -> None:
        self.limits = limits
        self.clock = clock
        # The clock as of the last tick: reading it for each message would cost more than the precision is worth.
        self.tick_mono_s = clock.mono_s()
        self.commands = 0
        self.accepted = 0
        self.refused = 0
        self.refused_peers = 0
        self.dropped = 0
        self._admits = admits
        self._connected: set[Client] = set()
        # In the order in which they began to wait, each with its deadline.
        self._waiting: dict[EntityType, dict[Client, float]] = {t: {} for t in EntityType}

    def __len__(self) -> int:
        return len(self._connected)

    @property
    def waiting(self) -> int:
        """How many clients wait for ids."""
        return sum(map(len, self._waiting.values()))

    def admit(self, client: Client, connected: socket.socket) -> bytes:
        """Count a new client in; or return the error that it is told before it is closed."""
        peer = Peer.of(connected)
        if not self._admits(peer):
            self.refused_peers += 1
            return resp.error(f"{peer} may not take ids here; see ids_socket_mode and ids_socket_group", "NOPERM")
        if len(self._connected) >= self.limits.clients_max:
            self.refused += 1
            return resp.error("max number of clients reached; ask again later", "TRYAGAIN")
        self.accepted += 1
        self._connected.add(client)
        return b""

    def forget(self, client: Client) -> None:
        """Leave out a client whose connection has ended, admitted or not."""
        self._connected.discard(client)

    def add_waiting(self, client: Client, entity_type: EntityType) -> None:
        """Let a client wait for ids of one type, behind those that wait already, for at most wait_s."""
        self._waiting[entity_type][client] = self.clock.mono_s() + self.limits.wait_s

    def remove_waiting(self, client: Client, entity_type: EntityType) -> None:
        """Let a client wait no more."""
        self._waiting[entity_type].pop(client, None)

    def refilled(self, entity_type: EntityType) -> None:
        """Try the waiting commands of one type again, the oldest first, until one finds too few ids."""
        for client in list(self._waiting[entity_type]):
            if not client.refilled():
                return

    def end_waits(self) -> None:
        """Answer the clients whose wait is over with an error."""
        mono_s = self.clock.mono_s()
        for waiting in self._waiting.values():
            for client, deadline_mono_s in list(waiting.items()):
                # All wait equally long, so those that came later are not due either.
                if deadline_mono_s > mono_s:
                    break
                client.give_up_waiting()

    def tick(self) -> None:
        """End waits that are over; drop clients that do not read, and close silent ones if there is a limit."""
        self.tick_mono_s = mono_s = self.clock.mono_s()
        self.end_waits()
        idle_s = self.limits.idle_s
        for client in list(self._connected):
            if client.stalled_mono_s is not None:
                if mono_s - client.stalled_mono_s > self.limits.stall_s:
                    self.dropped += 1
                    client.drop()
            elif idle_s and mono_s - client.heard_last_mono_s() > idle_s:
                client.finish()

    def finish(self) -> None:
        """End all connections after the replies that are ready."""
        for client in list(self._connected):
            client.finish()

    def drop(self) -> None:
        """End all connections at once."""
        for client in list(self._connected):
            client.drop()
