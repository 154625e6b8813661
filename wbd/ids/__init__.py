"""Entity ids: their form, and how a process takes new ones.

Importing this starts nothing, opens nothing, and needs no installed package but hiredis. asyncio is loaded with
AsyncIdClient, when that name is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wbd.entity.ids import EntityId, EntityType, format_id, parse_id
from wbd.errors import IdsUnavailable
from wbd.ids.client import EnumerationService, IdClient
from wbd.ids.id_range import IdRange

if TYPE_CHECKING:
    from wbd.ids.async_client import AsyncIdClient

__all__ = [
    "AsyncIdClient",
    "EntityId",
    "EntityType",
    "EnumerationService",
    "IdClient",
    "IdRange",
    "IdsUnavailable",
    "format_id",
    "parse_id",
]


def __getattr__(name: str) -> object:
    if name == "AsyncIdClient":
        from wbd.ids.async_client import AsyncIdClient

        return AsyncIdClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
