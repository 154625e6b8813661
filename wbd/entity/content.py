"""The canonical form of an entity and its hash."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

# Members about a revision or a page, not about the entity.
NOT_CONTENT = frozenset({"lastrevid", "modified", "pageid", "ns", "title"})


# PHP writes an empty map as [], some exports leave it out; all three mean the same.
_MAPS = frozenset({"labels", "descriptions", "aliases", "claims", "sitelinks", "forms", "senses"})


_MAPS_OF_PARTS = frozenset({"claims"})


def canonical(data: dict[str, Any]) -> bytes:
    """Return the bytes that content_hash covers: sorted keys, without NOT_CONTENT and empty maps."""
    content = {key: value for key, value in data.items() if key not in NOT_CONTENT and (value or key not in _MAPS)}
    for key in ("forms", "senses"):
        # In entities other than lexemes these members have no meaning and can hold anything.
        if isinstance(content.get(key), list):
            content[key] = [_without_empty(part) if isinstance(part, dict) else part for part in content[key]]
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)


def content_hash(data: dict[str, Any]) -> str:
    """Return SHA-256 in hex of the canonical bytes."""
    return hashlib.sha256(canonical(data)).hexdigest()


def _without_empty(part: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in part.items() if value or key not in _MAPS_OF_PARTS}
