"""Snapshots that are kept are not read again, and never more than the room there is."""

from __future__ import annotations

from pathlib import Path

from wbd.diff_stream.snapshot_cache import SnapshotCache
from wbd.engines.objects import open_store
from wbd.settings.kinds import ObjectsAddress


def cache(folder: Path, max_bytes: int) -> SnapshotCache:
    store = open_store(ObjectsAddress(f"file://{folder}", "", None, None, "us-east-1"), "revisions")
    for name in "abcdef":
        store.put(name, name.encode() * 10)
    return SnapshotCache(store, max_bytes)


def test_what_is_kept_is_not_read_again_and_what_is_not_there_is_none(tmp_path: Path) -> None:
    found = cache(tmp_path, 1000)
    first = found.read(["a", "b", "a", "nothing"])
    assert first == {"a": b"a" * 10, "b": b"b" * 10, "nothing": None}
    found.keep({"a": b"a" * 10})
    assert found.read(["a", "b"])["a"] == b"a" * 10
    assert (found.hits, found.reads) == (1, 4)


def test_the_least_used_gives_way_and_large_ones_are_not_kept(tmp_path: Path) -> None:
    found = cache(tmp_path, 40)
    found.keep({name: name.encode() * 10 for name in "abcd"})
    found.read(["a"])
    found.keep({"e": b"e" * 10, "f": b"f" * 11})
    found.hits = 0
    found.read(list("abcdef"))
    assert found.hits == 4, "b gave way to e, f was too large"
    found.forget(["a", "e", "nothing"])
    found.hits = 0
    found.read(list("ae"))
    assert found.hits == 0
    found.keep({name: name.encode() * 10 for name in "abef"})
    assert found.kept_bytes == 40
