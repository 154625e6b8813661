"""Entity ids: their form, and how a process takes new ones. Importing this starts nothing and opens nothing."""

from wbd.entity.ids import EntityId, EntityType, format_id, parse_id
from wbd.ids.async_client import AsyncIdClient
from wbd.ids.client import EnumerationService, IdClient
from wbd.ids.id_range import IdRange

__all__ = [
    "AsyncIdClient",
    "EntityId",
    "EntityType",
    "EnumerationService",
    "IdClient",
    "IdRange",
    "format_id",
    "parse_id",
]
