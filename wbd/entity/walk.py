"""Walk over the parts of an entity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def claims_of(entity: Mapping[str, Any]) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Return statements by property, whatever MediaInfo calls them; PHP writes an empty map as []."""
    return entity.get("claims") or entity.get("statements") or {}
