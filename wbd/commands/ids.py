"""``wbd ids``: take ids from this host's id server, and show its state."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from typing import Any

import orjson
from rich.table import Table

from wbd.commands.arguments import seconds, whole_number
from wbd.commands.terminal import print_table
from wbd.entity.ids import EntityType
from wbd.errors import IdsUnavailable
from wbd.group.reports import processes, worker_report
from wbd.id_server.report import IdServerReport
from wbd.ids.client import IdClient
from wbd.ids.refill import SupplyReport
from wbd.runtime.clock import iso
from wbd.runtime.report import Report, Status
from wbd.settings.load import load
from wbd.settings.settings import Settings

_TYPES = ", ".join(EntityType)
_NO_WORKER = "no id_generation worker runs on this host; start the group with: wbd up"


def take(args: argparse.Namespace) -> int:
    """Print new ids, one a line."""
    settings = load().settings
    if not processes(settings.run_dir, "id_generation"):
        raise IdsUnavailable(_NO_WORKER)
    left = args.count
    taken: list[str] = []
    try:
        with IdClient(settings.ids_socket_path, timeout_s=settings.ids_wait_s + 5.0) as client:
            while left:
                ids = client.take(args.type, min(left, settings.ids_max_count))
                left -= len(ids)
                if args.json:
                    taken += ids
                else:
                    sys.stdout.write("".join(f"{entity_id}\n" for entity_id in ids))
    finally:
        # Also after an error: the ids printed here are taken.
        if args.json:
            sys.stdout.write(orjson.dumps(taken).decode() + "\n")
    return 0


def status(args: argparse.Namespace) -> int:
    """Print the state of the id server; exit code 1 when it is not ready."""
    report = _serving(load().settings)
    if args.json:
        sys.stdout.write(orjson.dumps(report.to_json(), option=orjson.OPT_INDENT_2).decode() + "\n")
    elif report.status == Status.STOPPED:
        raise IdsUnavailable(_NO_WORKER)
    else:
        _show(report, {})
    return 0 if report.ready else 1


def watch(args: argparse.Namespace) -> int:
    """Print the state of the id server repeatedly, with the ids taken per second since the last time."""
    settings = load().settings
    before: Mapping[str, SupplyReport] = {}
    before_mono_s = 0.0
    turn = 0
    while True:
        report, mono_s = _serving(settings), time.monotonic()
        supplies = _supplies(report)
        rates = _rates(supplies, before, mono_s - before_mono_s)
        if args.json:
            sys.stdout.write(orjson.dumps({**report.to_json(), "rates": rates}).decode() + "\n")
        else:
            if sys.stdout.isatty() and turn:
                sys.stdout.write("\x1b[H\x1b[2J")
            _show(report, rates)
        sys.stdout.flush()
        before, before_mono_s, turn = supplies, mono_s, turn + 1
        if turn == args.times:
            return 0
        time.sleep(args.interval)


def _serving(settings: Settings) -> Report:
    """Return the report of the process that serves; others may stand by beside it."""
    report = worker_report(settings.run_dir, "id_generation")
    for one in report.processes:
        own = IdServerReport.of(one)
        if own is not None and not own.standing_by:
            return one
    return report


def _supplies(report: Report) -> Mapping[str, SupplyReport]:
    own = IdServerReport.of(report)
    return own.ids if own is not None else {}


def _rates(
    now: Mapping[str, SupplyReport], before: Mapping[str, SupplyReport], elapsed_s: float
) -> dict[str, float | None]:
    """Return the ids of each type taken per second since *before*; None where that is unknown."""
    rates: dict[str, float | None] = {}
    for entity_type, supply in now.items():
        taken = supply.taken - before[entity_type].taken if entity_type in before else -1
        rates[entity_type] = round(taken / elapsed_s, 1) if taken >= 0 and elapsed_s > 0 else None
    return rates


def _show(report: Report, rates: Mapping[str, float | None]) -> None:
    own = IdServerReport.of(report)
    state = "ready" if report.ready else "not ready"
    lines = [f"id server {report.status}, {state}; database {own.database if own else 'unknown'}"]
    if own is not None:
        reserved_at = iso(own.last_reservation_at) if own.last_reservation_at else "none yet"
        problem = f" ({own.shared_memory.problem})" if own.shared_memory.problem else ""
        lines += [
            f"clients {own.clients}, waiting {own.clients_waiting}; last reservation {reserved_at}",
            f"ring in {own.shared_memory.segment}{problem}",
        ]
    sys.stdout.write("\n".join(lines) + "\n\n")
    table = Table(box=None, pad_edge=False)
    table.add_column("TYPE")
    for name in ("NEXT", "LEFT", "SUPPLY", "TAKEN", "IDS/S", "RANGE SIZE", "REFILLS", "RACES", "SKIPPED"):
        table.add_column(name, justify="right")
    for entity_type, supply in _supplies(report).items():
        rate = rates.get(entity_type)
        prefix = EntityType(entity_type).prefix
        table.add_row(
            entity_type,
            f"{prefix}{supply.next}" if supply.next else "dry",
            f"{supply.left:,}",
            _lasts(supply.supply_s),
            f"{supply.taken:,}",
            "" if rate is None else f"{rate:,.0f}",
            f"{supply.range_size:,}",
            f"{supply.refills:,}",
            f"{supply.contention + supply.take_contention:,}",
            f"{supply.skipped:,}",
        )
    print_table(table)


def _lasts(supply_s: float | None) -> str:
    """Return how long the remaining ids last, for people."""
    if supply_s is None:
        return "-"
    return f"{supply_s:.0f} s" if supply_s < 600 else f"{supply_s / 60:,.0f} min"


def add_arguments(commands: Any) -> None:
    """Add the parser of ``wbd ids``."""
    parser = commands.add_parser("ids", help="take ids from this host's id server")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    taker = actions.add_parser(
        "take", help="take new ids; each is given once", epilog="examples: wbd ids take item -n 5 | wbd ids take lexeme"
    )
    taker.add_argument("type", choices=[kind.value for kind in EntityType], metavar="TYPE", help=_TYPES)
    taker.add_argument("-n", "--count", type=whole_number(1, 10**9), default=1, help="how many (default 1)")
    taker.add_argument("--json", action="store_true", help="one JSON array")
    taker.set_defaults(run=take)
    shower = actions.add_parser(
        "status", help="show the id server's ranges, counts and supply", epilog="example: wbd ids status --json"
    )
    shower.add_argument("--json", action="store_true", help="the server's report as JSON")
    shower.set_defaults(run=status)
    watcher = actions.add_parser(
        "watch", help="show the status repeatedly, with rates", epilog="example: wbd ids watch --interval 5"
    )
    watcher.add_argument(
        "--interval", type=seconds(0.1, 3600.0), default=1.0, help="seconds between updates (default 1)"
    )
    watcher.add_argument(
        "--times", type=whole_number(1, 10**9), default=None, help="number of updates (default: until Ctrl-C)"
    )
    watcher.add_argument("--json", action="store_true", help="one JSON object a line")
    watcher.set_defaults(run=watch)
