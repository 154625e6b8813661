"""The object store: small immutable objects by key, in S3 (``s3://``) or in a folder (``file:///path``).

obstore reads and writes objects with about a third of boto3's CPU time for a small GET; boto3 creates and checks
buckets, which obstore cannot. In a folder, a bucket is a sub-folder. An object appears whole or not at all, but is not
forced to disk, so a power cut may lose the last ones. Data that must survive a power cut belongs in S3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import boto3
import botocore.config
import botocore.exceptions
import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from wbd.errors import ConfigError, ObjectStoreUnavailable
from wbd.settings.kinds import ObjectsAddress

T = TypeVar("T")
R = TypeVar("R")

# Requests wait for round trips most of the time. This many at once hide the waiting and keep memory small.
_CONCURRENCY = 32


class ObjectStore:
    """One bucket. Safe to share between threads."""

    def __init__(self, store: Any, name: str) -> None:
        self._store = store
        self._name = name
        # Threads take a fifth of the CPU time of obstore's coroutines; obstore works without the GIL.
        self._threads = ThreadPoolExecutor(_CONCURRENCY, thread_name_prefix="objects")

    def put(self, key: str, data: bytes) -> None:
        """Write one object; on return it is stored. Raises ObjectStoreUnavailable."""
        with self._guarded(key):
            obstore.put(self._store, key, data, use_multipart=False)

    def put_many(self, items: Sequence[tuple[str, bytes]]) -> None:
        """
        Write objects concurrently; on return all are stored.

        Raises:
            ObjectStoreUnavailable: some of them may be stored.
        """
        self._concurrently(lambda item: self.put(*item), items)

    def get(self, key: str) -> bytes | None:
        """Read one object, None if there is none. Raises ObjectStoreUnavailable."""
        with self._guarded(key):
            try:
                return bytes(obstore.get(self._store, key).bytes())
            except FileNotFoundError:
                return None

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """
        Read objects concurrently, in the order of *keys*, None for those that are missing.

        Raises:
            ObjectStoreUnavailable: at least one of them could not be read.
        """
        return self._concurrently(self.get, keys)

    def ping(self) -> None:
        """Ask for one key of the bucket. Raises ObjectStoreUnavailable, also when the bucket is missing."""
        with self._guarded(""):
            next(iter(obstore.list(self._store, chunk_size=1)), None)

    def list_keys(self, prefix: str = "") -> Iterator[str]:
        """Yield every key below the path *prefix*, in no particular order. Raises ObjectStoreUnavailable."""
        with self._guarded(prefix):
            for page in obstore.list(self._store, prefix=prefix or None):
                for entry in page:
                    yield str(entry["path"])

    def delete(self, key: str) -> None:
        """Remove one object; harmless if there is none. Raises ObjectStoreUnavailable."""
        with self._guarded(key), suppress(FileNotFoundError):
            obstore.delete(self._store, key)

    def _concurrently(self, call: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Make the calls, _CONCURRENCY at a time; return their results in order, or raise when all have ended."""
        lanes = min(_CONCURRENCY, len(items))
        if lanes <= 1:
            return [call(item) for item in items]
        running = [
            self._threads.submit(lambda lane: [call(item) for item in lane], items[i::lanes]) for i in range(lanes)
        ]
        wait(running)
        results: list[Any] = [None] * len(items)
        for i, done in enumerate(running):
            results[i::lanes] = done.result()
        return results

    @contextmanager
    def _guarded(self, key: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            raise ObjectStoreUnavailable(f"object {self._name}/{key}: {_first_line(error)}") from error


def open_store(address: ObjectsAddress, bucket: str) -> ObjectStore:
    """Open one bucket, which connects at the first use. Raises ConfigError for an address of another kind."""
    if address.folder is not None:
        folder = address.folder / bucket
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return ObjectStore(LocalStore(folder), bucket)
    if not address.url.startswith("s3://"):
        raise ConfigError(f"objects_url {address.url!r} not allowed; allowed: file:///folder or s3://")
    options: dict[str, Any] = {"region": address.region}
    if address.endpoint:
        # Buckets are addressed by path, since a private endpoint rarely has a DNS name for each.
        options |= {"endpoint": address.endpoint, "virtual_hosted_style_request": False}
    if address.access_key:
        options |= {"access_key_id": address.access_key, "secret_access_key": address.secret_key or ""}
    store = S3Store(
        bucket,
        **options,
        client_options={
            "allow_http": (address.endpoint or "").startswith("http://"),
            "connect_timeout": "5s",
            "timeout": "30s",
        },
        # Retries of the worker show in health and logs; long silent retries in here would not.
        retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=10)},
    )
    return ObjectStore(store, bucket)


class Buckets:
    """Create and check buckets."""

    def __init__(self, address: ObjectsAddress) -> None:
        self._address = address
        self._client: Any = None if address.folder else _s3_client(address)

    def exists(self, name: str) -> bool:
        """Tell whether the bucket exists and these credentials may use it. Raises ObjectStoreUnavailable."""
        if self._address.folder:
            return (self._address.folder / name).is_dir()
        try:
            self._client.head_bucket(Bucket=name)
        except botocore.exceptions.ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
                return False
            raise self._unavailable(name, error) from error
        except botocore.exceptions.BotoCoreError as error:
            raise self._unavailable(name, error) from error
        return True

    def create(self, name: str) -> bool:
        """Create the bucket; True for a new one, False if it existed. Raises ObjectStoreUnavailable."""
        if self.exists(name):
            return False
        if self._address.folder:
            (self._address.folder / name).mkdir(mode=0o700, parents=True)
            return True
        place: dict[str, Any] = {}
        if self._address.region != "us-east-1":
            # S3 refuses us-east-1, and only that region, as an explicit constraint.
            place = {"CreateBucketConfiguration": {"LocationConstraint": self._address.region}}
        try:
            self._client.create_bucket(Bucket=name, **place)
        except self._client.exceptions.BucketAlreadyOwnedByYou:
            return False
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
            raise self._unavailable(name, error) from error
        return True

    def _unavailable(self, name: str, error: Exception) -> ObjectStoreUnavailable:
        return ObjectStoreUnavailable(f"bucket {name} of {self._address}: {_first_line(error)}")


def _s3_client(address: ObjectsAddress) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=address.endpoint,
        aws_access_key_id=address.access_key,
        aws_secret_access_key=address.secret_key,
        region_name=address.region,
        config=botocore.config.Config(
            connect_timeout=5, read_timeout=30, retries={"max_attempts": 2}, s3={"addressing_style": "path"}
        ),
    )


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:500] if text else type(error).__name__
