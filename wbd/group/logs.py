"""Logs of the programs of a group: their last lines, and new lines as they come."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from wbd.runtime.clock import Clock, SystemClock
from wbd.settings.state_dir import StateDir


def log_sizes(places: StateDir) -> dict[Path, int]:
    """Return the size of each log now, which is where earlier runs ended."""
    return {path: path.stat().st_size for path in places.log.glob("*.log")}


def last_lines(path: Path, since_bytes: int = 0, count: int = 15) -> str:
    """
    Return the last *count* lines of a log, indented for an error message; says so if there are none.

    Args:
        since_bytes: where an earlier run ended, none of whose lines is shown. A smaller file was rotated since.
    """
    with contextlib.suppress(OSError), path.open("rb") as file:
        size = path.stat().st_size
        file.seek(max(since_bytes if since_bytes <= size else 0, size - 64 * 1024))
        lines = file.read().decode(errors="replace").splitlines()[-count:]
        if lines:
            return f"last lines of {path}:\n" + "\n".join(f"    {line}" for line in lines)
    return f"{path} holds nothing" + (" of this run" if since_bytes else "")


def tail(path: Path, lines: int) -> list[str]:
    """Return the last *lines* lines of a log file; reads at most 1 MiB."""
    try:
        with path.open("rb") as file:
            return _last_megabyte(file).splitlines()[-lines:] if lines > 0 else []
    except FileNotFoundError:
        return []


def follow(path: Path, lines: int = 20, interval_s: float = 0.25, clock: Clock | None = None) -> Iterator[str]:
    """Yield the last *lines* lines of a log file and then each new one, across rotation, until closed."""
    clock = clock or SystemClock()
    file: BinaryIO | None = None
    unfinished = ""
    first = True
    try:
        while True:
            if file is None:
                with contextlib.suppress(FileNotFoundError):
                    file = path.open("rb")
            if file is not None:
                # supervisord renames a full log and opens a new one: read the old one to its end first.
                rotated = not path.exists() or path.stat().st_ino != os.fstat(file.fileno()).st_ino
                text = _last_megabyte(file) if first else file.read().decode(errors="replace")
                *complete, unfinished = (unfinished + text).split("\n")
                yield from complete[max(0, len(complete) - lines) :] if first else complete
                first = False
                if rotated:
                    file.close()
                    file, unfinished = None, ""
                    continue
            clock.sleep(interval_s)
    finally:
        if file is not None:
            file.close()


def _last_megabyte(file: BinaryIO) -> str:
    file.seek(max(0, os.fstat(file.fileno()).st_size - 1024 * 1024))
    return file.read().decode(errors="replace")
