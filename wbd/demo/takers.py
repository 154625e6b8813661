"""Client processes that take ids while the rest of the demonstration runs, and record every one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from wbd.errors import IdsUnavailable
from wbd.ids.client import IdClient

_TYPES = ("item", "property", "lexeme", "entityschema")
# Ids per command; an API process that creates entities in bulk asks for about as many.
_BLOCK = 20
# Bounds the files, and the memory of the count, however long an import takes.
MAX_IDS = 500_000
# Pause between two blocks, since an API process has other work; without it MAX_IDS would be reached in a second.
_PAUSE_S = 0.002
_ENDS_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Taken:
    """
    The ids that all takers recorded.

    seconds: how long the taker that ran longest took ids.
    """

    ids: int
    duplicates: int
    seconds: float
    errors: list[str]

    @property
    def per_s(self) -> float:
        return self.ids / self.seconds if self.seconds else 0.0


class Takers:
    """*count* processes that take ids from one server until stop()."""

    def __init__(self, folder: Path, socket_path: Path, count: int) -> None:
        self._stop_file = folder / "stop"
        self._files = [folder / f"ids-{number}.txt" for number in range(count)]
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", __name__, str(socket_path), str(path), str(self._stop_file)],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            for path in self._files
        ]

    def stop(self) -> Taken:
        """Let each taker finish its block, and count the ids that they recorded."""
        self._stop_file.touch()
        errors = []
        for process in self._processes:
            try:
                _, complaint = process.communicate(timeout=_ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                complaint = b"did not end in time"
                process.communicate()
            if process.returncode != 0:
                errors.append(complaint.decode(errors="replace").strip() or f"exit code {process.returncode}")
        total, seen, seconds = 0, set(), 0.0
        for path in self._files:
            lines = path.read_text().split() if path.exists() else []
            if lines and lines[-1].startswith("seconds="):
                seconds = max(seconds, float(lines.pop().removeprefix("seconds=")))
            total += len(lines)
            seen.update(lines)
        return Taken(total, total - len(seen), seconds, errors)

    def kill(self) -> None:
        """Kill the processes."""
        for process in self._processes:
            process.kill()
            process.communicate()


def take_until_stopped(socket_path: Path, path: Path, stop_file: Path) -> None:
    """Run one taker: write every id to *path*, and the seconds that it took to the last line."""
    # Four clients that only take ids would starve the import on a small machine.
    os.nice(10)
    taken, begun_mono_s = 0, time.monotonic()
    with IdClient(socket_path, timeout_s=30.0) as client, path.open("w") as file:
        while taken < MAX_IDS and not stop_file.exists():
            # Mostly items, as on Wikidata, with the other types in between.
            entity_type = _TYPES[taken // _BLOCK % 16 // 4 * (taken // _BLOCK % 4 == 0)]
            ids = client.take(entity_type, _BLOCK)
            file.write("".join(f"{entity_id}\n" for entity_id in ids))
            taken += len(ids)
            time.sleep(_PAUSE_S)
        file.write(f"seconds={time.monotonic() - begun_mono_s}\n")


if __name__ == "__main__":
    try:
        take_until_stopped(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
    except IdsUnavailable as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
