"""How long one call takes while ranges are reserved, and whether ids keep coming without a database."""

from __future__ import annotations

import gc
import math
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, repeat
from typing import Any

from bench.ids_host import IdHost, Lengths
from bench.machine import spread
from wbd.errors import IdsUnavailable
from wbd.ids import IdClient
from wbd.stack.mariadb import MariaDB

PER_S = 1_000_000
OUTAGE_PER_S = 5_000

_COLUMNS = ("p50_us", "p99_us", "p99.9_us", "max_us")
_INTERVAL_NS = 10**9 // PER_S
# The longest acceptable call. Shorter durations are counted per nanosecond, so that their number does not change the
# memory used.
_STALL_NS = 1_000_000
# How often the taker of the outage wakes; each time it takes, one by one, the ids that are due.
_WAKE_S = 0.01


@dataclass(slots=True)
class Durations:
    """The durations of many calls, exact to the nanosecond."""

    counts: array[int] = field(default_factory=lambda: array("Q", bytes(8 * _STALL_NS)))
    stalls: list[int] = field(default_factory=list)

    def percentiles_us(self, percents: Sequence[float]) -> list[float]:
        """Return the durations at some ranks."""
        ranks_below = list(accumulate(self.counts))
        stalls = sorted(self.stalls)
        durations = []
        for percent in percents:
            rank = math.ceil((ranks_below[-1] + len(stalls)) * percent / 100)
            short = rank <= ranks_below[-1]
            durations.append((bisect_left(ranks_below, rank) if short else stalls[rank - ranks_below[-1] - 1]) / 1000)
        return durations


def paced(call: Callable[[str], str], argument: str, count: int) -> tuple[Durations, int, float]:
    """
    Call *count* times, one call each microsecond, and time every call by itself.

    A call that becomes due during a longer one starts as soon as that one ends.

    Returns:
        The durations, the number of ids that were not above the one before, and the seconds of all calls.
    """
    durations = Durations()
    counts, stalls, clock = durations.counts, durations.stalls, time.perf_counter_ns
    last, digits, repeated = "", 0, 0
    gc.collect()
    started_ns = due_ns = clock()
    for _ in repeat(None, count):
        while (begun_ns := clock()) < due_ns:
            pass
        text = call(argument)
        took_ns = clock() - begun_ns
        if took_ns < _STALL_NS:
            counts[took_ns] += 1
        else:
            stalls.append(took_ns)
        # The longer text is the larger number; of equally long ones the greater text. int() would take too long here.
        if text <= last or len(text) != digits:
            repeated += len(text) <= digits
            digits = len(text)
        last = text
        due_ns += _INTERVAL_NS
    return durations, repeated, (clock() - started_ns) / 1e9


def measure(host: IdHost, runs: int, lengths: Lengths) -> dict[str, Any]:
    """
    Time single calls of next() at a million a second while ranges are reserved.

    In turns with it, the same loop calls a C method that shares nothing, as a control: the cost of the clock and of the
    machine's other processes is in both.
    """
    count = lengths.paced_ids
    with IdClient(host.socket) as client:
        host.grow(client)
        calls = {"next": (client.next, "item"), "control": ("QQ10000000".removeprefix, "Q")}
        runs_of: dict[str, list[dict[str, Any]]] = {name: [] for name in calls}
        refills = 0
        for turn in range(runs):
            for name, (call, argument) in list(calls.items())[:: 1 if turn % 2 == 0 else -1]:
                refills_before, taken_before = host.supply().refills, host.taken()
                durations, repeated, took_s = paced(call, argument, count)
                if name == "next":
                    assert not repeated, f"{repeated} ids were not above the one before"
                    host.check_taken(taken_before, count)
                    refills += host.supply().refills - refills_before
                runs_of[name].append(
                    {
                        **dict(zip(_COLUMNS, durations.percentiles_us((50, 99, 99.9, 100)), strict=True)),
                        "calls_over_1_ms": len(durations.stalls),
                        "calls_per_s": count / took_s,
                    }
                )
        assert client.attached, client.attach_problem
    columns: dict[str, dict[str, Any]] = {
        name: {column: spread([row[column] for row in rows]) for column in rows[0]} for name, rows in runs_of.items()
    }
    for name, rows in runs_of.items():
        columns[name]["calls_over_1_ms_in_all"] = sum(row["calls_over_1_ms"] for row in rows)
    return {
        "calls_a_run": count,
        "aimed_at_per_s": PER_S,
        "refills_in_all": refills,
        "range_size_max": host.settings.id_range_size_max,
        "control": "the same loop around a C method that returns a new text; the clock's cost is in both",
        "rows": columns,
    }


def outage(host: IdHost, mariadb: MariaDB, lengths: Lengths) -> dict[str, Any]:
    """
    Take ids at 5,000 a second from a table that was empty, for some seconds with the database and then without it.

    The database is killed, not stopped. *host* serves no other client.
    """
    with IdClient(host.socket, timeout_s=1.0) as client:
        before = host.taken()
        last, warm = _take_for(client, 0, lengths.warm_up_s)
        assert client.attached, client.attach_problem
        supply = host.supply()
        mariadb.kill()
        last, cut_off = _take_for(client, last, lengths.outage_s)
        status = host.server().database
        assert status != "ok", "the worker did not notice that the database was gone"
        host.check_taken(before, warm.ids + cut_off.ids)
    return {
        "ids_per_s": OUTAGE_PER_S,
        "warm_up_s": lengths.warm_up_s,
        "range_size_then": supply.range_size,
        "ids_left_then": supply.left,
        "seconds_without_database": lengths.outage_s,
        "ids": cut_off.ids,
        "errors": cut_off.errors,
        "longest_call_ms": cut_off.longest_ms,
        "database_status": status,
    }


@dataclass(slots=True)
class _Taken:
    ids: int = 0
    errors: int = 0
    longest_ms: float = 0.0


def _take_for(client: IdClient, last: int, seconds: float) -> tuple[int, _Taken]:
    """Take ids at an even rate, each above *last*; return the last one and the counts."""
    taken = _Taken()
    begun = time.perf_counter()
    for due in range(1, round(seconds * OUTAGE_PER_S) + 1):
        while time.perf_counter() < begun + due / OUTAGE_PER_S:
            time.sleep(_WAKE_S)
        called = time.perf_counter()
        try:
            number = int(client.next("item").removeprefix("Q"))
        except IdsUnavailable:
            taken.errors += 1
        else:
            assert number > last, f"{number} came after {last}"
            last, taken.ids = number, taken.ids + 1
        taken.longest_ms = max(taken.longest_ms, (time.perf_counter() - called) * 1000)
    return last, taken
