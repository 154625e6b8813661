"""Plan chains in several processes, when one core is not enough.

Entities are divided among the processes, never the revisions of one entity, so the order of an entity's events holds.
No work is lost with a process that dies: its chains are planned again, one at a time, and a chain whose process dies a
second time is set aside.
"""

from __future__ import annotations

import pickle
import signal
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

import multiprocess
from multiprocess.connection import Connection, wait

from wbd.diff_stream.plan import Chain, ChainPlanner, Planned
from wbd.errors import DiffProcessFailed
from wbd.runtime.memory import collect_seldom

# Bounds of one group, the work that a process is given at once: many small chains, or one large chain.
_GROUP_CHAINS = 16
_GROUP_BYTES = 256 * 1024
_START_S = 30.0
# A process that was told to end is killed after this much.
_END_S = 5.0


class Planner(Protocol):
    """Plans many chains."""

    def plan_all(self, chains: Sequence[Chain], within_s: float) -> list[list[Planned]]:
        """
        Return the plans of each chain in order.

        Chains that are not begun after *within_s* seconds have no plans; the first always has some.
        """

    def close(self) -> None:
        """End the processes that were started."""


class OneProcess:
    """Plans chains one after the other in this process."""

    def __init__(self, planner: ChainPlanner) -> None:
        self._planner = planner

    def plan_all(self, chains: Sequence[Chain], within_s: float) -> list[list[Planned]]:
        """See Planner."""
        return _plan_group(self._planner, list(enumerate(chains)), time.monotonic() + within_s)

    def close(self) -> None:
        """Do nothing: no process was started."""


class _Child:
    """A process that plans the groups sent to it until the other end of its pipe is closed."""

    def __init__(self, planner: ChainPlanner) -> None:
        # A fork would copy locks that threads of this process hold, and Kafka's client does not survive one.
        context = multiprocess.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, planner), daemon=True)
        self.process.start()
        theirs.close()
        self.group: list[tuple[int, Chain]] = []
        try:
            ready = self.pipe.poll(_START_S) and self.pipe.recv()
        except (EOFError, OSError):
            ready = False
        if not ready:
            # A later error on its pipe would look as if a chain had killed it.
            self.process.kill()
            self.end()
            raise DiffProcessFailed(f"a process for diffs did not start within {_START_S:.0f} s, or ended at once")

    def end(self) -> None:
        self.pipe.close()
        self.process.join(_END_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class ManyProcesses:
    """Plans chains in *processes* child processes, which start with the first call and end with this process."""

    def __init__(self, planner: ChainPlanner, processes: int) -> None:
        self._planner = planner
        self._processes = processes
        self._children: list[_Child] = []

    def plan_all(self, chains: Sequence[Chain], within_s: float) -> list[list[Planned]]:
        """See Planner. Raises DiffProcessFailed when a process does not start; nothing is planned then."""
        until_mono_s = time.monotonic() + within_s
        plans: list[list[Planned]] = [[] for _ in chains]
        waiting = _groups(chains)
        killed_once: set[int] = set()
        while True:
            try:
                self._give(waiting, until_mono_s)
            except DiffProcessFailed:
                # Answers still on their way would be taken for those of the next call.
                self.close()
                raise
            working = {child.pipe: child for child in self._children if child.group}
            if not working:
                return plans
            for pipe in wait(list(working)):
                child = working[pipe]
                try:
                    answers = pipe.recv()
                except (EOFError, OSError):
                    self._children.remove(child)
                    child.end()
                    for number, chain in reversed(child.group):
                        if number in killed_once and len(child.group) == 1:
                            plans[number] = [_killed(chain)]
                        else:
                            killed_once.add(number)
                            waiting.appendleft([(number, chain)])
                    continue
                for (number, _), planned in zip(child.group, answers, strict=True):
                    plans[number] = planned
                child.group = []

    def _give(self, waiting: deque[list[tuple[int, Chain]]], until_mono_s: float) -> None:
        """Give a group to each process that has none."""
        while len(self._children) < min(self._processes, len(waiting) + sum(bool(c.group) for c in self._children)):
            self._children.append(_Child(self._planner))
        for child in self._children:
            if waiting and not child.group:
                child.group = waiting.popleft()
                try:
                    child.pipe.send_bytes(pickle.dumps((child.group, until_mono_s), pickle.HIGHEST_PROTOCOL))
                except OSError:
                    # It is dead; the read from its pipe reports that too.
                    continue

    def close(self) -> None:
        """End the processes; the next call starts new ones."""
        for child in self._children:
            child.end()
        self._children.clear()


def _groups(chains: Sequence[Chain]) -> deque[list[tuple[int, Chain]]]:
    groups: deque[list[tuple[int, Chain]]] = deque()
    room = 0
    for number, chain in enumerate(chains):
        size = len(chain.base or b"") + sum(len(link.snapshot or b"") for link in chain.links)
        if size > room or len(groups[-1]) == _GROUP_CHAINS:
            groups.append([])
            room = _GROUP_BYTES
        groups[-1].append((number, chain))
        room -= size
    return groups


def _killed(chain: Chain) -> Planned:
    first = chain.links[0].revision_id
    return Planned(first, reason=f"r{first}: the process that diffed it was killed, twice")


def _plan_group(planner: ChainPlanner, group: list[tuple[int, Chain]], until_mono_s: float) -> list[list[Planned]]:
    return [
        planner.plan(chain, until_mono_s) if number == 0 or time.monotonic() < until_mono_s else []
        for number, chain in group
    ]


def _serve(pipe: Connection[Any, Any], planner: ChainPlanner) -> None:
    """Run the loop of one process."""
    # A signal to the process group must not end this process: the worker needs it to drain.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    collect_seldom()
    with suppress(OSError):
        pipe.send(True)
    while True:
        try:
            group, until_mono_s = pipe.recv()
            pipe.send_bytes(pickle.dumps(_plan_group(planner, group, until_mono_s), pickle.HIGHEST_PROTOCOL))
        except (EOFError, OSError):
            return
