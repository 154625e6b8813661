"""The last snapshots of entities that change often, so that an edit reads one object and not two."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from wbd.engines.objects import ObjectStore


class SnapshotCache:
    """
    Reads snapshots, and remembers those that it is told to keep, the least used giving way.

    Snapshots never change under their key, so nothing goes stale. One thread at a time.

    Args:
        max_bytes: of what is kept.
    """

    def __init__(self, objects: ObjectStore, max_bytes: int) -> None:
        self._objects = objects
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._kept_bytes = 0
        self.hits = 0
        self.reads = 0

    def read(self, keys: Iterable[str]) -> dict[str, bytes | None]:
        """Return key -> snapshot, None when there is none; those not kept are read side by side, each once."""
        found: dict[str, bytes | None] = {}
        for key in dict.fromkeys(keys):
            found[key] = self._kept.get(key)
            if found[key] is not None:
                self._kept.move_to_end(key)
        absent = [key for key, data in found.items() if data is None]
        self.hits += len(found) - len(absent)
        self.reads += len(absent)
        found.update(zip(absent, self._objects.get_many(absent), strict=True))
        return found

    def keep(self, snapshots: Mapping[str, bytes]) -> None:
        """Remember snapshots; one that alone is over a quarter of the room is not."""
        for key, data in snapshots.items():
            if len(data) > self._max_bytes // 4:
                continue
            self._kept_bytes += len(data) - len(self._kept.pop(key, b""))
            self._kept[key] = data
        while self._kept_bytes > self._max_bytes:
            _, data = self._kept.popitem(last=False)
            self._kept_bytes -= len(data)

    def forget(self, keys: Iterable[str]) -> None:
        """Drop snapshots that nobody will ask for again."""
        for key in keys:
            self._kept_bytes -= len(self._kept.pop(key, b""))
