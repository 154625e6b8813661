"""``wbd demo``: run a complete group and print its figures in one table."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from subprocess import PIPE, run
from typing import Any

import orjson
from rich.table import Table

from wbd.commands.arguments import whole_number
from wbd.commands.group import echo
from wbd.commands.terminal import print_table
from wbd.demo import run as demo_run
from wbd.demo.run import DemoReport
from wbd.errors import BadInput, DependencyUnavailable
from wbd.settings.load import environment_with, load

_EXIT_WRONG = 1
# Generated entities are kept in memory while they are edited.
_MAX_ENTITIES = 1_000_000


def demo(args: argparse.Namespace) -> int:
    """Run the demonstration; the exit code is 0 only if everything adds up."""
    if args.dump is not None and not args.dump.is_file():
        raise BadInput("no such file", str(args.dump))
    tell = (lambda _text: None) if args.json else echo
    folder = demo_run.state_folder()
    # The group runs as a user would run it, by the same commands, with a state folder and a port of its own.
    env = environment_with(
        WBD_STATE_DIR=str(folder),
        METRICS_PORT=str(demo_run.free_port()),
        ENTITY_DIFF_POLL_INTERVAL="1",
        ENVIRONMENT="dev",
    )

    def wbd(*words: str, quiet: bool = False) -> bytes:
        shown = None if not (quiet or args.json) else PIPE
        done = run([sys.executable, "-m", "wbd", *words], env=env, stdout=shown, check=False)
        if done.returncode not in (0, 1):
            raise DependencyUnavailable(f"wbd {' '.join(words)} ended with exit code {done.returncode}")
        return done.stdout or b""

    def import_dump(path: Path) -> dict[str, Any]:
        counts: dict[str, Any] = orjson.loads(wbd("import", "--json", "--rejects", str(folder), str(path), quiet=True))
        return counts

    try:
        dump = args.dump or demo_run.make_dump(folder, args.entities, args.edits, args.seed)
        # The group is gone at the end, so hints for looking at it would mislead.
        wbd("up", "--detach", "--no-hints")
        report = demo_run.run(load(env).settings, dump, import_dump, tell)
        if not args.json:
            wbd("status")
    finally:
        wbd("down")
        if args.keep:
            tell(f"kept: {folder}")
        else:
            demo_run.remove(folder)
    if args.json:
        sys.stdout.write(orjson.dumps(asdict(report), option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        print_table(_table(report))
        for problem in report.wrong:
            echo(f"wrong: {problem}")
        echo("everything adds up" if not report.wrong else f"{len(report.wrong)} things do not add up")
    return _EXIT_WRONG if report.wrong else 0


def add_arguments(commands: Any) -> None:
    """Add the parser of ``wbd demo``."""
    parser = commands.add_parser(
        "demo",
        help="run a complete group and print its figures in one table",
        description="Start a group on embedded engines, import entities while four processes take ids, follow the"
        " diffs, check that everything adds up, and stop the group.",
        epilog="examples: wbd demo | wbd demo --entities 5000 --edits 5000 | wbd demo --dump latest-all.json.gz",
    )
    parser.add_argument("--dump", type=Path, metavar="FILE", help="a real dump instead of generated entities")
    parser.add_argument(
        "--entities",
        type=whole_number(1, _MAX_ENTITIES),
        default=500,
        metavar="N",
        help="generated entities (default 500)",
    )
    parser.add_argument(
        "--edits", type=whole_number(1, _MAX_ENTITIES), default=500, metavar="N", help="edits to them (default 500)"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the generator (default 1)")
    parser.add_argument("--keep", action="store_true", help="keep the state folder")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    parser.set_defaults(run=demo)


def _table(report: DemoReport) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, title="wbd demo", title_justify="left")
    table.add_column(style="bold")
    table.add_column(justify="right")
    for name, value in (
        ("entities", f"{report.entities:,}"),
        ("revisions", f"{report.revisions:,}"),
        ("imported in", f"{report.import_seconds:.1f} s"),
        ("rejected lines", f"{report.rejected:,}"),
        ("ids taken", f"{report.ids_taken:,}"),
        ("ids given twice", f"{report.id_duplicates:,}"),
        ("ids/s", f"{report.ids_per_s:,.0f}"),
        ("diffs", f"{report.diffs:,}"),
        ("triples added", f"{report.triples_added:,}"),
        ("triples removed", f"{report.triples_removed:,}"),
        ("lag p50, revision to consumer", f"{report.lag_p50_s:.2f} s"),
        ("lag p99, revision to consumer", f"{report.lag_p99_s:.2f} s"),
    ):
        table.add_row(name, value)
    return table
