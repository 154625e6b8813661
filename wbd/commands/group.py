"""``wbd up``, ``down``, ``status``, ``logs``, ``restart``: the process group as a whole."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from rich.table import Table
from rich.text import Text

from wbd.commands.terminal import print_table
from wbd.errors import ConfigError
from wbd.group.control import GroupNotRunning, ProcessRow, State, Supervisor
from wbd.group.logs import follow, tail
from wbd.group.reports import worker_report
from wbd.group.supervisord import Program, worker_programs
from wbd.provision import servers
from wbd.runtime.json_fields import encode
from wbd.runtime.report import LastStep, Report
from wbd.runtime.table import WORKERS, worker_spec
from wbd.settings.load import load
from wbd.settings.settings import Settings
from wbd.settings.state_dir import StateDir
from wbd.stack import launch, stop
from wbd.stack.options import StackOptions

# From the end of a worker's drain until supervisord has certainly killed it.
_RESTART_MARGIN_S = 30.0
_NAMES = ", ".join(worker.name for worker in WORKERS)


def options(settings: Settings) -> StackOptions:
    """Return the settings that decide which engines are embedded."""
    objects_url = settings.objects_address().url if settings.objects_are_set else None
    return StackOptions(
        state_dir=settings.state_dir,
        cache_dir=settings.wbd_cache_dir,
        vitess_host=settings.vitess_host,
        vitess_unix_socket=settings.vitess_unix_socket,
        database_url=settings.database_url.get_secret_value() if settings.database_url else None,
        kafka_brokers=settings.kafka_brokers,
        objects_url=objects_url,
        topics=tuple(settings.topics()),
    )


@dataclass(frozen=True, slots=True)
class _Group:
    """
    The group of ``wbd up``: the workers of the table, and the tables, buckets and topics that they need.

    settings: those without an embedded stack; prepare() loads them again once the engines' addresses are known.
    next_step: what to do next, "" to say nothing.
    """

    settings: Settings
    next_step: str

    @property
    def programs(self) -> Sequence[Program]:
        return worker_programs()

    def echo(self, line: str) -> None:
        echo(line)

    def prepare(self) -> None:
        running = load().settings
        counts: Counter[tuple[str, str]] = Counter()
        for command in (servers.create_buckets, servers.create_tables, servers.create_topics):
            for item in command(running):
                if item.is_wrong:
                    raise ConfigError(f"{item.kind} {item.name}: {item.state}: {item.detail}")
                # A step that the tables show already is no news, since each of its tables is counted.
                if (item.kind, item.state) != ("step", "existed"):
                    counts[item.kind, item.state] += 1
        parts = [f"{count} {kind}{'' if count == 1 else 's'} {state}" for (kind, state), count in counts.items()]
        echo(", ".join(parts))

    def report(self, program: str) -> Report:
        return worker_report(self.settings.run_dir, program)

    def on_ready(self) -> None:
        settings = self.settings
        echo(f"state folder {settings.state_dir}; health at http://{settings.api_host}:{settings.metrics_port}/health")
        if self.next_step:
            echo(self.next_step)


def up(args: argparse.Namespace) -> int:
    """Start the group; without server settings also the embedded engines."""
    settings = load(with_stack=False).settings
    if settings.database_is_set:
        settings.database_address()  # half an address is an error before the engines start, not after
    next_step = "look with: wbd status; stop with: wbd down" if args.detach else "stop with Ctrl-C or: wbd down"
    launch.up(options(settings), _Group(settings, "" if args.no_hints else next_step), detach=args.detach)
    return 0


def down(args: argparse.Namespace) -> int:
    """Stop workers, then engines."""
    settings = load(with_stack=False).settings
    if not stop.down(options(settings), echo=echo):
        echo(f"nothing runs in {settings.state_dir}")
    return 0


def status(args: argparse.Namespace) -> int:
    """Show every program of the group; exit code 0 all ready, 1 something is not, 2 nothing runs."""
    settings = load().settings
    try:
        rows = [_Row.of(settings, row) for row in Supervisor(StateDir.at(settings.state_dir)).processes()]
    except GroupNotRunning as error:
        left = stop.outlived(StackOptions(settings.state_dir))
        if args.json:
            _write_json({"running": False, "error": str(error), "outlived": left, "processes": []})
        else:
            sys.stderr.write(f"wbd: {error}\n")
            if left:
                pids = ", ".join(map(str, left))
                sys.stderr.write(
                    f"wbd: {len(left)} processes of the group live without their supervisord (pids {pids}); "
                    "end them with: wbd down, or end them and start the group afresh with: wbd up\n"
                )
        return 2
    well = all(row.ok for row in rows)
    if args.json:
        shown = [encode(row) for row in rows]
        _write_json({"running": True, "ok": well, "state_dir": str(settings.state_dir), "processes": shown})
    else:
        print_table(_table(rows))
    return 0 if well else 1


def logs(args: argparse.Namespace) -> int:
    """Print the last lines of a program's log, and with -f each new one."""
    path = StateDir.at(load().settings.state_dir).log_of(args.name)
    if not path.is_file():
        known = sorted(log.stem for log in path.parent.glob("*.log")) if path.parent.is_dir() else []
        raise ConfigError(f"no log of {args.name!r} in {path.parent}; there are: {', '.join(known) or 'none'}")
    if not args.follow:
        sys.stdout.write("".join(f"{line}\n" for line in tail(path, args.lines)))
        return 0
    for line in follow(path, args.lines):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    return 0


