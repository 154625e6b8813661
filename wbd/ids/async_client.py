"""IdClient for asyncio: ids from the ring come at once, without an await that could switch tasks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from wbd.entity.ids import EntityType, format_id, parse_type
from wbd.errors import IdsUnavailable
from wbd.ids.client import IdClient
from wbd.ids.id_range import IdRange

T = TypeVar("T")


class AsyncIdClient:
    """
    Ids of this host for the tasks of one event loop; arguments, results and errors are those of IdClient.

    A call that the ring cannot answer at once goes to the socket in a thread, one call at a time. So the loop is never
    blocked, and any number of waiting tasks needs one connection. A task that is cancelled meanwhile may leave a gap.
    """

    def __init__(self, socket_path: Path | str, timeout_s: float = 6.0, *, shared_memory: bool = True) -> None:
        self._client = IdClient(socket_path, timeout_s, shared_memory=shared_memory)
        self._timeout_s = timeout_s
        self._asking = asyncio.Lock()

    async def next(self, entity_type: EntityType | str) -> str:
        """Return the next id, such as "Q123"."""
        return format_id(parse_type(entity_type), await self.next_int(entity_type))

    async def next_int(self, entity_type: EntityType | str) -> int:
        """Return the number of the next id."""
        return self._client.ring_next(entity_type) or await self._ask(
            lambda until: self._client._slow_next_int(entity_type, until)
        )

    async def take(self, entity_type: EntityType | str, count: int) -> list[str]:
        """Return the next *count* ids in order."""
        return self._client.ring_take(entity_type, count) or await self._ask(
            lambda until: self._client._slow_take(entity_type, count, until)
        )

    async def range(self, entity_type: EntityType | str, count: int) -> IdRange:
        """Return *count* consecutive ids."""
        block = self._client.ring_range(entity_type, count)
        if block is not None:
            return block
        return await self._ask(lambda until: self._client._slow_range(entity_type, count, until))

    async def close(self) -> None:
        """Close the connection and let go of the ring; the next call makes new ones."""
        async with self._asking:
            self._client.close()

    async def __aenter__(self) -> AsyncIdClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _ask(self, call: Callable[[float], T]) -> T:
        until_mono_s = time.monotonic() + self._timeout_s
        try:
            await asyncio.wait_for(self._asking.acquire(), self._timeout_s)
        except TimeoutError:
            raise IdsUnavailable(
                f"no ids within {self._timeout_s:g} s: other tasks wait for the connection; "
                "check the id_generation worker and its database"
            ) from None
        try:
            return await asyncio.to_thread(call, until_mono_s)
        finally:
            self._asking.release()
