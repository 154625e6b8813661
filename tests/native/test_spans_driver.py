"""spans.c without Python, under AddressSanitizer and UndefinedBehaviorSanitizer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.native.conftest import DIFF, MEMORY, WRAP, Compile, check

DRIVER = Path(__file__).with_name("spans_test.c")


@pytest.fixture(scope="module")
def driver(compile_c: Compile) -> Path:
    return compile_c("spans_test", [DRIVER, DIFF / "spans.c"], [*MEMORY, *WRAP])


def test_changed_snapshots_are_read_within_their_ends(driver: Path) -> None:
    check(driver, "mutations", "30000")


def test_every_failed_allocation_is_reported_and_leaves_nothing_behind(driver: Path) -> None:
    check(driver, "allocations")
