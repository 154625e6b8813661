"""Replace files and folders in one step: a reader sees the old content or the new, never part of either."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def write_private(path: Path, text: str) -> None:
    """Replace *path* by *text* in one step, mode 0600; the text is on disk before it is visible."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush the directory entries of *folder* to disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_json_object(path: Path) -> dict[str, Any]:
    """Return the JSON object at *path*; empty when the file is missing or holds anything else."""
    with contextlib.suppress(OSError, ValueError):
        value = json.loads(path.read_text())
        if isinstance(value, dict):
            return value
    return {}


@contextlib.contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """
    Fill a new folder beside *target* and rename it at the end, so that *target* is complete or absent.

    Folders that interrupted fills left behind are removed first. The new folder has mode 0700.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for stale in target.parent.glob(f"{target.name}.new-*"):
        shutil.rmtree(stale, ignore_errors=True)
    fresh = Path(tempfile.mkdtemp(dir=target.parent, prefix=f"{target.name}.new-"))
    try:
        yield fresh
        fresh.replace(target)
        sync_folder(target.parent)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
