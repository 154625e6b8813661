"""The object store over HTTP and in a folder: what is put is there, what is missing is told apart from trouble."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

import pytest

from wbd.engines.objects import Buckets, open_store
from wbd.errors import ConfigError, ObjectStoreUnavailable
from wbd.settings.kinds import ObjectsAddress


def s3_address(server: Any) -> ObjectsAddress:
    return ObjectsAddress("s3://", server.endpoint, server.access_key, server.secret_key)


@pytest.fixture(params=["s3", "moto", "file"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectsAddress:
    if request.param == "file":
        return ObjectsAddress(f"file://{tmp_path}")
    return s3_address(request.getfixturevalue(request.param))


@pytest.fixture
def bucket(address: ObjectsAddress) -> str:
    name = f"b-{uuid.uuid4().hex[:12]}"
    assert Buckets(address).create(name)
    return name


def test_a_bucket_is_created_once_and_then_found(address: ObjectsAddress, bucket: str) -> None:
    buckets = Buckets(address)
    assert buckets.exists(bucket)
    assert not buckets.create(bucket)
    assert not buckets.exists("not-there-at-all")


def test_what_is_put_is_read_back_whatever_the_bytes(address: ObjectsAddress, bucket: str) -> None:
    store = open_store(address, bucket)
    items = [(f"Q{i}/r{i}.json", bytes([i % 256]) * (i * 37)) for i in range(300)]
    store.put_many(items)
    assert store.get_many([key for key, _ in items]) == [data for _, data in items]
    assert sorted(store.list_keys("Q7")) == ["Q7/r7.json"]
    assert len(list(store.list_keys())) == 300


def test_a_missing_bucket_is_trouble_and_an_empty_one_is_not(address: ObjectsAddress, bucket: str) -> None:
    open_store(address, bucket).ping()
    if address.folder is None:
        with pytest.raises(ObjectStoreUnavailable):
            open_store(address, "not-there-at-all").ping()


def test_a_missing_object_is_none_among_those_that_are_there(address: ObjectsAddress, bucket: str) -> None:
    store = open_store(address, bucket)
    store.put("a", b"1")
    assert store.get("not-there") is None
    assert store.get_many(["a", "not-there", "a"]) == [b"1", None, b"1"]


def test_putting_the_same_again_and_deleting_twice_are_harmless(address: ObjectsAddress, bucket: str) -> None:
    store = open_store(address, bucket)
    store.put("a", b"1")
    store.put("a", b"1")
    store.delete("a")
    store.delete("a")
    assert store.get("a") is None


def test_a_server_that_is_away_is_an_error_that_can_be_retried_and_work_goes_on_after(s3: Any) -> None:
    address = s3_address(s3)
    name = f"b-{uuid.uuid4().hex[:12]}"
    Buckets(address).create(name)
    store = open_store(address, name)
    store.put("before", b"1")
    s3.kill()
    try:
        with pytest.raises(ObjectStoreUnavailable, match=re.escape(f"object {name}/x:")):
            store.put("x", b"2")
        with pytest.raises(ObjectStoreUnavailable):
            Buckets(address).exists(name)
    finally:
        s3.start()
    store.put("x", b"2")
    assert store.get("x") == b"2"


def test_a_wrong_key_is_an_error_that_does_not_show_the_secret(s3: Any) -> None:
    address = ObjectsAddress("s3://", s3.endpoint, "wrong", "hunter2-hunter2")
    with pytest.raises(ObjectStoreUnavailable) as refused:
        open_store(address, "revisions").put("a", b"1")
    assert "hunter2" not in str(refused.value)


def test_one_object_of_many_that_cannot_be_written_or_read_raises(tmp_path: Path) -> None:
    store = open_store(ObjectsAddress(f"file://{tmp_path}"), "bucket")
    store.put("a", b"")
    keys = [f"k{i}" for i in range(100)]
    # In a folder no object can lie under another one.
    for at in (0, 57, 100):
        with pytest.raises(ObjectStoreUnavailable, match="bucket/a/b"):
            store.put_many([(key, b"") for key in (*keys[:at], "a/b", *keys[at:])])
        with pytest.raises(ObjectStoreUnavailable, match="bucket/a/b"):
            store.get_many([*keys[:at], "a/b", *keys[at:]])
    assert store.get_many([]) == []


def test_an_address_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"allowed: file:///folder or s3://"):
        open_store(ObjectsAddress("ftp://x"), "revisions")


def test_a_folder_of_objects_is_open_to_its_owner_only(tmp_path: Path) -> None:
    open_store(ObjectsAddress(f"file://{tmp_path}/objects"), "revisions").put("Q1/r1.json", b"{}")
    assert (tmp_path / "objects" / "revisions").stat().st_mode & 0o777 == 0o700
