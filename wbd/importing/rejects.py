"""Set aside the lines that an import rejects, one JSON object per line, in FILE.rejected.jsonl.

Writes:  the file, at the first rejection; a complete run without rejections removes an old one
Repeats: a second run of the same input replaces the file
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import BinaryIO

import orjson

from wbd.errors import BadInput

SUFFIX = ".rejected.jsonl"
_TEXT_CHARACTERS = 1000


class RejectFile:
    """
    Rejected lines of one input. Safe to share between threads.

    Only its owner can read the file, because it repeats text of an input that may be private.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self._file: BinaryIO | None = None
        self._lock = threading.Lock()

    def add(self, line: int, offset: int, reason: str, place: str, entity_id: str | None, raw: bytes) -> None:
        """
        Write one rejection.

        Raises:
            BadInput: the file cannot be written.
        """
        text = raw[: 4 * _TEXT_CHARACTERS].decode("utf-8", errors="replace")[:_TEXT_CHARACTERS]
        entry = {
            "line": line,
            "offset": offset,
            "reason": reason,
            "place": place,
            "entity_id": entity_id,
            "text": text,
        }
        with self._lock:
            try:
                if self._file is None:
                    self._file = _create(self.path)
                self._file.write(orjson.dumps(entry) + b"\n")
                self._file.flush()
            except OSError as error:
                reason = f"cannot set rejected lines aside ({error.strerror}); name a folder with --rejects"
                raise BadInput(reason, str(self.path)) from error
            self.count += 1

    def close(self, *, complete: bool) -> None:
        """Close the file; after a *complete* run without rejections, remove a file that an earlier run left."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
            elif complete and self.count == 0:
                # A file of another user cannot be removed, and it does no harm.
                try:
                    self.path.unlink(missing_ok=True)
                except OSError:
                    return


def reject_path(source_name: str, folder: Path | None) -> Path:
    """Return the path for rejections of an input: in *folder*, else beside it; for standard input, in this folder."""
    name = Path(source_name).name + SUFFIX
    if folder is not None:
        return folder / name
    return Path(name) if source_name == "stdin" else Path(source_name).with_name(name)


def _create(path: Path) -> BinaryIO:
    # Never through a link, which another user may have put into a shared folder.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    return os.fdopen(descriptor, "wb")
