"""Processes share a ring: every id comes once, whichever is killed at whatever instruction. None of them leaks."""

from __future__ import annotations

import fcntl
import functools
import gc
import os
import random
import signal
import sys
import time
import tracemalloc
from array import array
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.native.test_segment import make, native
from tests.native.test_segment_file import BOOT, File, new_file
from wbd.errors import SegmentUnusable
from wbd.ids.segment import ALL, BLOCK, SEGMENT_BYTES, UP_TO

DEADLINE_S = 60.0
TAKE_MAX = 20
RANGE_MAX = 200
KILLS = 200
TAKERS = 4


@pytest.fixture
def file() -> Iterator[File]:
    with new_file() as one:
        yield one


def fork(work: Callable[[], None]) -> int:
    """Run *work* in a child, which ends with 0 when it returns."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def wait(pid: int, code: int = 0) -> None:
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == code


def write_down(fd: int, pieces: list[tuple[int, int]]) -> None:
    for first, last in pieces:
        os.write(fd, array("Q", range(first, last + 1)).tobytes())


def read_back(path: Path) -> array[int]:
    data = path.read_bytes()
    return array("Q", data[: len(data) // 8 * 8])


def test_children_share_with_their_parent_and_among_each_other(file: File, tmp_path: Path) -> None:
    """Half of them inherit the mapping, half open the file; all take until the ring is closed."""
    publisher = file.make()

    def take(path: Path, anew: bool) -> None:
        ring = file.open() if anew else publisher
        fd = os.open(path, os.O_WRONLY | os.O_CREAT)
        while not ring.closed:
            number = ring.take_one(0)
            write_down(fd, [(number, number)] if number else [])
            write_down(fd, ring.take(0, 7, UP_TO))
            write_down(fd, ring.take(0, 5, ALL))

    paths = [tmp_path / str(i) for i in range(TAKERS)]
    children = [fork(functools.partial(take, path, bool(i % 2))) for i, path in enumerate(paths)]
    ends = time.monotonic() + DEADLINE_S
    first = 1
    try:
        while first < 30_000 or publisher.look(0)["left"]:
            assert time.monotonic() < ends, "the children have stopped taking"
            if first < 30_000 and publisher.publish(0, first, first + 99, 50):
                first += 100
            else:
                publisher.wait(publisher.wait(0, 0.0), 0.01)
    finally:
        publisher.close()
        for child in children:
            wait(child)
    taken = [read_back(path) for path in paths]
    assert sorted(number for one in taken for number in one) == list(range(1, first))
    assert all(list(one) == sorted(one) for one in taken)


def test_a_taker_in_another_process_wakes_the_publisher(file: File) -> None:
    publisher = file.make()
    publisher.publish(0, 1, 10, 5)
    child = fork(lambda: file.open().take(0, 6, ALL) and None)
    assert publisher.wait(0, DEADLINE_S) == 1
    wait(child)


class Cast:
    """Four takers and a publisher, each a process that is killed and replaced; each writes down what it did."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        self.folder = folder
        self.born = 0
        self.pids: dict[str, int] = {}
        self.logs: dict[str, Path] = {}
        self.names = [*(f"taker{i}" for i in range(TAKERS)), "publisher"]

    def start(self, name: str) -> None:
        self.born += 1
        log = self.folder / f"{name}-{self.born}"
        log.touch()
        seed = self.born
        self.logs[name] = log
        self.pids[name] = fork(lambda: (self.publish if name == "publisher" else self.take)(log, random.Random(seed)))

    def kill(self, name: str) -> None:
        os.kill(self.pids[name], signal.SIGKILL)
        wait(self.pids.pop(name), -signal.SIGKILL)

    def has_written(self, name: str) -> int:
        return self.logs[name].stat().st_size // 8

    def take(self, log: Path, chance: random.Random) -> None:
        fd = os.open(self.path, os.O_RDWR)
        ring = native().Segment(fd, BOOT)
        out = os.open(log, os.O_WRONLY | os.O_APPEND)
        while True:
            if chance.random() < 0.5:
                number = ring.take_one(0)
                pieces = [(number, number)] if number else []
            else:
                pieces = ring.take(0, chance.randint(1, TAKE_MAX), chance.choice((ALL, UP_TO)))
            write_down(out, pieces)
            if not pieces:
                os.sched_yield()

    def publish(self, log: Path, chance: random.Random) -> None:
        """Write first and last down before they are published; the ring shows whether they were."""
        fd = os.open(self.path, os.O_RDWR)
        fcntl.flock(fd, fcntl.LOCK_EX)
        ring = native().Segment(fd, BOOT, publish=True)
        out = os.open(log, os.O_WRONLY | os.O_APPEND)
        first = ring.look(0)["high"] + 1
        while True:
            last = first + chance.randrange(RANGE_MAX)
            os.write(out, array("Q", (first, last)).tobytes())
            seen = ring.wait(0, 0.0)
            while not ring.publish(0, first, last, chance.randint(0, 2 * RANGE_MAX)):
                seen = ring.wait(seen, 0.001)
            ring.check()
            first = last + 1


