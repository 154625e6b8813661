"""The processes of a chaos run: a private MariaDB, id workers on two hosts, takers.

Reads:   nothing outside its folders
Writes:  a folder for state, logs and takers' files, another one for the rings
Repeats: harmless; each run has folders of its own

A host is a state folder, a socket and a ring; hosts share the database and nothing else.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from tests.build.tables import make_tables
from tests.chaos.ids_judge import Move, Written, read_written
from tests.chaos.ids_taker import Options
from wbd.engines.mysql import Database
from wbd.errors import SegmentUnusable, WbdError
from wbd.ids import EntityType, IdClient, IdRange
from wbd.ids.attachment import Attachment, open_segment
from wbd.ids.pool import IdPool
from wbd.ids.ranges import RangeTable
from wbd.ids.segment import LAYOUT_VERSION
from wbd.settings.kinds import DatabaseAddress
from wbd.stack.mariadb import MariaDB

DEADLINE_S = 60.0
_TAKER = Path(__file__).with_name("ids_taker.py")
_ROOT = Path(__file__).parents[2]
# Every change of next_id, in the transaction that made it.
_RECORD = (
    "CREATE TABLE chaos_moves (n BIGINT AUTO_INCREMENT PRIMARY KEY, entity_type VARCHAR(32), old_next BIGINT,"
    " new_next BIGINT, first BIGINT, last BIGINT, at TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6))",
    "CREATE TRIGGER chaos_record AFTER UPDATE ON id_ranges FOR EACH ROW"
    " INSERT INTO chaos_moves (entity_type, old_next, new_next, first, last) VALUES"
    " (NEW.entity_type, OLD.next_id, NEW.next_id, NEW.current_range_start, NEW.current_range_end)",
)


class ChaosStuck(AssertionError):
    """Something that has to happen did not happen in time."""


def wait_until(condition: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Return when *condition* holds. Raises ChaosStuck."""
    end_mono_s = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end_mono_s:
            raise ChaosStuck(f"not within {deadline_s:.0f} s: {what}")
        time.sleep(0.01)


@dataclass(slots=True)
class Process:
    """A child process and the file of its output."""

    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.popen.pid

    def check_alive(self) -> None:
        """Raise ChaosStuck if it has ended by itself."""
        if (code := self.popen.poll()) is not None:
            raise ChaosStuck(f"{self.log.name}: ended by itself with {code}: {self.log.read_text()[-2000:]}")

    def end(self, number: signal.Signals) -> None:
        """Send a signal and wait for the end."""
        self.popen.send_signal(number)
        try:
            self.popen.wait(timeout=DEADLINE_S)
        except subprocess.TimeoutExpired:
            raise ChaosStuck(f"{self.log.name} did not end after {number.name}") from None


@dataclass(slots=True)
class Host:
    """The id workers of one host."""

    name: str
    folder: Path
    segment: Path
    size_min: int
    size_max: int
    worker_count: int
    workers: list[Process] = field(default_factory=list)
    started: int = 0

    @property
    def socket(self) -> Path:
        return self.folder / "run" / "ids.sock"

    def start_worker(self, address: DatabaseAddress) -> None:
        self.started += 1
        log = self.folder / f"worker-{self.name}-{self.started}.log"
        environment = {
            **_environment(),
            "WBD_STATE_DIR": str(self.folder),
            "IDS_SEGMENT": str(self.segment),
            "IDS_WAIT_S": "2",
            "ID_RANGE_SIZE_MIN": str(self.size_min),
            "ID_RANGE_SIZE_MAX": str(self.size_max),
            "VITESS_UNIX_SOCKET": str(address.unix_socket),
            "VITESS_USER": address.user,
            "VITESS_DATABASE": address.database,
        }
        self.workers.append(_start([sys.executable, "-m", "wbd.workers.id_generation"], environment, log))

    def serving_pid(self) -> int | None:
        """Return the pid of the worker that answers on the socket, None when there is none."""
        try:
            with IdClient(self.socket, timeout_s=0.5, shared_memory=False) as client:
                return int(client.info()["process_id"])
        except WbdError:
            return None

    def pick_worker(self, *, serving: bool) -> Process | None:
        """Return the worker that serves, or else another one; None when there is none."""
        pid = self.serving_pid()
        return next((one for one in self.workers if (one.pid == pid) == serving), None)

    def is_attachable(self) -> bool:
        """Tell whether the server names the ring that is at the host's path."""
        try:
            with socket.socket(socket.AF_UNIX) as link:
                link.settimeout(2.0)
                link.connect(str(self.socket))
                link.sendall(b"*1\r\n$6\r\nATTACH\r\n")
                answer = link.recv(4096)
            return b"\r\n%d\r\n" % self.segment.stat().st_ino in answer
        except OSError:
            return False

    def ring(self) -> IdPool | None:
        """Map the ring at the host's path; None when there is none."""
        try:
            status = self.segment.stat()
            where = Attachment(str(self.segment), status.st_dev, status.st_ino, LAYOUT_VERSION)
            return IdPool(open_segment(where, os.geteuid()))
        except (OSError, SegmentUnusable):
            return None


def left_in(ring: IdPool | None) -> list[IdRange]:
    """Return the ids in a ring; none when it is damaged, which only a planted fault can do."""
    try:
        return [one for lane in ring.states() for one in lane.ranges] if ring is not None else []
    except SegmentUnusable:
        return []


