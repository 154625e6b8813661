"""Snapshots that are kept are not read again, and never take more room than they may."""

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
    snapshots = cache(tmp_path, 1000)
    first = snapshots.read(["a", "b", "a", "nothing"])
    assert first == {"a": b"a" * 10, "b": b"b" * 10, "nothing": None}
    snapshots.keep({"a": b"a" * 10})
    assert snapshots.read(["a", "b"])["a"] == b"a" * 10
    assert (snapshots.hits, snapshots.reads) == (1, 4)


def test_the_least_used_gives_way_and_large_ones_are_not_kept(tmp_path: Path) -> None:
    snapshots = cache(tmp_path, 40)
    snapshots.keep({name: name.encode() * 10 for name in "abcd"})
    snapshots.read(["a"])
    snapshots.keep({"e": b"e" * 10, "f": b"f" * 11})
    snapshots.hits = 0
    snapshots.read(list("abcdef"))
    assert snapshots.hits == 4, "b gave way to e, f was too large"
    snapshots.forget(["a", "e", "nothing"])
    snapshots.hits = 0
    snapshots.read(list("ae"))
    assert snapshots.hits == 0
    snapshots.keep({name: name.encode() * 10 for name in "abef"})
    assert snapshots.kept_bytes == 40
