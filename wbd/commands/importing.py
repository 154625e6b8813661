"""``wbd import``: store the entities of files."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import orjson
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from wbd.commands.arguments import whole_number
from wbd.commands.terminal import print_table
from wbd.importing.importer import ImportProgress, ImportReport, import_files
from wbd.settings.load import load
from wbd.wiki import Wiki

_EXIT_REJECTED = 1
_EXIT_TROUBLE = 2
_EXIT_INTERRUPTED = 130
# Interval of progress lines without a terminal, such as in a log.
_LINE_EVERY_S = 5.0
_MAX_EDITOR_ID = 2**32 - 1

OnProgress = Callable[[ImportProgress], None]


def add_arguments(commands: Any) -> None:
    """Add the parser of ``wbd import``."""
    parser = commands.add_parser(
        "import",
        help="import entities from dumps and entity files",
        description="Import a Wikidata JSON dump (array or one entity a line), single entities or Special:EntityData"
        " JSON; plain, gzip, bzip2 or zstd, whatever the name. Content that is already stored is left alone, so an"
        " interrupted import is completed by running it again. Lines that cannot be taken go to FILE.rejected.jsonl."
        " Exit code 0: all is in; 1: something was rejected; 2: trouble; 130: stopped by Ctrl-C.",
        epilog="examples: wbd import latest-all.json.bz2 | wbd import Q42.json Q64.json | zstdcat x.zst | wbd import -",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="a file, or - for standard input")
    parser.add_argument("--threads", type=whole_number(1, 64), metavar="N", help="writers (default: import_threads)")
    parser.add_argument("--rejects", type=Path, metavar="DIR", help="folder for rejected lines (default: beside FILE)")
    parser.add_argument(
        "--give-up",
        type=whole_number(0, 10**9),
        metavar="SECONDS",
        help="stop when the database or the objects have been away for this long (default: wait until they are back)",
    )
    parser.add_argument("--editor-id", type=whole_number(1, _MAX_EDITOR_ID), metavar="N", help="user of the wiki")
    parser.add_argument("--summary", default="", metavar="TEXT", help="edit summary of the revisions")
    parser.add_argument("--json", action="store_true", help="the report as one JSON object")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """
    Import the files and print the report.

    Returns:
        0 all is in, 1 something was rejected, 2 trouble, 130 stopped by a signal.
    """
    settings = load().settings
    if args.rejects is not None and not args.rejects.is_dir():
        sys.stderr.write(f"wbd import: --rejects {args.rejects}: no such folder\n")
        return _EXIT_TROUBLE
    threads = args.threads or settings.import_threads
    with (
        Wiki(settings, connections=threads + 1) as wiki,
        _stop_on_signals() as stop,
        _progress(quiet=args.quiet) as on_progress,
    ):
        report = import_files(
            args.files,
            wiki.store,
            threads=threads,
            max_line_bytes=settings.import_max_line_bytes,
            rejects_folder=args.rejects,
            give_up_s=args.give_up,
            editor_id=args.editor_id,
            edit_summary=args.summary,
            on_progress=on_progress,
            stop=stop,
        )
    if args.json:
        sys.stdout.write(orjson.dumps(report.as_dict(), option=orjson.OPT_INDENT_2).decode() + "\n")
    elif report.read or not report.trouble:
        _print_report(report)
    for message in [*_cut_short(report), *_empty(args.files, report), *report.trouble]:
        sys.stderr.write(f"wbd import: {message}\n")
    if report.trouble:
        return _EXIT_TROUBLE
    if report.interrupted:
        sys.stderr.write("wbd import: stopped; run it again to complete it\n")
        return _EXIT_INTERRUPTED
    return _EXIT_REJECTED if report.rejected else 0


@contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """Yield an event that SIGINT and SIGTERM set; a second signal has its usual effect."""
    stop = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, before[signal.Signals(number)])
        stop.set()

    for number in before:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(*, quiet: bool) -> Iterator[OnProgress | None]:
    """Yield a function that shows progress on standard error: a bar on a terminal, else a line every few seconds."""
    console = Console(stderr=True, highlight=False)
    if quiet:
        yield None
    elif console.is_terminal:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[numbers]}", markup=False),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("import", total=None, numbers="")
            speed = _Speed()

            def show(now: ImportProgress) -> None:
                bar.update(
                    task,
                    description=now.waiting or Path(now.file).name or "import",
                    completed=now.bytes_read,
                    total=now.bytes_total,
                    numbers=speed.text(now),
                )

            yield show
    else:
        speed = _Speed()
        next_mono_s = time.monotonic() + _LINE_EVERY_S
        was_waiting = False

        def write(now: ImportProgress) -> None:
            nonlocal next_mono_s, was_waiting
            # An unreachable server is reported at once.
            news = now.waiting is not None and not was_waiting
            was_waiting = now.waiting is not None
            if time.monotonic() < next_mono_s and not news:
                return
            next_mono_s = time.monotonic() + _LINE_EVERY_S
            share = f", {100 * now.bytes_read // now.bytes_total} %" if now.bytes_total else ""
            waiting = f"; {now.waiting}" if now.waiting else ""
            sys.stderr.write(f"wbd import: {speed.text(now)}{share}{waiting}\n")
            sys.stderr.flush()

        yield write


class _Speed:
    """Formats the numbers of a running import."""

    def __init__(self) -> None:
        self._started_mono_s = time.monotonic()

    def text(self, now: ImportProgress) -> str:
        seconds = max(time.monotonic() - self._started_mono_s, 0.001)
        rejected = f", {now.rejected:,} rejected" if now.rejected else ""
        return f"{now.done:,} entities{rejected}, {now.done / seconds:,.0f}/s, {decimal(now.bytes_read)}"


def _print_report(report: ImportReport) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("READ", "CREATED", "UPDATED", "UNCHANGED", "STALE", "REJECTED", "SIZE", "TIME", "ENTITIES/S"):
        table.add_column(heading, justify="right", no_wrap=True)
    counts = (report.read, report.created, report.updated, report.unchanged, report.stale, report.rejected)
    seconds = max(report.seconds, 0.001)
    table.add_row(
        *(f"{count:,}" for count in counts),
        decimal(report.bytes),
        f"{report.seconds:.1f} s",
        f"{report.read / seconds:,.0f}",
    )
    print_table(table)
    for path in report.rejected_files:
        sys.stdout.write(f"rejected lines, with reasons: {path}\n")
    if report.broken_snaks:
        sys.stdout.write(f"{report.broken_snaks:,} broken snaks, stored and mapped without their values; the first:\n")
    for example in report.broken_examples:
        sys.stdout.write(f"  {example}\n")


def _cut_short(report: ImportReport) -> Iterator[str]:
    """Name the inputs that could not be read to their end."""
    for cut in report.cut_short:
        yield f"{cut.file}: not read to its end: {cut.reason}; what came before it is in"


def _empty(files: list[str], report: ImportReport) -> Iterator[str]:
    """Warn about empty files, or about every input when the whole import found no entity."""
    nothing = not (report.read or report.trouble or report.interrupted)
    for name in files:
        with suppress(OSError):
            if nothing or (Path(name).is_file() and Path(name).stat().st_size == 0):
                yield f"warning: no entity in {name}"
