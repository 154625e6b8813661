"""How many ids a second does a process get, how long does one take, and what happens without a database?

Rates, all in turns, every process and server private and in this run:
  next, next_int, take      one process that has mapped the ring; then two and four processes beside each other
  floor                     plain calls that share nothing: what any id costs in Python
  socket                    IdClient without the ring, and redis-py, against the id server
  redis-py                  INCR against redis-server over a Unix socket, C parser; one a round trip, and a hundred
  MariaDB                   one committed update of one row for each id, as Wikibase does

Then redis-benchmark against the id server and against redis-server in turns; single calls at a million a second while
ranges are reserved; and ids at 5,000 a second while the database is dead.

Two checks before a figure counts. In a sample, every id is above the one before in its process, and no id occurs twice.
After each timed run the giver of the ids (ring, server or table) has given exactly as many as the takers counted.

    python -m bench.ids [--runs 5] [--quick] [--json]

The figures go to bench/results/ids.json and from there into docs/benchmarks.md, docs/ids.svg and README.md; --quick
records none.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import mysql.connector
import orjson
import redis

from bench import ids_figures, ids_latency, ids_rates, ids_socket
from bench.ids_host import FULL, QUICK, IdHost, Lengths, RedisServer
from bench.machine import RESULTS, facts
from wbd.errors import WbdError
from wbd.runtime import logs
from wbd.stack.mariadb import MariaDB


def measure(runs: int, lengths: Lengths) -> dict[str, Any]:
    """Start everything, measure, end everything."""
    machine = facts()
    begun = time.perf_counter()
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="wbd-b-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        machine["fdatasync_us"] = fdatasync_us(folder / "probe")
        # The ring's default place is on tmpfs: a file on disk would be written back now and then.
        shm = Path("/dev/shm")
        rings = Path(tempfile.mkdtemp(prefix="wbd-b-", dir=shm if shm.is_dir() else None))
        stack.callback(shutil.rmtree, rings, ignore_errors=True)
        mariadb = MariaDB(folder / "database")
        stack.callback(mariadb.stop)
        engines = {name.upper(): value for name, value in mariadb.start().items()}
        server = RedisServer(folder)
        stack.callback(server.close)
        server.wait_ready()
        with ExitStack() as first:
            host = IdHost(folder / "rates", rings / "rates", engines, "rates")
            first.callback(host.close)
            host.wait_ready()
            rates = ids_rates.measure(host, server, folder, runs, lengths)
            say(f"rates done after {time.perf_counter() - begun:.0f} s")
            benchmark = ids_socket.measure(host, server, 2 * runs, lengths)
            say(f"redis-benchmark done after {time.perf_counter() - begun:.0f} s")
            latency = ids_latency.measure(host, runs, lengths)
            say(f"latency done after {time.perf_counter() - begun:.0f} s")
        database_version = mariadb.ping(timeout_s=1.0)
        # A table of its own, so that its ranges are as small at first as those of any new installation.
        host = IdHost(folder / "outage", rings / "outage", engines, "outage")
        stack.callback(host.close)
        host.wait_ready()
        outage = ids_latency.outage(host, mariadb, lengths)
    return {
        "question": "ids a second, microseconds an id, ids without a database",
        "command": f"python -m bench.ids --runs {runs}" + (" --quick" if lengths is QUICK else ""),
        "rates": rates,
        "redis_benchmark": benchmark,
        "latency": latency,
        "outage": outage,
        "rivals": {
            "redis-server": server.version,
            "redis-py": redis.__version__,
            "database": f"{database_version}, innodb_flush_log_at_trx_commit=1",
            "mysql-connector-python": mysql.connector.__version__,
        },
        "machine": machine,
    }


def fdatasync_us(path: Path) -> float:
    """Return how long the disk takes to confirm a small write, as every committed update must; median of 200."""
    took_us = []
    with path.open("wb", buffering=0) as file:
        for _ in range(200):
            file.write(bytes(512))
            begun = time.perf_counter()
            os.fdatasync(file.fileno())
            took_us.append((time.perf_counter() - begun) * 1e6)
    return round(statistics.median(took_us), 1)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, help="runs of each row, in turns; 5, with --quick 2")
    parser.add_argument("--quick", action="store_true", help="short runs, under a minute in all; records nothing")
    parser.add_argument("--json", action="store_true", help="print the result as JSON instead of the table")
    args = parser.parse_args()
    runs = (2 if args.quick else 5) if args.runs is None else args.runs
    if runs < 1:
        parser.error(f"--runs {runs}: at least 1 is needed")
    # So that all started processes are ended, however this one ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    logs.configure("WARNING", "structured")
    try:
        result = measure(runs, QUICK if args.quick else FULL)
    except WbdError as error:
        say(f"bench.ids: {error}")
        return 1
    data = orjson.dumps(result, option=orjson.OPT_INDENT_2) + b"\n"
    if not args.quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "ids.json").write_bytes(data)
        ids_figures.write(result)
    print(data.decode() if args.json else ids_figures.plain(result), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
