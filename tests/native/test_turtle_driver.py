"""turtle.c without Python, under AddressSanitizer and UndefinedBehaviorSanitizer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.native.conftest import MEMORY, RDF, WRAP, Compile, check

DRIVER = Path(__file__).with_name("turtle_test.c")


@pytest.fixture(scope="module")
def driver(compile_c: Compile) -> Path:
    return compile_c("turtle_test", [DRIVER, RDF / "turtle.c"], [*MEMORY, *WRAP])


def test_changed_lines_are_read_and_written_within_their_ends(driver: Path) -> None:
    check(driver, "mutations", "100000")


def test_every_failed_allocation_is_reported_and_leaves_nothing_behind(driver: Path) -> None:
    check(driver, "allocations")