@dataclass(slots=True)
class Taker:
    """A place for a taker: the process that has it now, and how to start the next."""

    name: str
    host: Host
    options: Options
    folder: Path
    process: Process | None = None
    started: int = 0
    bytes_before: int = 0
    # Process groups by the name of the first process's file; its children are in its group.
    groups: dict[str, int] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return self.folder / f"taken-{self.name}-{self.started:04}"

    def start(self) -> None:
        self.bytes_before = self.bytes_written()
        self.started += 1
        options = replace(self.options, file=str(self.path), seed=self.options.seed + self.started)
        log = self.path.with_suffix(".log")
        self.process = _start([sys.executable, str(_TAKER), options.text()], _environment(), log, own_group=True)
        self.groups[self.path.name] = self.process.pid

    def bytes_written(self) -> int:
        """Return what the processes of this place have written, children apart."""
        with suppress(OSError):
            return self.bytes_before + self.path.stat().st_size
        return self.bytes_before

    def has_written_more_than(self, before: int) -> bool:
        """Tell whether the place has taken more ids. Raises ChaosStuck when its process has ended by itself."""
        if self.process is not None:
            self.process.check_alive()
        return self.bytes_written() > before


class Group:
    """All of them."""

    def __init__(self, folder: Path, hosts: list[Host], takers: list[Taker]) -> None:
        self.folder = folder
        self.database = MariaDB(folder / "db")
        self.hosts = hosts
        self.takers = takers

    def start(self) -> None:
        """Start everything, and wait until every taker has taken an id."""
        self.database.start()
        with self._db() as db:
            make_tables(db)
            for statement in _RECORD:
                db.execute(statement)
        for host in self.hosts:
            host.folder.mkdir(mode=0o700, exist_ok=True)
            host.segment.parent.mkdir(mode=0o700, exist_ok=True)
            self.fill(host)
        for taker in self.takers:
            taker.start()
        self.wait_for_all()

    @property
    def address(self) -> DatabaseAddress:
        server = self.database
        return DatabaseAddress(database=server.database, user=server.user, unix_socket=server.unix_socket)

    def fill(self, host: Host) -> None:
        """Start the workers that are missing on a host."""
        while len(host.workers) < host.worker_count:
            host.start_worker(self.address)

    def start_database(self) -> None:
        if self.database.pid is None:
            self.database.start()

    def bytes_written(self) -> int:
        return sum(taker.bytes_written() for taker in self.takers)

    def wait_for_all(self) -> None:
        """Wait until every taker has taken an id after this call. Raises ChaosStuck."""
        before = {taker.name: taker.bytes_written() for taker in self.takers}
        for taker in self.takers:
            wait_until(partial(taker.has_written_more_than, before[taker.name]), f"taker {taker.name} takes ids")

    def check_alive(self) -> None:
        """Raise ChaosStuck when a worker or a taker has ended by itself."""
        for one in [*(w for host in self.hosts for w in host.workers), *(t.process for t in self.takers if t.process)]:
            one.check_alive()

    def finish_takers(self) -> None:
        """Let every taker and its children end after their current call. Raises ChaosStuck."""
        self._signal_takers(signal.SIGTERM)
        wait_until(lambda: not any(True for _ in self._locked()), "takers and their children end")
        for taker in self.takers:
            if taker.process is not None and taker.process.popen.wait(timeout=DEADLINE_S):
                raise ChaosStuck(f"{taker.process.log.name}: {taker.process.log.read_text()[-2000:]}")

    def written(self) -> list[Written]:
        return [read_written(path) for path in self._files()]

    def moves(self) -> list[Move]:
        """Return the record of reservations. Raises AssertionError if it does not lead to the table's state."""
        with self._db() as db:
            rows = db.query("SELECT entity_type, old_next, new_next, first, last FROM chaos_moves ORDER BY n")
            moves = [Move(EntityType(name), *map(int, numbers)) for name, *numbers in rows]
            now = {move.entity_type: move.new_next for move in moves}
            for row in RangeTable(db).read():
                assert now.get(row.entity_type, 1) == row.next_id, row
        return moves

    def close(self) -> None:
        """End everything that was started, also after a start that failed."""
        self._signal_takers(signal.SIGKILL)
        for one in [*(w for host in self.hosts for w in host.workers), *(t.process for t in self.takers if t.process)]:
            if one.popen.poll() is None:
                one.popen.kill()
                one.popen.wait()
        self.database.stop()

    def _db(self) -> closing[Database]:
        return closing(Database(self.address, max_connections=1))

    def _files(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("taken-*") if path.suffix != ".log")

    def _locked(self) -> Iterator[Path]:
        """Yield the files whose writers live."""
        for path in self._files():
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                yield path
            finally:
                os.close(fd)

    def _signal_takers(self, number: signal.Signals) -> None:
        """Send a signal to every taker that has its file, and to its children."""
        groups = {name: pid for taker in self.takers for name, pid in taker.groups.items()}
        for name in {path.name.partition("-c")[0] for path in self._locked()}:
            # The group exists while one of its processes does, and no other group gets its number.
            with suppress(ProcessLookupError):
                os.killpg(groups[name], number)


def _environment() -> dict[str, str]:
    """Return this process' environment without settings of wbd."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.upper().startswith(("WBD_", "VITESS_", "ID"))
    }
    return {**inherited, "PYTHONPATH": str(_ROOT)}


def _start(command: list[str], environment: dict[str, str], log: Path, *, own_group: bool = False) -> Process:
    with log.open("ab") as file:
        popen = subprocess.Popen(command, env=environment, stdout=file, stderr=file, start_new_session=own_group)
    return Process(popen, log)
