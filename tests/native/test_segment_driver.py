"""segment*.c without Python: takers that sleep at the wrong moment, damage, and threads, under the sanitizers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.native.conftest import IDS, MEMORY, Compile, check, run

HERE = Path(__file__).parent
# The drivers include the other two files, to put pauses into them.
LAYOUT = IDS / "segment_layout.c"
# The programs' exit code when an id came twice.
DUPLICATE = 3
FAULT = "-DSEGMENT_FAULT_NO_GENERATION"


@pytest.fixture(scope="module")
def driver(compile_c: Compile) -> Path:
    return compile_c("segment_test", [HERE / "segment_test.c", LAYOUT], ["-pthread", *MEMORY])


def stress(compile_c: Compile, name: str, *flags: str) -> Path:
    return compile_c(name, [HERE / "segment_stress.c", LAYOUT], ["-pthread", *flags])


def test_a_taker_that_sleeps_anywhere_while_others_go_on_gets_what_nobody_has(driver: Path) -> None:
    check(driver, "sleepers")


def test_a_low_mark_is_told_once_by_whoever_comes_first_even_before_it_is_armed(driver: Path) -> None:
    check(driver, "marks")


def test_a_lane_ends_after_its_last_sequence_and_never_wraps(driver: Path) -> None:
    check(driver, "exhausted")


def test_no_damage_makes_a_function_leave_the_memory_or_return_what_is_no_id(driver: Path) -> None:
    check(driver, "corrupt", "20000")


@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_threads_get_every_id_once_and_in_order(compile_c: Compile, seed: str) -> None:
    check(stress(compile_c, "stress_memory", *MEMORY), seed, "400")
    check(stress(compile_c, "stress_fast", "-O2"), seed, "400")


@pytest.mark.parametrize("seed", ["1", "2"])
def test_threads_race_for_atomics_only(compile_c: Compile, seed: str) -> None:
    check(stress(compile_c, "stress_threads", "-fsanitize=thread"), seed, "300")


def test_without_the_generation_a_sleeper_is_caught_with_an_id_of_somebody_else(compile_c: Compile) -> None:
    program = compile_c("sleepers_fault", [HERE / "segment_test.c", LAYOUT], ["-pthread", FAULT])
    assert "duplicate: id" in check(program, "sleepers", code=DUPLICATE)


def test_without_the_generation_the_threads_are_caught_with_an_id_twice(compile_c: Compile) -> None:
    """In one run of twenty the fault breaks the cursor before a duplicate occurs, so there may be more than one run."""
    program = stress(compile_c, "stress_fault", FAULT)
    assert any(run([str(program), str(seed), "400"]).returncode == DUPLICATE for seed in range(10))
