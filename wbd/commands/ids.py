"""``wbd ids``: take ids from this host's id server, and see what it has."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import orjson
from rich.table import Table

from wbd.commands.arguments import seconds, whole_number
from wbd.commands.terminal import print_table
from wbd.entity.ids import EntityType
from wbd.errors import IdsUnavailable
from wbd.group.reports import processes, worker_health
from wbd.ids.client import IdClient
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
        # Also when the rest could not be had: these are taken.
        if args.json:
            sys.stdout.write(orjson.dumps(taken).decode() + "\n")
    return 0


def status(args: argparse.Namespace) -> int:
    """Print what the id server has; exit code 1 when it is not ready."""
    found = _serving(load().settings)
    if args.json:
        sys.stdout.write(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() + "\n")
    elif found.get("status") == "stopped":
        raise IdsUnavailable(_NO_WORKER)
    else:
        _show(found, None, 0.0)
    return 0 if found.get("ready") else 1


def watch(args: argparse.Namespace) -> int:
    """Print what the id server has again and again, with the ids taken a second in between."""
    settings = load().settings
    before: dict[str, Any] | None = None
    seen_mono_s = 0.0
    turn = 0
    while True:
        found, mono_s = _serving(settings), time.monotonic()
        if args.json:
            sys.stdout.write(
                orjson.dumps({**found, "rates": _rates(found, before, mono_s - seen_mono_s)}).decode() + "\n"
            )
        else:
            if sys.stdout.isatty() and turn:
                sys.stdout.write("\x1b[H\x1b[2J")
            _show(found, before, mono_s - seen_mono_s)
        sys.stdout.flush()
        before, seen_mono_s, turn = found, mono_s, turn + 1
        if turn == args.times:
            return 0
        time.sleep(args.interval)


def _serving(settings: Settings) -> dict[str, Any]:
    """Return the health of the process that serves; another may stand by beside it."""
    found = worker_health(settings.run_dir, "id_generation")
    return next((one for one in found.get("processes", []) if one.get("standing_by") is False), found)


def _rates(found: dict[str, Any], before: dict[str, Any] | None, elapsed_s: float) -> dict[str, float | None]:
    """Return the ids of each type taken a second since *before*; None where that cannot be told."""
    rates: dict[str, float | None] = {}
    for entity_type, ids in found.get("ids", {}).items():
        then = (before or {}).get("ids", {}).get(entity_type)
        taken = ids["taken"] - then["taken"] if then else -1
        rates[entity_type] = round(taken / elapsed_s, 1) if taken >= 0 and elapsed_s > 0 else None
    return rates


def _show(found: dict[str, Any], before: dict[str, Any] | None, elapsed_s: float) -> None:
    rates = _rates(found, before, elapsed_s)
    shared = found.get("shared_memory", {})
    state = "ready" if found.get("ready") else "not ready"
    lines = [
        f"id server {found.get('status', 'unknown')}, {state}; database {found.get('database', 'unknown')}",
        f"clients {found.get('clients', 0)}, waiting {found.get('clients_waiting', 0)}; "
        f"last reservation {found.get('last_reservation_at') or 'none yet'}",
        f"ring in {shared.get('segment', 'unknown')}" + (f" ({shared['problem']})" if shared.get("problem") else ""),
    ]
    sys.stdout.write("\n".join(lines) + "\n\n")
    table = Table(box=None, pad_edge=False)
    table.add_column("TYPE")
    for name in ("NEXT", "LEFT", "SUPPLY", "TAKEN", "IDS/S", "RANGE SIZE", "REFILLS", "RACES", "SKIPPED"):
        table.add_column(name, justify="right")
    for entity_type, ids in found.get("ids", {}).items():
        rate = rates[entity_type]
        prefix = EntityType(entity_type).prefix
        table.add_row(
            entity_type,
            f"{prefix}{ids['next']}" if ids["next"] else "dry",
            f"{ids['left']:,}",
            _lasts(ids["supply_s"]),
            f"{ids['taken']:,}",
            "" if rate is None else f"{rate:,.0f}",
            f"{ids['range_size']:,}",
            f"{ids['refills']:,}",
            f"{ids['contention'] + ids['take_contention']:,}",
            f"{ids['skipped']:,}",
        )
    print_table(table)


def _lasts(supply_s: float | None) -> str:
    """Return how long the ids left last, for people."""
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
        "status", help="what the id server has: ranges, counts, supply", epilog="example: wbd ids status --json"
    )
    shower.add_argument("--json", action="store_true", help="the server's health, as JSON")
    shower.set_defaults(run=status)
    watcher = actions.add_parser(
        "watch", help="status again and again, with rates", epilog="example: wbd ids watch --interval 5"
    )
    watcher.add_argument(
        "--interval", type=seconds(0.1, 3600.0), default=1.0, help="seconds between two looks (default 1)"
    )
    watcher.add_argument(
        "--times", type=whole_number(1, 10**9), default=None, help="end after so many looks (default: Ctrl-C)"
    )
    watcher.add_argument("--json", action="store_true", help="one JSON object a line")
    watcher.set_defaults(run=watch)
