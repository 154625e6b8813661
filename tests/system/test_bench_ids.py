"""The bench of ids works from end to end, with runs too short to say anything; what it checks, it catches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bench import ids, ids_figures, ids_rates
from bench.ids_host import IdHost, Lengths, redis_program
from bench.ids_latency import Durations, paced
from tests.conftest import without
from wbd.errors import ConfigError
from wbd.ids import IdClient
from wbd.stack.mariadb import MariaDB

TINY = Lengths(rate_s=0.01, sample_ids=1000, requests=2000, paced_ids=20_000, warm_up_s=0.5, outage_s=0.5)


def test_every_row_gets_figures_that_readme_and_terminal_can_show() -> None:
    if reason := MariaDB.why_missing():
        without(reason)
    try:
        redis_program()
    except ConfigError as error:
        without(str(error))
    result = ids.measure(2, TINY)
    assert {"next", "take_1000", "processes_4", "floor_text", "socket", "redis_py", "mariadb"} <= set(result["rates"])
    for row in result["rates"].values():
        assert row["ids_per_s"]["runs"] == 2 and row["ids_per_s"]["min"] > 0
    assert set(result["redis_benchmark"]["pipelines"]) == {"1", "16", "32"}
    assert result["outage"]["ids"] == 2500 and result["outage"]["errors"] == 0
    assert len(ids_figures.aims(result)) == 6
    for text in (ids_figures.markdown(result), ids_figures.plain(result), ids_figures.svg(result)):
        assert "MariaDB" in text and "redis-py" in text


def test_takers_that_count_more_ids_than_the_ring_gave_are_caught(mariadb: MariaDB, tmp_path: Path) -> None:
    engines = {name.upper(): value for name, value in mariadb.settings().items()}
    host = IdHost(tmp_path / "host", tmp_path / "ring" / "ids", engines, "bench_ids_test")
    try:
        host.wait_ready()
        with IdClient(host.socket) as client:
            before = host.taken()
            client.take("item", 10)
            host.check_taken(before, 10)
            with pytest.raises(AssertionError, match="counted 11 ids, the ring 10"):
                host.check_taken(before, 11)
    finally:
        host.close()


def giving(ids: Sequence[str]) -> Callable[[str], str]:
    """Return what gives these ids one after the other, whichever type is asked for."""
    left = iter(ids)
    return lambda _: next(left)


def test_an_id_that_comes_twice_is_caught() -> None:
    ids_rates.check_increasing([1, 2, 9])
    for numbers in ([1, 2, 2], [1, 3, 2]):
        with pytest.raises(AssertionError, match="came after"):
            ids_rates.check_increasing(numbers)
    for texts, expected in (("Q8 Q9 Q10 Q11 Q100", 0), ("Q9 Q10 Q10 Q9", 2), ("Q99 Q100 Q20 Q20", 2)):
        ids = texts.split()
        _, repeated, _ = paced(giving(ids), "item", len(ids))
        assert repeated == expected, texts


def test_percentiles_are_exact_below_and_above_a_millisecond() -> None:
    durations = Durations()
    for took_ns in range(1, 99):
        durations.counts[took_ns] += 1
    durations.stalls += [3_000_000, 2_000_000]
    assert durations.percentiles_us([50, 98, 99, 100]) == [0.05, 0.098, 2000.0, 3000.0]