def restart(args: argparse.Namespace) -> int:
    """Stop one program in order and start it again."""
    settings = load().settings
    known = {worker.name for worker in WORKERS}
    drain_s = worker_spec(args.name).drain_s if args.name in known else 60.0
    supervisor = Supervisor(StateDir.at(settings.state_dir))
    supervisor.restart(args.name, drain_s + _RESTART_MARGIN_S)
    if args.name in known:
        supervisor.wait_for(lambda: worker_report(settings.run_dir, args.name).ready, 60.0, f"{args.name} to be ready")
    echo(f"{args.name}: restarted, pid {supervisor.process(args.name).pid}")
    return 0


def add_arguments(commands: Any) -> None:
    """Add the parsers of this file's commands."""
    parser = commands.add_parser(
        "up",
        help="start the group, and embedded engines where no server is set",
        description="Start every worker under supervisord. Without settings for a database, Kafka or an object store,"
        " a private MariaDB, a Kafka broker and a folder of objects are started in the state folder.",
        epilog="examples: wbd up -d | KAFKA_BROKERS=k1:9092 VITESS_HOST=db VITESS_USER=wbd VITESS_DATABASE=wiki wbd up",
    )
    parser.add_argument("-d", "--detach", action="store_true", help="return when all is ready instead of staying")
    parser.add_argument("--no-hints", action="store_true", help="do not print what to do next")
    parser.set_defaults(run=up)
    parser = commands.add_parser("down", help="stop workers, then engines", epilog="example: wbd down")
    parser.set_defaults(run=down)
    parser = commands.add_parser(
        "status",
        help="show every program of the group",
        description="Exit code 0: all ready; 1: something is not; 2: nothing runs. RESTARTS counts restarts that"
        " nobody asked for.",
        epilog="examples: wbd status | wbd status --json | jq '.processes[] | select(.ok | not)'",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=status)
    parser = commands.add_parser("logs", help="show a program's log", epilog="example: wbd logs entity_diff -f")
    parser.add_argument("name", metavar="NAME", help=f"{_NAMES}, mariadb, kafka, supervisord")
    parser.add_argument("-f", "--follow", action="store_true", help="print new lines too, until Ctrl-C")
    parser.add_argument("-n", "--lines", type=int, default=20, help="lines from the end (default 20)")
    parser.set_defaults(run=logs)
    parser = commands.add_parser("restart", help="restart one program", epilog="example: wbd restart entity_diff")
    parser.add_argument("name", metavar="NAME", help=_NAMES)
    parser.set_defaults(run=restart)


def echo(text: str) -> None:
    """Write one line of progress."""
    sys.stdout.write(f"wbd: {text}\n")
    sys.stdout.flush()


@dataclass(frozen=True, slots=True)
class _Row:
    """
    One program as supervisord sees it, and as the worker itself reports.

    status, ready, heartbeat_age_s, last_step: None for a program that is no worker.
    ok: it runs, and a worker is ready and has no trouble.
    """

    name: str
    group: str
    state: str
    pid: int | None
    uptime_s: int
    restarts: int | None
    status: str | None
    ready: bool | None
    heartbeat_age_s: float | None
    last_step: LastStep | None
    message: str
    ok: bool

    @classmethod
    def of(cls, settings: Settings, row: ProcessRow) -> _Row:
        """Join the row of supervisord with the report of the worker."""
        is_worker = row.name in {worker.name for worker in WORKERS}
        report = worker_report(settings.run_dir, row.name) if is_worker else None
        trouble = report.trouble.message if report and report.trouble else ""
        return cls(
            name=row.name,
            group=row.group,
            state=str(row.state),
            pid=row.pid,
            uptime_s=row.uptime_s,
            restarts=row.restarts,
            status=report.status if report else None,
            ready=report.ready if report else None,
            heartbeat_age_s=report.heartbeat_age_s if report else None,
            last_step=report.last_step if report else None,
            message=trouble or row.message,
            ok=row.state == State.RUNNING and (report is None or (report.ready and not trouble)),
        )


def _table(rows: list[_Row]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("PROGRAM", "STATE", "READY", "PID", "UPTIME", "HEARTBEAT", "LAST STEP", "RESTARTS", ""):
        table.add_column(heading, no_wrap=heading != "", overflow="fold")
    for row in rows:
        state = row.status if row.status and row.state == State.RUNNING else row.state.lower()
        table.add_row(
            row.name,
            Text(state, style="green" if row.ok else "red"),
            {True: "yes", False: "no", None: "-"}[row.ready],
            str(row.pid or "-"),
            _span(row.uptime_s),
            "-" if row.heartbeat_age_s is None else f"{row.heartbeat_age_s:.1f} s ago",
            _step(row.last_step),
            "-" if row.restarts is None else str(row.restarts),
            row.message,
        )
    return table


def _step(step: LastStep | None) -> str:
    return f"{step.outcome}, {step.duration_s * 1000:.1f} ms" if step else "-"


def _span(seconds: int) -> str:
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def _write_json(value: Any) -> None:
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")
