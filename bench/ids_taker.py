"""A process that takes item ids from the ring on order; one of several that run side by side.

    python -m bench.ids_taker SOCKET

Orders come one per line: "take COUNT FILE" takes COUNT ids and writes their numbers into the file, 8 bytes each; "run
START_MONO_NS SECONDS" takes ids for SECONDS from that moment on. The answer is one line of JSON: ids, seconds. The
first line comes without an order, when the process is ready and has taken one id.
"""

from __future__ import annotations

import sys
import time
from array import array
from itertools import repeat
from pathlib import Path

import orjson

from wbd.ids import IdClient

# Calls between two readings of the clock; about 1 ms.
CHUNK = 10_000


def take(client: IdClient, count: int, path: Path) -> tuple[int, float]:
    """Take ids one by one and write their numbers into a file."""
    begun = time.perf_counter()
    ids = [client.next("item") for _ in repeat(None, count)]
    took_s = time.perf_counter() - begun
    path.write_bytes(array("Q", (int(one.removeprefix("Q")) for one in ids)).tobytes())
    return count, took_s


def run(client: IdClient, start_mono_ns: int, seconds: float) -> tuple[int, float]:
    """Take ids one by one, from a moment on at which other processes start, too."""
    next_id, clock = client.next, time.perf_counter
    time.sleep(max(0.0, (start_mono_ns - time.monotonic_ns()) / 1e9))
    count = 0
    begun = clock()
    while (took_s := clock() - begun) < seconds:
        for _ in repeat(None, CHUNK):
            next_id("item")
        count += CHUNK
    return count, took_s


def main() -> int:
    client = IdClient(sys.argv[1])
    client.next("item")
    assert client.attached, client.attach_problem
    answer((1, 0.0))
    for line in sys.stdin:
        order, first, second = line.split()
        answer(take(client, int(first), Path(second)) if order == "take" else run(client, int(first), float(second)))
    return 0


def answer(done: tuple[int, float]) -> None:
    sys.stdout.buffer.write(orjson.dumps(done) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
