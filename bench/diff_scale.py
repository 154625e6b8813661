"""How diffs scale: with the statements of an entity, and with processes; and how fast an entity becomes RDF."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from bench.diff_cases import Case, edited, generated
from bench.diff_rivals import alone, chain, planner, timed_ms
from bench.diff_rivals import rivals as everybody
from bench.machine import spread
from wbd.diff_stream.plan import Chain, Planned
from wbd.diff_stream.pool import ManyProcesses, OneProcess, Planner
from wbd.mapping.context import MappingContext
from wbd.mapping.entity import map_entity
from wbd.rdf.turtle import to_turtle

STATEMENTS = (100, 300, 1_000, 3_000, 10_000, 20_000)
_FOREVER = float("inf")


def with_statements(counts: Sequence[int], runs: int, budget_s: float) -> list[dict[str, Any]]:
    """Time one edit of generated items with these numbers of statements."""
    wbd = everybody()["wbd"]
    context = MappingContext.wikidata()
    cases = {}
    for count in counts:
        entity = generated(count)
        cases[count] = Case(f"{count}", "qualifier", entity["id"], entity, edited(entity, "qualifier"), context)
    took_ms: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(runs):
        for count, case in cases.items():
            took_ms[count].append(timed_ms(wbd, case, budget_s))
    return [
        {
            "statements": count,
            "snapshot_bytes": len(case.snapshots[1]),
            "triples": len(case.lines[1]),
            "ms": spread(took_ms[count]),
        }
        for count, case in cases.items()
    ]


def with_processes(
    cases: Sequence[Case], processes: Sequence[int], runs: int, batch: int, budget_s: float
) -> dict[str, Any]:
    """
    Return diffs a second of batches of *cases* again and again, as a worker with entity_diff_processes computes them.

    Checked: the messages are those of one process, in the same order.
    """
    chains = [chain(case) for case in cases]
    chains = (chains * (batch // len(chains) + 1))[:batch]
    plans = planner(cases[0].context)
    players: dict[int, Planner] = {
        count: OneProcess(plans) if count == 1 else ManyProcesses(plans, count) for count in processes
    }
    rates: dict[int, list[float]] = {count: [] for count in processes}
    try:
        expected = _messages(players[processes[0]].plan_all(chains, _FOREVER))
        for player in players.values():
            assert _messages(player.plan_all(chains, _FOREVER)) == expected, "other processes answer differently"
        for _ in range(runs):
            for count, player in players.items():
                rates[count].append(_rate(player, chains, budget_s))
    finally:
        for player in players.values():
            player.close()
    first = rates[processes[0]]
    return {
        "diffs_a_batch": batch,
        "snapshot_bytes_a_diff": round(statistics.mean(sum(map(len, case.snapshots)) for case in cases)),
        "rows": {
            str(count): {
                "diffs_per_s": spread(measured),
                "times_one": spread([mine / one for mine, one in zip(measured, first, strict=True)]),
            }
            for count, measured in rates.items()
        },
    }


def _messages(plans: list[list[Planned]]) -> list[list[bytes]]:
    return [planned.messages for planned_chain in plans for planned in planned_chain]


def _rate(player: Planner, chains: list[Chain], budget_s: float) -> float:
    done = 0
    with alone():
        begun = time.perf_counter()
        while not done or time.perf_counter() < begun + budget_s:
            done += len(player.plan_all(chains, _FOREVER))
        return done / (time.perf_counter() - begun)


def mapping(cases: Sequence[Case], runs: int, budget_s: float) -> dict[str, Any]:
    """Return triples a second of complete entities, one of each size: mapped, and mapped and written as Turtle."""
    steps: dict[str, Callable[[Case], Any]] = {
        "mapped": lambda case: map_entity(case.new, case.context),
        "turtle": lambda case: to_turtle(sorted(map_entity(case.new, case.context)), case.context.vocabulary),
    }
    rates: dict[tuple[str, str], list[float]] = {(case.size, step): [] for case in cases for step in steps}
    for _ in range(runs):
        for case in cases:
            for step, run in steps.items():
                triples = 0
                with alone():
                    begun = time.perf_counter()
                    while not triples or time.perf_counter() < begun + budget_s:
                        run(case)
                        triples += len(case.lines[1])
                    took_s = time.perf_counter() - begun
                rates[case.size, step].append(triples / took_s)
    return {
        case.size: {
            "triples": len(case.lines[1]),
            **{f"{step}_per_s": spread(rates[case.size, step]) for step in steps},
        }
        for case in cases
    }
