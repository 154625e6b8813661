"""The servers and processes of the bench of ids: MariaDB, id workers, Redis and takers, on Unix sockets of one folder.

Everything is started here and ended here, by its process id.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import orjson
import redis

from wbd.engines.mysql import Database
from wbd.errors import ConfigError
from wbd.group import reports
from wbd.id_server.report import IdServerReport
from wbd.ids import IdClient
from wbd.ids.refill import SupplyReport
from wbd.provision import servers
from wbd.runtime import health
from wbd.runtime.report import Report
from wbd.settings.load import load

T = TypeVar("T")

DEADLINE_S = 60.0
# Deadline for a state that is reached already and only has to become visible.
_SEEN_S = 2.0


@dataclass(frozen=True, slots=True)
class Lengths:
    """
    The lengths of all runs.

    rate_s: seconds of one run of one way to get ids.
    sample_ids: ids of each way that are checked one by one; at most 1000 of slow ways.
    requests: of one run of redis-benchmark; five times as many with pipelines, which take about as long.
    paced_ids: calls of one run at an even rate.
    """

    rate_s: float = 1.0
    sample_ids: int = 200_000
    requests: int = 200_000
    paced_ids: int = 10_000_000
    warm_up_s: float = 10.0
    outage_s: float = 60.0


FULL = Lengths()
QUICK = Lengths(rate_s=0.1, sample_ids=10_000, requests=20_000, paced_ids=1_000_000, warm_up_s=2.0, outage_s=5.0)


def wait_until(condition: Callable[[], T], what: str, within_s: float = DEADLINE_S) -> T:
    """Return the first true answer of *condition*. Raises TimeoutError."""
    end_mono_s = time.monotonic() + within_s
    while not (answer := condition()):
        if time.monotonic() > end_mono_s:
            raise TimeoutError(f"not within {within_s:.0f} s: {what}")
        time.sleep(0.01)
    return answer


class IdHost:
    """
    One id worker as a process of its own, on a database of its own, with the settings' defaults.

    Args:
        folder: its state folder, which must not exist yet.
        segment: the file of its ring, on tmpfs as by default.
        engines: environment variables that name the database server.
    """

    def __init__(self, folder: Path, segment: Path, engines: dict[str, str], database: str) -> None:
        folder.mkdir(mode=0o700)
        names = {**engines, "WBD_STATE_DIR": str(folder), "VITESS_DATABASE": database, "IDS_SEGMENT": str(segment)}
        inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith(_SETTINGS)}
        self.settings = load(names).settings
        server = load({**engines, "WBD_STATE_DIR": str(folder)}).settings.database_address()
        admin = Database(server, max_connections=1)
        admin.execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
        admin.close()
        for _ in servers.create_tables(self.settings):
            pass
        self.socket = self.settings.ids_socket_path
        self._log = (folder / "worker.log").open("ab")
        command = [sys.executable, "-m", "wbd.workers.id_generation"]
        self._process = subprocess.Popen(command, env={**inherited, **names}, stdout=self._log, stderr=self._log)
        self._control: IdClient | None = None

    def wait_ready(self) -> None:
        """Wait until the worker serves and has ids of every type."""
        try:
            wait_until(lambda: self._process.poll() is not None or self.report().ready, "the id worker is ready")
            if self._process.poll() is not None:
                raise RuntimeError(f"the id worker ended with exit code {self._process.returncode}")
        except BaseException:
            print(Path(self._log.name).read_text()[-2000:], file=sys.stderr)
            raise
        self._control = IdClient(self.socket, shared_memory=False)

    def report(self) -> Report:
        path = health.socket_path(self.settings.run_dir, "id_generation", self._process.pid)
        return reports.Process("id_generation", self._process.pid, path).report()

    def server(self) -> IdServerReport:
        """Return the id server's part of the report."""
        # On a busy machine one question may go unanswered.
        own = wait_until(lambda: IdServerReport.of(self.report()), "the id worker reports")
        assert own is not None
        return own

    def supply(self) -> SupplyReport:
        """Return the supply of items."""
        return self.server().ids["item"]

    def taken(self) -> int:
        """Return the number of items given out so far, by the position of the ring's cursor."""
        assert self._control is not None
        return int(dict(pair.split("=") for pair in self._control.info()["item"].split(","))["taken"])

    def check_taken(self, before: int, count: int) -> None:
        """
        Raise AssertionError unless the ring gave out exactly *count* ids since it stood at *before*.

        The cursor passes each id once, so takers that got an id twice count more ids than it moved.
        """
        try:
            # A range that is being published is counted a moment before it becomes visible.
            wait_until(lambda: self.taken() - before == count, "takers and ring agree", _SEEN_S)
        except TimeoutError:
            raise AssertionError(f"takers counted {count:,} ids, the ring {self.taken() - before:,}") from None

    def grow(self, client: IdClient) -> int:
        """Take ids at full speed until ranges are as large as they get; return their size."""
        largest = self.settings.id_range_size_max

        def grown() -> bool:
            for _ in range(200):
                client.take("item", 1000)
            return bool(self.supply().range_size >= largest)

        wait_until(grown, f"ranges of {largest:,} ids")
        return largest

    def close(self) -> None:
        """Stop the worker with SIGTERM."""
        if self._control is not None:
            self._control.close()
        end(self._process)
        self._log.close()


