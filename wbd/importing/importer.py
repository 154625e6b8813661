"""Import files of entities: read, check, write in batches, set rejected lines aside, report.

Reads:   files, pipes, standard input
Writes:  what store.py writes; FILE.rejected.jsonl
Repeats: harmless; content that is already stored is counted as unchanged

One thread reads and checks, and a few threads write. An entity always goes to the same writer, so its revisions keep
their order. The queues between them are bounded in bytes.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from wbd.entity.check import Entity, check_entity
from wbd.errors import BadEntity, BadInput, PermanentError, RetryableError
from wbd.importing.input_file import DamagedInput, InputFile, ReadStopped
from wbd.importing.reader import DEFAULT_MAX_LINE_BYTES, Line, read_entities
from wbd.importing.rejects import RejectFile, reject_path
from wbd.importing.writers import Item, Writers
from wbd.revisions.revision import Outcome, WriteResult
from wbd.revisions.store import RevisionStore
from wbd.runtime.retry import Backoff

_PROGRESS_EVERY_S = 0.1
_BACKOFF = Backoff(first_s=0.5, max_s=15.0)
# Enough to recognise what is wrong with an export; all of a large dump's would flood the terminal.
_BROKEN_EXAMPLES_MAX = 5


@dataclass(frozen=True, slots=True)
class CutShort:
    """An input whose rest could not be read because its compressed data is damaged, and where and why."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """
    What one import did.

    Args:
        read: entities found, and rejected lines.
        bytes: of the files as they are stored, compressed or not.
        rejected_files: where the rejected lines were set aside.
        broken_snaks: snaks of accepted entities with a value that Wikibase cannot read; stored like all others.
        broken_examples: the first of them, each with its input, line, entity and JSON path.
        cut_short: inputs that could not be read to their end; each is one of the rejected lines too.
        interrupted: the import was asked to stop before the end.
        trouble: why files, or everything after some point, could not be read or written.
    """

    read: int
    created: int
    updated: int
    unchanged: int
    stale: int
    rejected: int
    bytes: int
    seconds: float
    rejected_files: tuple[str, ...]
    broken_snaks: int
    broken_examples: tuple[str, ...]
    cut_short: tuple[CutShort, ...]
    interrupted: bool
    trouble: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON-able values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """
    Where an import is.

    Args:
        bytes_read, bytes_total: over all files as stored; the total is None when a pipe is among them.
        waiting: why nothing is written at the moment, None when all is well.
    """

    file: str
    bytes_read: int
    bytes_total: int | None
    done: int
    rejected: int
    waiting: str | None


def import_files(
    files: Sequence[Path | str | BinaryIO],
    store: RevisionStore,
    *,
    threads: int = 4,
    max_line_bytes: int = DEFAULT_MAX_LINE_BYTES,
    rejects_folder: Path | None = None,
    give_up_s: float | None = None,
    editor_id: int | None = None,
    edit_summary: str = "",
    on_progress: Callable[[ImportProgress], None] | None = None,
    stop: threading.Event | None = None,
) -> ImportReport:
    """
    Import every entity of the files, in their order.

    Args:
        files: paths, "-" for standard input, or binary streams.
        threads: writers.
        give_up_s: the longest absence of the database or the object store to wait for; None waits forever.
        on_progress: called in this thread about ten times a second.
        stop: ends the import soon after it is set: batches in progress are finished, and the rest is not written.

    Returns:
        The report. Bad files and unreachable servers raise nothing; they are named in the report's trouble.
    """
    run = _Import(store, threads, give_up_s, editor_id, edit_summary, on_progress, stop or threading.Event())
    return run.run(files, max_line_bytes, rejects_folder)


@dataclass(slots=True, eq=False)
class _File:
    """One input, its rejections, and the number of its entities that are read but not yet written."""

    name: str
    rejects: RejectFile
    pending: int = 0
    ended: bool = False
    complete: bool = False


@dataclass(frozen=True, slots=True)
class _Origin:
    """The position of an entity in the input."""

    file: _File
    line: Line


class _Import:
    """The state of one running import."""

    def __init__(
        self,
        store: RevisionStore,
        threads: int,
        give_up_s: float | None,
        editor_id: int | None,
        edit_summary: str,
        on_progress: Callable[[ImportProgress], None] | None,
        stop: threading.Event,
    ) -> None:
        self._store = store
        self._give_up_s = give_up_s
        self._editor_id = editor_id
        self._edit_summary = edit_summary
        self._on_progress = on_progress
        self._stop = stop
        self._outcomes: Counter[Outcome] = Counter()
        self._rejected = 0
        self._broken_snaks = 0
        self._broken_examples: list[str] = []
        self._rejected_files: list[str] = []
        self._cut_short: list[CutShort] = []
        self._trouble: list[str] = []
        self._files: list[_File] = []
        self._lock = threading.Lock()
        self._waiting: dict[int, str] = {}
        self._gave_up: str | None = None
        self._reject_paths: set[Path] = set()
        self._source: InputFile | None = None
        self._bytes_before = 0
        self._bytes_total: int | None = None
        self._next_progress_mono_s = 0.0
        self._writers = Writers(threads, self._write, self._tick)

    def run(
        self, files: Sequence[Path | str | BinaryIO], max_line_bytes: int, rejects_folder: Path | None
    ) -> ImportReport:
        started = time.monotonic()
        self._bytes_total = _total_bytes(files)
        with self._writers:
            try:
                for path in files:
                    if self._ending():
                        break
                    self._read_file(path, max_line_bytes, rejects_folder)
                self._writers.finish(abandon=self._ending)
            except BaseException:
                # Without it, writers that wait for a server would never end.
                self._stop.set()
                raise
        for file in self._files:
            file.rejects.close(complete=False)
        self._tick(at_once=True)
        return self._report(time.monotonic() - started)

    def _report(self, seconds: float) -> ImportReport:
        trouble = self._trouble if self._gave_up is None else [*self._trouble, self._gave_up]
        return ImportReport(
            read=self._rejected + self._outcomes.total(),
            created=self._outcomes[Outcome.CREATED],
            updated=self._outcomes[Outcome.UPDATED],
            unchanged=self._outcomes[Outcome.UNCHANGED],
            stale=self._outcomes[Outcome.STALE],
            rejected=self._rejected,
            bytes=self._bytes_before,
            seconds=seconds,
            rejected_files=tuple(self._rejected_files),
            broken_snaks=self._broken_snaks,
            broken_examples=tuple(self._broken_examples),
            cut_short=tuple(self._cut_short),
            interrupted=self._stop.is_set() and self._gave_up is None,
            trouble=tuple(trouble),
        )

    def _read_file(self, path: Path | str | BinaryIO, max_line_bytes: int, rejects_folder: Path | None) -> None:
        try:
            source = InputFile.open(path, stop=self._stop)
        except BadInput as error:
            self._trouble.append(str(error))
            return
        file = _File(source.name, RejectFile(self._free_path(reject_path(source.name, rejects_folder))))
        self._files.append(file)
        self._source = source
        with source:
            try:
                for line in read_entities(source, max_line_bytes):
                    self._take(file, line)
                    if self._ending():
                        break
                else:
                    file.complete = True
            except ReadStopped:
                pass
            except OSError as error:
                self._trouble.append(f"{source.name}: reading failed at byte {source.consumed_bytes}: {error}")
            except BadInput as error:
                self._trouble.append(str(error))
        self._bytes_before += source.consumed_bytes
        self._source = None
        with self._lock:
            file.ended = True
            self._close_if_done(file)

    def _take(self, file: _File, line: Line) -> None:
        self._tick()
        if line.entity is None:
            assert line.rejection is not None
            if isinstance(line.rejection, DamagedInput):
                self._cut_short.append(CutShort(file.name, str(line.rejection)))
            self._reject(file, line, str(line.rejection), line.rejection.place, None)
            return
        try:
            entity = check_entity(line.entity)
        except BadEntity as error:
            given = line.entity.get("id")
            self._reject(file, line, str(error), error.place, given if isinstance(given, str) else None)
            return
        self._count_broken(file, line, entity)
        with self._lock:
            file.pending += 1
        self._writers.put(Item(entity, len(line.raw), _Origin(file, line)))

    def _count_broken(self, file: _File, line: Line, entity: Entity) -> None:
        self._broken_snaks += len(entity.broken_snaks)
        room = _BROKEN_EXAMPLES_MAX - len(self._broken_examples)
        for error in entity.broken_snaks[:room]:
            self._broken_examples.append(f"{file.name}: line {line.number}: {entity.id}: {error}")

    def _write(self, items: Sequence[Item]) -> None:
        """Write one batch, waiting for unreachable servers; runs in a writer's thread."""
        entities = [item.entity for item in items]
        failures = 0
        away_since_mono_s = 0.0
        while True:
            try:
                results = self._store.write_many(
                    entities, editor_id=self._editor_id, edit_summary=self._edit_summary, imported=True
                )
                break
            except RetryableError as error:
                failures += 1
                now_mono_s = time.monotonic()
                away_since_mono_s = away_since_mono_s or now_mono_s
                if not self._wait(error, failures, now_mono_s - away_since_mono_s):
                    return
        with self._lock:
            self._waiting.pop(threading.get_ident(), None)
        for item, result in zip(items, results, strict=True):
            self._record(item, result)

    def _wait(self, error: RetryableError, failures: int, away_s: float) -> bool:
        """Wait before the next attempt; return False when the import ends instead."""
        delay_s = _BACKOFF.delay_s(failures)
        if self._give_up_s is not None:
            if away_s >= self._give_up_s:
                self._give_up(f"{error}; gave up after {away_s:.0f} s, run the import again to complete it")
                return False
            delay_s = min(delay_s, self._give_up_s - away_s)
        with self._lock:
            self._waiting[threading.get_ident()] = f"{error}; retry in {delay_s:.0f} s"
        return not self._stop.wait(delay_s)

    def _record(self, item: Item, result: WriteResult | PermanentError | RetryableError) -> None:
        origin: _Origin = item.origin
        if not isinstance(result, WriteResult):
            self._reject(origin.file, origin.line, str(result), "", item.entity.id)
        with self._lock:
            if isinstance(result, WriteResult):
                self._outcomes[result.outcome] += 1
            origin.file.pending -= 1
            self._close_if_done(origin.file)

    def _reject(self, file: _File, line: Line, reason: str, place: str, entity_id: str | None) -> None:
        try:
            file.rejects.add(line.number, line.offset, reason, place, entity_id, line.raw)
        except BadInput as error:
            # Continuing would lose the rejections that follow.
            self._give_up(str(error))
            return
        with self._lock:
            self._rejected += 1
            if str(file.rejects.path) not in self._rejected_files:
                self._rejected_files.append(str(file.rejects.path))

    def _give_up(self, why: str) -> None:
        with self._lock:
            self._gave_up = self._gave_up or why
        self._stop.set()

    def _close_if_done(self, file: _File) -> None:
        if file.ended and file.pending == 0:
            file.rejects.close(complete=file.complete)

    def _free_path(self, path: Path) -> Path:
        """Return a path of its own for each input, also for inputs of the same name with one folder for rejections."""
        free, number = path, 1
        while free in self._reject_paths:
            number += 1
            free = path.with_name(f"{path.name.removesuffix('.jsonl')}.{number}.jsonl")
        self._reject_paths.add(free)
        return free

    def _ending(self) -> bool:
        return self._stop.is_set()

    def _tick(self, *, at_once: bool = False) -> None:
        if self._on_progress is None or (not at_once and time.monotonic() < self._next_progress_mono_s):
            return
        self._next_progress_mono_s = time.monotonic() + _PROGRESS_EVERY_S
        with self._lock:
            done, rejected = self._outcomes.total(), self._rejected
            waiting = next(iter(self._waiting.values()), None)
        source = self._source
        consumed = self._bytes_before + (source.consumed_bytes if source else 0)
        name = source.name if source else ""
        self._on_progress(ImportProgress(name, consumed, self._bytes_total, done, rejected, waiting))


def _total_bytes(files: Sequence[Path | str | BinaryIO]) -> int | None:
    total = 0
    for path in files:
        if not isinstance(path, Path | str) or str(path) == "-":
            return None
        try:
            if not Path(path).is_file():
                return None
            total += Path(path).stat().st_size
        except OSError:
            # Opening the file later reports the reason.
            continue
    return total
