"""Ids per second, with one row for each way to get them; each way is checked, then all are timed in turns."""

from __future__ import annotations

import tempfile
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count, pairwise, repeat
from pathlib import Path
from typing import Any

import mysql.connector
import redis
from redis.utils import HIREDIS_AVAILABLE

from bench.ids_host import IdHost, Lengths, RedisServer, TakerProcess
from bench.machine import spread
from wbd.ids import IdClient

# The way to which the others are compared.
YARDSTICK = "redis_py"

# Wikibase's own table and statement, with its key; Wikibase reads the id from the reply as lastrowid does.
_COUNTERS = """CREATE TABLE wb_id_counters (
    id_value INT UNSIGNED NOT NULL, id_type VARBINARY(32) NOT NULL, PRIMARY KEY (id_type)) ENGINE=InnoDB"""
_UPDATE = "UPDATE wb_id_counters SET id_value = LAST_INSERT_ID(id_value + 1) WHERE id_type = 'wikibase-item'"

# Processes of one row start together, this long after the order.
_START_NS = 50_000_000


@dataclass(frozen=True)
class Way:
    """
    A way to get ids.

    Attributes:
        sample: takes the given number of ids and returns their numbers, for the check; None where no ids are taken.
        run: takes ids for the given seconds, and returns the number of ids and the seconds it took.
        given: returns how many ids ring, server or table have given out so far; None where none of them is involved.
    """

    key: str
    label: str
    sample: Callable[[int], list[int]] | None
    run: Callable[[float], tuple[int, float]]
    given: Callable[[], int] | None = None


def timed(chunk: Callable[[], object], ids: int) -> Callable[[float], tuple[int, float]]:
    """Return a function that runs *chunk*, which takes *ids* ids, until the time is over."""

    def run(seconds: float) -> tuple[int, float]:
        clock = time.perf_counter
        done = 0
        begun = clock()
        while (took_s := clock() - begun) < seconds:
            chunk()
            done += ids
        return done, took_s

    return run


def calls(call: Callable[[Any], object], argument: object, times: int) -> Callable[[], None]:
    """Return a function that makes *times* calls with one argument, in the cheapest loop of Python."""

    def chunk() -> None:
        for _ in repeat(None, times):
            call(argument)

    return chunk


