"""Find and end the processes of a stack that live without their supervisord.

They are found through /proc by their own command line or environment, whichever process of the stack was killed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wbd.group.processes import Match, end_processes, find_processes
from wbd.group.supervisord import stop_waits_s
from wbd.settings.state_dir import StateDir
from wbd.stack.engine import Engine
from wbd.stack.kafka import KafkaBroker
from wbd.stack.mariadb import MariaDB
from wbd.stack.mock_kafka import MockKafka


def find_orphans(places: StateDir) -> list[int]:
    """Return the pids of all processes of a stack; they are orphans when no supervisord answers."""
    return sorted({pid for kind in _kinds(places) for pid in find_processes(kind)})


def end_orphans(places: StateDir) -> list[int]:
    """End supervisord, then its children, then engines started without it; return their pids."""
    is_supervisord, is_worker, is_engine = _kinds(places)
    # A supervisord that answers was asked to stop before. Its children are ended below, so it need not wait for them.
    ended = end_processes(is_supervisord, 1.0)
    ended += end_processes(is_worker, max(stop_waits_s(places).values(), default=0))
    ended += end_processes(is_engine, max(engine.stop_s for engine in (MariaDB, KafkaBroker, MockKafka)))
    return ended


def _kinds(places: StateDir) -> tuple[Match, Match, Match]:
    """Return three tests of a process: supervisord, a worker, an engine of this stack, however it was started."""
    url = f"unix://{places.supervisor_socket}"
    engines: list[Engine] = [MariaDB(places.root), KafkaBroker(places.root), MockKafka(places.root)]

    def is_supervisord(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
        return list(arguments[-2:]) == ["-c", str(places.supervisor_conf)]

    def is_engine(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
        return any(engine.is_mine(arguments, environment) for engine in engines)

    def is_worker(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
        # supervisord gives each of its children the address of its own socket.
        return environment.get("SUPERVISOR_SERVER_URL") == url and not is_engine(arguments, environment)

    return is_supervisord, is_worker, is_engine
