"""Write batches of entities in a few threads, each entity always in the same thread, in the order given.

The queues are bounded in bytes, not in entities, whose sizes range from a hundred bytes to tens of megabytes. A writer
that becomes free takes everything that is queued as its batch, so a slow reader causes no delay and a fast one gives
large batches.
"""

from __future__ import annotations

import threading
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from wbd.entity.check import Entity

# Parsed JSON takes five to ten times its bytes, so this is about 60 MiB of memory.
_WAITING_BYTES = 8 * 1024 * 1024
_BATCH_ENTITIES = 100
_BATCH_BYTES = 1024 * 1024
_TICK_S = 0.1


@dataclass(frozen=True, slots=True)
class Item:
    """An entity to write; *origin* belongs to the caller."""

    entity: Entity
    size_bytes: int
    origin: Any


class Writers:
    """
    Use as ``with Writers(...) as writers: writers.put(item) ...; writers.finish(...)``.

    Args:
        write: called in a writer's thread with a batch, never with one id twice; an exception of it ends all writers
            and is raised again by put or finish.
        tick: called in the caller's thread while put and finish wait.
    """

    def __init__(self, threads: int, write: Callable[[Sequence[Item]], None], tick: Callable[[], None]) -> None:
        self._write = write
        self._tick = tick
        self._queues: list[deque[Item]] = [deque() for _ in range(threads)]
        self._changed = threading.Condition()
        self._bytes = 0
        self._unfinished = 0
        self._closed = False
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="import-writer")
        self._futures: list[Future[None]] = []

    def __enter__(self) -> Writers:
        self._futures = [self._pool.submit(self._run, queue) for queue in self._queues]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            for queue in self._queues:
                queue.clear()
            self._changed.notify_all()
        self._pool.shutdown()

    def put(self, item: Item) -> None:
        """Queue one entity; waits while the queues are full."""
        queue = self._queues[zlib.crc32(item.entity.id.encode()) % len(self._queues)]
        with self._changed:
            while self._unfinished and self._bytes + item.size_bytes > _WAITING_BYTES:
                self._pause()
            self._raise_failure()
            queue.append(item)
            self._bytes += item.size_bytes
            self._unfinished += 1
            self._changed.notify_all()

    def finish(self, abandon: Callable[[], bool]) -> None:
        """Wait until everything is written, or, once *abandon* returns True, until the current batches are."""
        with self._changed:
            while self._unfinished:
                if abandon():
                    for queue in self._queues:
                        self._unfinished -= len(queue)
                        queue.clear()
                    if not self._unfinished:
                        break
                self._pause()
            self._raise_failure()

    def _pause(self) -> None:
        self._changed.wait(_TICK_S)
        self._raise_failure()
        self._tick()

    def _raise_failure(self) -> None:
        for future in self._futures:
            if future.done():
                future.result()

    def _run(self, queue: deque[Item]) -> None:
        try:
            while batch := self._next_batch(queue):
                self._write(batch)
                with self._changed:
                    self._bytes -= sum(item.size_bytes for item in batch)
                    self._unfinished -= len(batch)
                    self._changed.notify_all()
        finally:
            with self._changed:
                self._changed.notify_all()

    def _next_batch(self, queue: deque[Item]) -> list[Item]:
        """Take from the queue up to the limits of a batch, or up to an id that it already has; empty at the end."""
        batch: list[Item] = []
        ids: set[str] = set()
        size = 0
        with self._changed:
            while not queue and not self._closed:
                self._changed.wait()
            while queue and len(batch) < _BATCH_ENTITIES:
                item = queue[0]
                if item.entity.id in ids or (batch and size + item.size_bytes > _BATCH_BYTES):
                    break
                batch.append(queue.popleft())
                ids.add(item.entity.id)
                size += item.size_bytes
        return batch