class RedisServer:
    """A redis-server that nobody else uses: one Unix socket, no port, nothing on disk."""

    def __init__(self, folder: Path) -> None:
        program = redis_program()
        version = subprocess.run(["redis-server", "--version"], executable=program, capture_output=True, text=True)
        # "Redis server v=7.0.15 sha=..."
        self.version = next(word[2:] for word in version.stdout.split() if word.startswith("v="))
        self.socket = folder / "redis.sock"
        arguments = ["--port", "0", "--unixsocket", str(self.socket), "--save", "", "--appendonly", "no"]
        command = ["redis-server", *arguments, "--dir", str(folder), "--daemonize", "no"]
        self._process = subprocess.Popen(
            command, executable=program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def wait_ready(self) -> None:
        def answers() -> bool:
            try:
                with self.client() as client:
                    return bool(client.ping())
            except redis.ConnectionError:
                return False

        wait_until(answers, "redis-server answers")

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket))

    def close(self) -> None:
        end(self._process)


def redis_program() -> str:
    """
    Return the path of the program that acts as redis-server when it is called by that name.

    Debian's package redis-tools has it as redis-check-rdb: one program, whose name decides what it does. The package
    redis-server would also install a service, which the bench does not need.

    Raises ConfigError.
    """
    program = shutil.which("redis-server") or shutil.which("redis-check-rdb")
    if program is None or shutil.which("redis-benchmark") is None:
        raise ConfigError("redis-server or redis-benchmark not program; install them with: apt-get install redis-tools")
    return program


class TakerProcess:
    """A process of its own that takes ids on order; see bench/ids_taker.py."""

    def __init__(self, socket: Path) -> None:
        command = [sys.executable, "-m", "bench.ids_taker", str(socket)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._orders: IO[bytes] = self._process.stdin
        self._answers: IO[bytes] = self._process.stdout

    def wait_ready(self) -> None:
        self.answer()

    def order(self, *words: object) -> None:
        self._orders.write(" ".join(map(str, words)).encode() + b"\n")
        self._orders.flush()

    def answer(self) -> Any:
        """Wait for the answer to the oldest order. Raises EOFError when the process has ended."""
        line = self._answers.readline()
        if not line:
            raise EOFError("a taker ended; what it said is above")
        return orjson.loads(line)

    def close(self) -> None:
        self._orders.close()
        end(self._process)
        self._answers.close()


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process by SIGTERM, and by SIGKILL when it does not end within the deadline."""
    process.terminate()
    try:
        process.wait(timeout=DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# Prefixes of the caller's settings that would lead the worker to other servers.
_SETTINGS = ("WBD_", "VITESS_", "DATABASE_", "IDS_", "ID_", "KAFKA_", "S3_")
