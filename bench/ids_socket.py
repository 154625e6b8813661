"""redis-benchmark, unchanged, against the id server and against redis-server, in turns."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

from bench.ids_host import IdHost, Lengths, RedisServer
from bench.machine import spread

CLIENTS = 50
PIPELINES = (1, 16, 32)

_RATE = re.compile(r"([\d.]+) requests per second")


def one_run(socket: Path, requests: int, pipeline: int) -> float:
    """
    Return the requests per second that redis-benchmark prints.

    Raises AssertionError when it prints an error.
    """
    command = ["redis-benchmark", "-s", str(socket), "-n", str(requests), "-c", str(CLIENTS), "-P", str(pipeline)]
    done = subprocess.run([*command, "-q", "INCR", "item"], capture_output=True, text=True, timeout=600)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "rror" not in said, said[-500:]
    # Its progress comes first, on the same line.
    return float(_RATE.findall(said)[-1])


def measure(host: IdHost, server: RedisServer, rounds: int, lengths: Lengths) -> dict[str, Any]:
    """Time INCR at each length of pipeline; return requests per second, and their ratio to redis-server's."""
    redis = server.client()

    def wbd_run(requests: int, pipeline: int) -> float:
        before = host.taken()
        rate = one_run(host.socket, requests, pipeline)
        given = host.taken() - before
        # Its clients send whole pipelines, so the last ones may bring a few more than asked for.
        assert requests <= given <= requests + CLIENTS * pipeline, f"{given:,} ids for {requests:,} requests"
        return rate

    def redis_run(requests: int, pipeline: int) -> float:
        redis.set("item", 0)
        rate = one_run(server.socket, requests, pipeline)
        given = int(redis.get("item") or 0)
        assert requests <= given <= requests + CLIENTS * pipeline, f"counter {given:,} after {requests:,} requests"
        return rate

    pipelines = {}
    for pipeline in PIPELINES:
        requests = lengths.requests * (1 if pipeline == 1 else 5)
        ours: list[float] = []
        theirs: list[float] = []
        for turn in range(rounds):
            for rates, run in [(ours, wbd_run), (theirs, redis_run)][:: 1 if turn % 2 == 0 else -1]:
                rates.append(run(requests, pipeline))
        pipelines[str(pipeline)] = {
            "requests": requests,
            "wbd_per_s": spread(ours),
            "redis_per_s": spread(theirs),
            "ratio": spread([a / b for a, b in zip(ours, theirs, strict=True)]),
        }
    redis.close()
    command = f"redis-benchmark -s SOCKET -n REQUESTS -c {CLIENTS} -P PIPELINE -q INCR item"
    return {"command": command, "error_replies": 0, "pipelines": pipelines}
