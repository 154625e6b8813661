"""Chains have the same plans, in the same order, in other processes, also when one of those is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from tests.build.wikibase import labelled_item
from wbd.diff_stream.messages import EventWriter
from wbd.diff_stream.plan import Chain, ChainPlanner, Link, Planned
from wbd.diff_stream.pool import ManyProcesses, OneProcess
from wbd.errors import DiffProcessFailed
from wbd.mapping.context import MappingContext

CONTEXT = MappingContext()
WRITER = EventWriter(CONTEXT.vocabulary, "entity_diff", "turtle", "2.0.0", "stream", "www.wikidata.org", 10**7)
PLANNER = ChainPlanner(CONTEXT, WRITER)
LATE = float("inf")
NOW = datetime(2026, 1, 1)


def snapshot(number: int, label: str) -> bytes:
    return orjson.dumps(labelled_item(number, label, claims={}, lastrevid=1))


def chain(number: int, *labels: str) -> Chain:
    links = [Link(2 + i, snapshot(number, label), NOW) for i, label in enumerate(labels)]
    return Chain(f"Q{number}", 1, snapshot(number, "before"), links)


@dataclass(frozen=True, slots=True)
class Deadly(ChainPlanner):
    """Dies while it plans one entity, like a process that the kernel kills for its memory."""

    entity_id: str = "Q13"

    def plan(self, chain: Chain, until_mono_s: float = LATE) -> list[Planned]:
        if chain.entity_id == self.entity_id:
            os.kill(os.getpid(), signal.SIGKILL)
        return ChainPlanner.plan(self, chain, until_mono_s)


@pytest.fixture
def pool() -> Iterator[ManyProcesses]:
    made = ManyProcesses(PLANNER, 2)
    yield made
    made.close()


def children() -> list[psutil.Process]:
    """Return the processes that plan for this one."""
    return [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


def without_time(plans: list[list[Planned]]) -> list[list[tuple[int, int, int, str]]]:
    return [[(each.revision_id, each.added, each.removed, each.reason) for each in chain] for chain in plans]


def test_the_plans_are_those_of_one_process(pool: ManyProcesses) -> None:
    chains = [chain(number, "one", "two") for number in range(1, 60)]
    plans = pool.plan_all(chains, LATE)
    assert plans == OneProcess(PLANNER).plan_all(chains, LATE)
    assert all(each.messages for planned in plans for each in planned)


def test_after_the_deadline_only_the_first_chain_is_planned(pool: ManyProcesses) -> None:
    chains = [chain(number, "one", "two") for number in range(1, 40)]
    for planner in (pool, OneProcess(PLANNER)):
        lengths = [len(plans) for plans in planner.plan_all(chains, -1.0)]
        assert lengths == [1] + [0] * 38


def test_a_chain_that_kills_its_process_twice_is_set_aside_and_no_other() -> None:
    pool = ManyProcesses(Deadly(CONTEXT, WRITER), 2)
    try:
        chains = [chain(number, "one", "two") for number in range(1, 40)]
        plans = pool.plan_all(chains, LATE)
    finally:
        pool.close()
    expected = OneProcess(PLANNER).plan_all(chains, LATE)
    assert plans[:12] + plans[13:] == expected[:12] + expected[13:]
    assert without_time(plans)[12] == [(2, 0, 0, "r2: the process that diffed it was killed, twice")]


@dataclass(frozen=True, slots=True)
class Unloadable(ChainPlanner):
    """Cannot be loaded by another process while *broken* exists, as when the installation is broken."""

    broken: Path = Path("/")

    def __reduce__(self) -> Any:
        return _load, (self.context, self.writer, self.broken)


def _load(context: MappingContext, writer: EventWriter, broken: Path) -> ChainPlanner:
    if broken.exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return ChainPlanner(context, writer)


def test_processes_that_do_not_start_are_an_error_and_set_nothing_aside() -> None:
    pool = ManyProcesses(Unloadable(CONTEXT, WRITER), 2)
    with pytest.raises(DiffProcessFailed):
        pool.plan_all([chain(1, "one")], LATE)
    assert children() == []


def test_when_a_process_cannot_be_replaced_the_next_call_begins_anew(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    pool = ManyProcesses(Unloadable(CONTEXT, WRITER, broken), 2)
    chains = [chain(number, "one", "two") for number in range(1, 60)]
    try:
        pool.plan_all(chains, LATE)
        broken.touch()
        children()[0].kill()
        with pytest.raises(DiffProcessFailed):
            pool.plan_all(chains, LATE)
        broken.unlink()
        assert pool.plan_all(chains, LATE) == OneProcess(PLANNER).plan_all(chains, LATE)
    finally:
        pool.close()


def test_the_processes_end_with_the_one_they_work_for() -> None:
    """They end however it ends; here it is killed."""
    code = """
import sys
import psutil
from tests.unit.diff_stream.test_pool import LATE, PLANNER, ManyProcesses, chain
pool = ManyProcesses(PLANNER, 2)
pool.plan_all([chain(number, "one") for number in range(1, 40)], LATE)
print(*(child.pid for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())), flush=True)
sys.stdin.read()
"""
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        try:
            assert owner.stdout is not None
            planners = [psutil.Process(int(pid)) for pid in owner.stdout.readline().split()]
        finally:
            owner.kill()
    assert len(planners) == 2
    _, alive = psutil.wait_procs(planners, timeout=10)
    assert alive == []


def test_a_missing_snapshot_and_a_broken_one_are_set_aside_where_they_stand() -> None:
    links = [
        Link(2, None, NOW, missing="snapshot x missing"),
        Link(3, b"{", NOW),
        Link(4, snapshot(8, "other"), NOW),
        Link(5, snapshot(7, "after"), NOW),
        Link(6, None, NOW),
    ]
    plans = PLANNER.plan(Chain("Q7", 1, snapshot(7, "before"), links))
    assert [bool(each.reason) for each in plans] == [True, True, True, False, False]
    assert [each.missing for each in plans] == [True, False, False, False, False]
    operations = [orjson.loads(each.messages[0])["operation"] for each in plans[3:]]
    assert operations == ["diff", "delete"]
