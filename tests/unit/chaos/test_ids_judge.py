"""The judge of a chaos run finds planted duplicates, losses, and everything else that must not occur."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.chaos.ids_deeds import KILLS, plan
from tests.chaos.ids_judge import Allowance, Move, Verdict, Written, judge, read_written, reserved_ranges
from wbd.ids import EntityType, IdRange

ITEM = EntityType.ITEM
RESERVED = {ITEM: [(1, 100), (101, 200)]}


def written(name: str, *numbers: int) -> Written:
    return Written(name, name.rpartition("-")[0], {one: list(numbers) if one is ITEM else [] for one in EntityType})


def verdict(*takers: Written, allowance: Allowance | None = None) -> Verdict:
    return judge(takers, RESERVED, allowance or Allowance())


def test_a_run_without_loss_or_repeat_has_no_problems() -> None:
    judged = verdict(written("A-0-1", *range(1, 200, 2)), written("A-1-1", *range(2, 201, 2)))
    assert judged.problems == [] and (judged.taken, judged.duplicates, judged.lost, judged.bound) == (200, 0, 0, 0)


def test_a_planted_duplicate_is_caught_and_said_by_whom() -> None:
    judged = verdict(written("A-0-1", *range(1, 101)), written("B-1-1", *range(100, 201)))
    assert judged.duplicates == 1
    assert judged.problems == ["item: 1 duplicates, such as 100 (A-0-1, B-1-1)"]


def test_a_planted_loss_is_caught_unless_something_allows_for_it() -> None:
    taker = written("A-0-1", *range(1, 51), *range(91, 201))
    assert verdict(taker).problems == ["40 ids lost beyond the bound of 0"]
    assert verdict(taker, allowance=Allowance(calls=1)).problems == []
    assert verdict(taker, allowance=Allowance(ranges=1)).problems, "a range in use was in a ring"
    assert verdict(taker, allowance=Allowance(gap=39)).problems == ["1 ids lost beyond the bound of 39"]
    assert verdict(taker, allowance=Allowance(lost_rings=[IdRange(ITEM, 40, 95)])).problems == []
    assert verdict(taker, allowance=Allowance(lost_rings=[IdRange(EntityType.LEXEME, 40, 95)])).problems
    assert verdict(taker, allowance=Allowance(left_rings=[IdRange(ITEM, 40, 95)])).problems, (
        "it is explained, not allowed"
    )


def test_a_range_that_nobody_saw_is_allowed_for_each_killed_worker_once() -> None:
    taker = written("A-0-1", *range(1, 101))
    assert verdict(taker).problems == ["100 ids lost beyond the bound of 0"]
    assert verdict(taker, allowance=Allowance(ranges=1)).problems == []
    judged = verdict(allowance=Allowance(ranges=1))
    assert judged.types[ITEM].unpublished == [100, 100]
    assert judged.problems == ["100 ids lost beyond the bound of 100"]


def test_the_end_of_a_range_that_is_too_short_for_a_block_is_no_loss_but_a_longer_one_is() -> None:
    assert verdict(written("A-0-1", *range(1, 82), *range(101, 201))).problems == []
    assert verdict(written("A-0-1", *range(1, 81), *range(101, 201))).problems
    assert verdict(written("A-0-1", *range(1, 60), *range(70, 201))).problems, "not the end"


def test_an_id_that_was_not_reserved_is_caught() -> None:
    assert verdict(written("A-0-1", *range(1, 202))).problems == ["item: 1 ids that were not reserved: 201 (A-0-1)"]


def test_ids_of_one_place_increase_over_its_processes_but_for_what_is_left_in_a_lost_ring() -> None:
    first, second = written("A-0-0001", *range(51, 201)), written("A-0-0002", *range(1, 51))
    judged = verdict(first, second)
    assert judged.disorder == 50 and "A-0-0002 item 1 after 200" in judged.problems[0]
    assert verdict(first, second, allowance=Allowance(lost_rings=[IdRange(ITEM, 1, 50)])).problems == []
    assert verdict(second, first).problems == []


def test_what_was_given_back_is_not_reserved_any_more() -> None:
    moves = [
        Move(ITEM, 1, 101, 1, 100),
        Move(ITEM, 101, 201, 101, 200),
        Move(ITEM, 201, 151, 151, 200),
        Move(ITEM, 151, 91, 91, 150),
        Move(ITEM, 91, 191, 91, 190),
    ]
    assert reserved_ranges(moves)[ITEM] == [(1, 90), (91, 190)]
    assert reserved_ranges(moves[:4])[ITEM] == [(1, 90)]


def test_a_line_that_a_kill_cut_off_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "taken-A-3-0017"
    path.write_text("@ Q1 Q2\n!\nL7\n@ Q3 Q123")
    file = read_written(path)
    assert (file.name, file.place) == ("A-3-0017", "A-3")
    assert file.ids[ITEM] == [1, 2] and file.ids[EntityType.LEXEME] == [7]
    assert (file.calls, file.ring_calls, file.unavailable) == (3, 1, 1)
    child = tmp_path / "taken-A-3-0017-c2"
    child.write_text("")
    assert read_written(child).place == "A-3-0017-c2"


def test_a_plan_is_the_same_for_the_same_seed_and_has_every_kind_of_kill() -> None:
    steps = plan(50, 7)
    assert steps == plan(50, 7) != plan(50, 8)
    kinds = Counter(step.name for step in steps if step.name in KILLS)
    assert sum(kinds.values()) == 50 and set(kinds) == set(KILLS)
    assert kinds["taker"] > kinds["serving"] > kinds["standby"]
