"""Chains planned in other processes: the same plans, in order, whoever is killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import pytest

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
    labels = {"en": {"language": "en", "value": label}}
    return orjson.dumps({"type": "item", "id": f"Q{number}", "labels": labels, "claims": {}, "lastrevid": 1})


def chain(number: int, *labels: str) -> Chain:
    links = [Link(2 + i, snapshot(number, label), NOW) for i, label in enumerate(labels)]
    return Chain(f"Q{number}", 1, snapshot(number, "before"), links)


@dataclass(frozen=True, slots=True)
class Deadly(ChainPlanner):
    """Dies of one entity, as a process does that the kernel takes the memory from."""

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


def without_time(plans: list[list[Planned]]) -> list[list[tuple[int, int, int, str]]]:
    return [[(each.revision_id, each.added, each.removed, each.reason) for each in chain] for chain in plans]


def test_the_plans_are_those_of_one_process(pool: ManyProcesses) -> None:
    chains = [chain(number, "one", "two") for number in range(1, 60)]
    found = pool.plan_all(chains, LATE)
    assert found == OneProcess(PLANNER).plan_all(chains, LATE)
    assert all(each.messages for plans in found for each in plans)


def test_after_the_deadline_only_the_first_chain_is_planned(pool: ManyProcesses) -> None:
    chains = [chain(number, "one", "two") for number in range(1, 40)]
    for planner in (pool, OneProcess(PLANNER)):
        lengths = [len(plans) for plans in planner.plan_all(chains, time.monotonic() - 1.0)]
        assert lengths == [1] + [0] * 38


def test_a_chain_that_kills_its_process_twice_is_set_aside_and_no_other() -> None:
    pool = ManyProcesses(Deadly(CONTEXT, WRITER), 2)
    try:
        chains = [chain(number, "one", "two") for number in range(1, 40)]
        found = pool.plan_all(chains, LATE)
    finally:
        pool.close()
    expected = OneProcess(PLANNER).plan_all(chains, LATE)
    assert found[:12] + found[13:] == expected[:12] + expected[13:]
    assert without_time(found)[12] == [(2, 0, 0, "r2: the process that diffed it was killed, twice")]


@dataclass(frozen=True, slots=True)
class Unloadable(ChainPlanner):
    """Cannot be loaded by another process, as when the installation is broken."""

    def __reduce__(self) -> Any:
        return _no_such_thing, ()


def _no_such_thing() -> None:
    os._exit(1)


def test_processes_that_do_not_start_are_an_error_and_set_nothing_aside() -> None:
    pool = ManyProcesses(Unloadable(CONTEXT, WRITER), 2)
    with pytest.raises(DiffProcessFailed):
        pool.plan_all([chain(1, "one")], LATE)
    assert pool._children == []


def test_when_a_process_cannot_be_replaced_the_next_call_begins_anew(
    pool: ManyProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    chains = [chain(number, "one", "two") for number in range(1, 60)]
    pool.plan_all(chains, LATE)
    os.kill(pool._children[0].process.pid, signal.SIGKILL)
    monkeypatch.setattr(pool, "_planner", Unloadable(CONTEXT, WRITER))
    with pytest.raises(DiffProcessFailed):
        pool.plan_all(chains, LATE)
    monkeypatch.setattr(pool, "_planner", PLANNER)
    assert pool.plan_all(chains, LATE) == OneProcess(PLANNER).plan_all(chains, LATE)


def test_the_processes_end_with_the_one_they_work_for(pool: ManyProcesses) -> None:
    pool.plan_all([chain(number, "one") for number in range(1, 40)], LATE)
    children = list(pool._children)
    for child in children:
        # As the kernel does with what a killed process had open.
        child.pipe.close()
        child.process.join(10)
    assert [child.process.exitcode for child in children] == [0] * len(children)


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