def shared_memory(client: IdClient, host: IdHost) -> list[Way]:
    """Return the ways of one process that has mapped the ring."""

    def blocks(size: int) -> Way:
        def chunk() -> None:
            for _ in repeat(None, 20_000 // size):
                client.take("item", size)

        def sample(wanted: int) -> list[int]:
            return [int(one[1:]) for _ in range(wanted // size) for one in client.take("item", size)]

        label = f'wbd, shared memory: `take("item", {size})`'
        return Way(f"take_{size}", label, sample, timed(chunk, 20_000 // size * size), host.taken)

    def texts(wanted: int) -> list[int]:
        return [int(client.next("item").removeprefix("Q")) for _ in range(wanted)]

    def numbers(wanted: int) -> list[int]:
        return [client.next_int("item") for _ in range(wanted)]

    chunk = 20_000
    return [
        Way(
            "next",
            'wbd, shared memory: `next("item")`',
            texts,
            timed(calls(client.next, "item", chunk), chunk),
            host.taken,
        ),
        Way(
            "next_int",
            'wbd, shared memory: `next_int("item")`',
            numbers,
            timed(calls(client.next_int, "item", chunk), chunk),
            host.taken,
        ),
        blocks(100),
        blocks(1000),
    ]


def processes(takers: list[TakerProcess], host: IdHost, folder: Path) -> list[Way]:
    """Return the ways of two and of four processes at once; *takers* are four."""

    def of(number: int) -> Way:
        mine = takers[:number]

        def sample(wanted: int) -> list[int]:
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                paths = [Path(scratch) / str(place) for place in range(number)]
                for taker, path in zip(mine, paths, strict=True):
                    taker.order("take", wanted, path)
                numbers: list[int] = []
                for taker, path in zip(mine, paths, strict=True):
                    taker.answer()
                    of_one = array("Q", path.read_bytes())
                    check_increasing(of_one)
                    numbers += of_one
            # The ids of each process increase; all together they are in no order.
            return sorted(numbers)

        def run(seconds: float) -> tuple[int, float]:
            start_mono_ns = time.monotonic_ns() + _START_NS
            for taker in mine:
                taker.order("run", start_mono_ns, seconds)
            answers = [taker.answer() for taker in mine]
            # They ran side by side, and each stopped when it read the clock first after the time was over.
            return sum(done for done, _ in answers), sum(took_s for _, took_s in answers) / number

        return Way(f"processes_{number}", f'wbd, shared memory: `next("item")`, {number} processes', sample, run)

    def with_given(way: Way) -> Way:
        return Way(way.key, way.label, way.sample, way.run, host.taken)

    return [with_given(of(2)), with_given(of(4))]


def floors() -> list[Way]:
    """Return calls that share nothing: the cost of a call, a new number and a new text in Python alone."""
    step = count(10_000_000).__next__
    # A C method of one argument that returns a new text as long as an id: next("item") without the ring.
    new_text = "QQ10000000".removeprefix
    number = count(10_000_000)

    def ints() -> None:
        for _ in repeat(None, 20_000):
            step()

    def formatted() -> None:
        for _ in repeat(None, 20_000):
            f"Q{next(number)}"

    return [
        Way(
            "floor_text", "floor: a C method that returns a new text", None, timed(calls(new_text, "Q", 20_000), 20_000)
        ),
        Way("floor_int", "floor: `itertools.count().__next__()`", None, timed(ints, 20_000)),
        Way("floor_format", 'floor: `f"Q{next(counter)}"`, shared with nobody', None, timed(formatted, 20_000)),
    ]


def over_socket(client: IdClient, host: IdHost) -> list[Way]:
    """Return IdClient without the ring, and redis-py, which does not know it."""
    theirs = redis.Redis(unix_socket_path=str(host.socket))

    def sample(wanted: int) -> list[int]:
        return [int(client.next("item").removeprefix("Q")) for _ in range(wanted)]

    def incr(wanted: int) -> list[int]:
        return [int(theirs.incr("item")) for _ in range(wanted)]

    return [
        Way("socket", 'wbd, socket: `next("item")`', sample, timed(calls(client.next, "item", 200), 200), host.taken),
        Way(
            "socket_redis_py",
            "wbd, socket: redis-py `incr`",
            incr,
            timed(calls(theirs.incr, "item", 200), 200),
            host.taken,
        ),
    ]


def redis_py(server: RedisServer) -> list[Way]:
    """Return redis-py with its C parser, with one INCR per round trip and with a hundred."""
    assert HIREDIS_AVAILABLE, "redis-py would parse in Python, which is no fair rival"
    client = server.client()
    client.set("item", 0)

    def given() -> int:
        return int(client.get("item") or 0)

    def sample(wanted: int) -> list[int]:
        return [int(client.incr("item")) for _ in range(wanted)]

    def pipelined() -> list[int]:
        with client.pipeline(transaction=False) as pipeline:
            for _ in repeat(None, 100):
                pipeline.incr("item")
            return [int(one) for one in pipeline.execute()]

    def pipelined_sample(wanted: int) -> list[int]:
        return [one for _ in range(wanted // 100) for one in pipelined()]

    return [
        Way(YARDSTICK, "redis-server: redis-py `incr`", sample, timed(calls(client.incr, "item", 200), 200), given),
        Way("redis_py_100", "redis-server: redis-py, pipelines of 100", pipelined_sample, timed(pipelined, 100), given),
    ]


@contextmanager
def update_an_id(host: IdHost) -> Iterator[list[Way]]:
    """Yield the way that Wikibase takes: one row of MariaDB, updated and committed for each id."""
    address = host.settings.database_address()
    connection: Any = mysql.connector.connect(
        unix_socket=address.unix_socket,
        user=address.user,
        database=address.database,
        collation="utf8mb4_general_ci",
        autocommit=True,
    )
    cursor = connection.cursor()
    cursor.execute(_COUNTERS)
    cursor.execute("INSERT INTO wb_id_counters VALUES (0, 'wikibase-item')")

    def sample(wanted: int) -> list[int]:
        numbers = []
        for _ in range(wanted):
            cursor.execute(_UPDATE)
            numbers.append(int(cursor.lastrowid))
        return numbers

    def given() -> int:
        cursor.execute("SELECT id_value FROM wb_id_counters WHERE id_type = 'wikibase-item'")
        return int(cursor.fetchall()[0][0])

    label = "MariaDB: one committed update an id, as Wikibase does"
    yield [Way("mariadb", label, sample, timed(lambda: cursor.execute(_UPDATE), 1), given)]
    connection.close()


def check_increasing(numbers: list[int] | array[int]) -> None:
    """Raise AssertionError unless each number is above the one before, so that no two are the same."""
    for before, after in pairwise(numbers):
        assert before < after, f"{after} came after {before}"


def agree(way: Way, before: int, done: int, host: IdHost) -> None:
    """Raise AssertionError unless the giver of the ids has given as many as were counted."""
    assert way.given is not None
    if way.given == host.taken:
        host.check_taken(before, done)
    else:
        given = way.given() - before
        assert given == done, f"{way.label}: {done:,} counted, {given:,} given"


def check(way: Way, wanted: int, host: IdHost) -> int:
    """Take a sample and check each of its ids; return how many there were."""
    if way.sample is None or way.given is None:
        return 0
    before = way.given()
    numbers = way.sample(wanted)
    check_increasing(numbers)
    agree(way, before, len(numbers), host)
    return len(numbers)


def measure(host: IdHost, server: RedisServer, folder: Path, runs: int, lengths: Lengths) -> dict[str, dict[str, Any]]:
    """Check every way, then time all of them in turns; ids a second."""
    with ExitStack() as stack:
        client = stack.enter_context(IdClient(host.socket))
        socket_client = stack.enter_context(IdClient(host.socket, shared_memory=False))
        takers = []
        for _ in range(4):
            takers.append(TakerProcess(host.socket))
            stack.callback(takers[-1].close)
        for taker in takers:
            taker.wait_ready()
        ways = [
            *shared_memory(client, host),
            *processes(takers, host, folder),
            *floors(),
            *over_socket(socket_client, host),
            *redis_py(server),
            *stack.enter_context(update_an_id(host)),
        ]
        host.grow(client)
        assert client.attached, client.attach_problem
        checked = {}
        for way in ways:
            wanted = min(1000, lengths.sample_ids) if way.key in _SLOW else lengths.sample_ids
            checked[way.key] = check(way, wanted, host)
        assert not socket_client.attached
        rates: dict[str, list[float]] = {way.key: [] for way in ways}
        for turn in range(runs):
            # In alternating order, so that no way always runs after the same other one.
            for way in ways if turn % 2 == 0 else reversed(ways):
                before = way.given() if way.given else 0
                done, took_s = way.run(lengths.rate_s)
                if way.given:
                    agree(way, before, done, host)
                rates[way.key].append(done / took_s)
        assert client.attached, client.attach_problem
    return {
        way.key: {
            "label": way.label,
            "ids_per_s": spread(rates[way.key]),
            "times_redis_py": spread([a / b for a, b in zip(rates[way.key], rates[YARDSTICK], strict=True)]),
            "seconds_a_run": lengths.rate_s,
            "ids_looked_at_before": checked[way.key],
        }
        for way in ways
    }


_SLOW = frozenset({"mariadb", "socket", "socket_redis_py", YARDSTICK})
