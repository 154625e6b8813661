"""One process that takes ids as fast as it can, and writes down the ids of each call before the next call.

Reads:   the id server, the ring of its host
Writes:  one file per process, whose lock shows that its writer lives; one line per call: its ids, or "!" if it got
         none, with "@" in front when the client was attached to the ring
Repeats: harmless; every process has a file of its own

Run as a program by its path, with its Options as JSON. A line without its end was cut off by a kill and does not count.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import random
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wbd.ids import IdClient

# The largest call and the longest block; the losses that a kill may cause follow from them.
TAKE_MAX = 100
BLOCK = 20
_TYPES = ("item", "lexeme", "property", "entityschema")
_WEIGHTS = (70, 15, 10, 5)
_PREFIXES = {"item": "Q", "property": "P", "lexeme": "L", "entityschema": "E"}
# How often a burst ends in a fork, and how many bursts a child makes.
_FORK_CHANCE = 0.04
_CHILD_BURSTS = 40


@dataclass(frozen=True, slots=True)
class Options:
    """
    The options of one taker.

    native: an extension to use in place of wbd.ids._segment; "" for none.
    pause_s: the longest wait between two bursts of calls.
    """

    socket: str
    file: str
    seed: int
    shared_memory: bool = True
    forks: bool = False
    native: str = ""
    pause_s: float = 0.15
    timeout_s: float = 10.0

    def text(self) -> str:
        return json.dumps(asdict(self))


class _Writer:
    """A file, locked while any process has it open."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def write(self, ids: list[str]) -> None:
        os.write(self._fd, (" ".join(ids) + "\n").encode())

    def close(self) -> None:
        """Close this process' copy; the lock stays with the other's."""
        os.close(self._fd)


class _Stop:
    asked = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


def call(client: IdClient, chance: random.Random) -> list[str]:
    """Make one call of any kind."""
    kind = chance.choices(_TYPES, _WEIGHTS)[0]
    match chance.choices(("next", "next_int", "take", "take_max", "range"), (50, 20, 15, 4, 11))[0]:
        case "next":
            return [client.next(kind)]
        case "next_int":
            return [f"{_PREFIXES[kind]}{client.next_int(kind)}"]
        case "take":
            return client.take(kind, 7)
        case "take_max":
            return client.take(kind, TAKE_MAX)
        case _:
            block = client.range(kind, BLOCK)
            return [f"{_PREFIXES[kind]}{number}" for number in range(block.first, block.last + 1)]


def run(options: Options) -> None:
    """Take until asked to stop."""
    if options.native:
        _load_native(Path(options.native))
    from wbd.errors import IdsUnavailable
    from wbd.ids import IdClient

    parent = os.getppid()
    stop = _Stop()
    signal.signal(signal.SIGTERM, stop)
    chance = random.Random(options.seed)
    writer = _Writer(Path(options.file))
    client = IdClient(options.socket, timeout_s=options.timeout_s, shared_memory=options.shared_memory)
    children = 0
    bursts = -1
    # Ids taken after the chaos has ended are read by nobody; a child is bounded anyway.
    while not stop.asked and bursts != 0 and (bursts > 0 or os.getppid() == parent):
        bursts -= 1
        for _ in range(chance.randint(1, 40)):
            if stop.asked:
                break
            try:
                writer.write(["@"] * client.attached + call(client, chance))
            except IdsUnavailable:
                writer.write(["!"])
        # Two cores must be enough for all takers, so each pauses.
        time.sleep(chance.uniform(0, options.pause_s))
        if options.forks and bursts < 0 and not _has_child() and chance.random() < _FORK_CHANCE:
            children += 1
            of_child = _Writer(Path(f"{options.file}-c{children}"))
            seed = chance.getrandbits(32)
            if os.fork() == 0:
                # The child goes on with its parent's client: same ring, same inherited connection.
                writer.close()
                writer, chance, bursts = of_child, random.Random(seed), _CHILD_BURSTS
            else:
                of_child.close()
    os._exit(0)


def _has_child() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return False


def _load_native(path: Path) -> None:
    """Make *path* the extension that wbd.ids will import."""
    spec = importlib.util.spec_from_file_location("wbd.ids._segment", path)
    assert spec is not None and spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules["wbd.ids._segment"] = module


if __name__ == "__main__":
    run(Options(**json.loads(sys.argv[1])))
