"""Keep the last snapshots of entities that change often, so that an edit reads one object instead of two."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from wbd.engines.objects import ObjectStore


class SnapshotCache:
    """
    Reads snapshots and keeps chosen ones, dropping the least recently used.

    A snapshot never changes under its key, so no entry goes stale. One thread at a time.

    Args:
        max_bytes: bound of kept_bytes.
    """

    def __init__(self, objects: ObjectStore, max_bytes: int) -> None:
        self._objects = objects
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self.kept_bytes = 0
        self.hits = 0
        self.reads = 0

    def read(self, keys: Iterable[str]) -> dict[str, bytes | None]:
        """Return key -> snapshot, None when it is missing; those that are not kept are read concurrently, each once."""
        snapshots: dict[str, bytes | None] = {}
        for key in dict.fromkeys(keys):
            snapshots[key] = self._kept.get(key)
            if snapshots[key] is not None:
                self._kept.move_to_end(key)
        absent = [key for key, data in snapshots.items() if data is None]
        self.hits += len(snapshots) - len(absent)
        self.reads += len(absent)
        snapshots.update(zip(absent, self._objects.get_many(absent), strict=True))
        return snapshots

    def keep(self, snapshots: Mapping[str, bytes]) -> None:
        """Keep snapshots, except those that take more than a quarter of max_bytes each."""
        for key, data in snapshots.items():
            if len(data) > self._max_bytes // 4:
                continue
            self.kept_bytes += len(data) - len(self._kept.pop(key, b""))
            self._kept[key] = data
        while self.kept_bytes > self._max_bytes:
            _, data = self._kept.popitem(last=False)
            self.kept_bytes -= len(data)

    def forget(self, keys: Iterable[str]) -> None:
        """Drop snapshots that will not be read again."""
        for key in keys:
            self.kept_bytes -= len(self._kept.pop(key, b""))
