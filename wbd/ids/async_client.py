"""IdClient for asyncio: ids of the ring come at once, without an await that could switch tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from wbd.ids.client import IdClient
from wbd.ids.entity_id import EntityType, format_id, parse_type
from wbd.ids.id_range import IdRange

T = TypeVar("T")


class AsyncIdClient:
    """
    Ids of this host for the tasks of one event loop; arguments, results and errors are those of IdClient.

    What the ring cannot give at once is asked for in a thread, one call at a time, so that the loop is never held up
    and any number of waiting tasks needs one connection. A task that is cancelled meanwhile may leave a gap.
    """

    def __init__(self, socket_path: Path | str, timeout_s: float = 6.0, *, shared_memory: bool = True) -> None:
        self._client = IdClient(socket_path, timeout_s, shared_memory=shared_memory)
        self._asking = asyncio.Lock()

    async def next(self, entity_type: EntityType | str) -> str:
        """Return the next id, such as "Q123"."""
        return format_id(parse_type(entity_type), await self.next_int(entity_type))

    async def next_int(self, entity_type: EntityType | str) -> int:
        """Return the number of the next id."""
        return self._client.ring_next(entity_type) or await self._ask(lambda: self._client.next_int(entity_type))

    async def take(self, entity_type: EntityType | str, count: int) -> list[str]:
        """Return the next *count* ids in order."""
        return self._client.ring_take(entity_type, count) or await self._ask(
            lambda: self._client.take(entity_type, count)
        )

    async def range(self, entity_type: EntityType | str, count: int) -> IdRange:
        """Return *count* consecutive ids."""
        found = self._client.ring_range(entity_type, count)
        return found if found is not None else await self._ask(lambda: self._client.range(entity_type, count))

    async def close(self) -> None:
        """Close the connection and let go of the ring; the next call makes new ones."""
        async with self._asking:
            self._client.close()

    async def __aenter__(self) -> AsyncIdClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _ask(self, call: Callable[[], T]) -> T:
        async with self._asking:
            return await asyncio.to_thread(call)