def test_nobody_gets_an_id_twice_when_takers_and_publishers_are_killed(tmp_path: Path) -> None:
    """A killed taker loses the ids of one call, a killed publisher those of one range."""
    path = tmp_path / "segment"
    with path.open("w+b") as file:
        file.truncate(SEGMENT_BYTES)
        native().Segment(file.fileno(), BOOT, create=True)
    cast = Cast(path, tmp_path)
    chance = random.Random(3)
    ends = time.monotonic() + DEADLINE_S
    killed = dict.fromkeys(cast.names, 0)
    try:
        for name in cast.names:
            cast.start(name)
        for _ in range(KILLS):
            name = chance.choice([*cast.names, "publisher"])
            enough = chance.randint(1, 1500)
            while cast.has_written(name) < enough:
                assert time.monotonic() < ends, f"{name} has stopped"
                time.sleep(0.0002)
            cast.kill(name)
            killed[name] += 1
            cast.start(name)
    finally:
        publishers = killed.pop("publisher") + 1
        for name in list(cast.pids):
            cast.kill(name)
    taken = sorted(number for log in tmp_path.glob("taker*") for number in read_back(log))
    duplicates = [number for number, following in pairwise(taken) if number == following]
    assert duplicates == []
    with path.open("r+b") as file:
        lane = native().Segment(file.fileno(), BOOT, publish=True).look(0)
    left = [number for first, last in lane["pieces"] for number in range(first, last + 1)]
    assert not taken or not left or taken[-1] < left[0]
    wanted: set[int] = set()
    for log in tmp_path.glob("publisher*"):
        bounds = read_back(log)
        for first, last in zip(bounds[::2], bounds[1::2], strict=True):
            wanted.update(range(first, last + 1))
    lost = wanted - set(taken) - set(left)
    assert wanted >= set(taken) and wanted >= set(left)
    assert sum(number > lane["high"] for number in lost) <= RANGE_MAX
    takers = sum(killed.values()) + TAKERS
    assert publishers > 5 and takers > 20
    assert len(lost) <= takers * TAKE_MAX + publishers * RANGE_MAX


def test_results_errors_and_arguments_are_let_go() -> None:
    class Holder(native().Taker):  # type: ignore[misc]
        pass

    ring = make("c")
    kinds = "item", "property", "lexeme", "entityschema"
    high = 0

    def calls() -> None:
        nonlocal high
        for _ in range(500):
            ring.publish(0, high + 1, high + 40, 3)
            high += 40
            ring.take_one(0)
            ring.take(0, 3, ALL)
            ring.take(0, 30, BLOCK)
            ring.skip_to(0, high)
            ring.look(0)
            ring.drain(0)
            calls: tuple[Callable[[], object], ...] = (
                lambda: ring.take_one(9),
                lambda: ring.take(0, 0, ALL),
                lambda: ring.take("0", 1, ALL),
            )
            for wrong in calls:
                with pytest.raises((IndexError, ValueError, TypeError)):
                    wrong()
            with new_file() as file, pytest.raises(SegmentUnusable):
                file.open()
            taker: Any = Holder(kinds)
            taker._attach(ring, 5)
            taker.itself = taker

    calls()
    gc.collect()
    objects, references = len(gc.get_objects()), sys.getrefcount(ring)
    mappings = Path("/proc/self/maps").read_text().count("\n")
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    calls()
    gc.collect()
    grown_bytes = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    # One byte per call would be 500 bytes, one mapping per call 500 lines.
    assert grown_bytes < 500
    assert len(gc.get_objects()) - objects < 100
    assert sys.getrefcount(ring) == references
    assert Path("/proc/self/maps").read_text().count("\n") - mappings < 100


def test_a_ring_is_unmapped_with_its_last_user(file: File) -> None:
    ring = file.make()
    taker = native().Taker(("item", "property", "lexeme", "entityschema"))
    taker._attach(ring, 5)
    ring.publish(0, 7, 8, 0)
    del ring
    gc.collect()
    assert taker.next("item") == "Q7"
    taker._attach(None, 0)
    assert taker._attached is None
