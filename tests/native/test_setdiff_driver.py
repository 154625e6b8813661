"""setdiff.c without Python: under AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.native.conftest import MEMORY, RDF, WRAP, Compile, check

DRIVER = Path(__file__).with_name("setdiff_test.c")
LIMIT = 100
PRIME = 2**61 - 1


@pytest.fixture(scope="module")
def driver(compile_c: Compile) -> Path:
    return compile_c("setdiff_test", [DRIVER, RDF / "setdiff.c"], [*MEMORY, *WRAP, "-pthread"])


def test_random_texts_differ_as_a_slow_comparison_says_and_no_byte_outside_is_read(driver: Path) -> None:
    check(driver, "laws", "3000")


def test_lines_whose_hashes_are_equal_are_told_apart(compile_c: Compile) -> None:
    """All but two bits of every hash are cleared, so that lines meet in four slots."""
    flags = [*MEMORY, *WRAP, "-pthread", "-DSETDIFF_HASH_MASK=UINT64_C(3)"]
    check(compile_c("colliding", [DRIVER, RDF / "setdiff.c"], flags), "laws", "1000")


def test_every_failed_allocation_is_reported_and_leaves_nothing_behind(driver: Path) -> None:
    check(driver, "allocations")


def test_the_limit_of_lines_is_exact(compile_c: Compile) -> None:
    flags = [*MEMORY, *WRAP, "-pthread", f"-DSETDIFF_MAX_LINES=UINT64_C({LIMIT})"]
    check(compile_c("limited", [DRIVER, RDF / "setdiff.c"], flags), "limit")


def test_threads_share_nothing(compile_c: Compile) -> None:
    check(compile_c("threads", [DRIVER, RDF / "setdiff.c"], ["-fsanitize=thread", *WRAP, "-pthread"]), "threads")


def reference_hash(low: int, high: int, line: bytes) -> int:
    """Return the hash as setdiff.c describes it: a polynomial modulo a prime, then the bits spread."""
    point, h = low % PRIME, len(line)
    for start in range(0, len(line), 7):
        h = (h * point + int.from_bytes(line[start : start + 7], "little")) % PRIME
    h = h * point % PRIME ^ high
    h = h * 0x9E3779B97F4A7C15 % 2**64
    h = (h ^ h >> 32) * 0xD6E8FEB86659FD93 % 2**64
    return h ^ h >> 32


SEEDS = [(0, 0), (1, 0), (PRIME - 1, 2**64 - 1), (2**64 - 1, 12345), (0x0123456789ABCDEF, 0xFEDCBA9876543210)]


@pytest.mark.parametrize(("low", "high"), SEEDS)
def test_the_hash_is_the_polynomial_that_the_source_describes(driver: Path, low: int, high: int) -> None:
    lines = [("<http://a.test/é>" * 20).encode()[:size].decode(errors="ignore") for size in range(1, 90)]
    lines += ["\x7f" * size for size in range(1, 90)]
    printed = check(driver, "hash", str(low), str(high), stdin="".join(f"{line}\n" for line in lines))
    assert [int(number) for number in printed.split()] == [reference_hash(low, high, line.encode()) for line in lines]


@pytest.mark.parametrize(("low", "high"), SEEDS[2:])
def test_lines_that_differ_by_a_counter_spread_like_random_ones(driver: Path, low: int, high: int) -> None:
    """4,096 random numbers put 6 to 9 into the fullest of 4,096 places, all but once in a thousand times."""
    lines = "".join(f"<http://www.wikidata.org/entity/Q{i}> <p> <o> .\n" for i in range(10_000, 14_096))
    places = [int(number) % 4096 for number in check(driver, "hash", str(low), str(high), stdin=lines).split()]
    fullest = max(places.count(place) for place in set(places))
    assert fullest <= 12
