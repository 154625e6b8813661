"""The one place that waits for an engine, on a clock that the test sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from tests.build.clock import SetClock
from wbd.errors import BrokerUnavailable, DependencyUnavailable
from wbd.stack.engine import Engine


class SlowEngine(Engine):
    """Answers after *answers_after_s* seconds of the clock."""

    name: ClassVar[str] = "slow"
    unavailable: ClassVar[type[DependencyUnavailable]] = BrokerUnavailable
    start_s: ClassVar[float] = 30.0

    def __init__(self, state_dir: Path, clock: SetClock, answers_after_s: float) -> None:
        super().__init__(state_dir)
        self.clock = clock
        self.answers_after_s = answers_after_s

    def prepare(self) -> None: ...

    def command(self) -> list[str]:
        return []

    def ping(self, timeout_s: float) -> str:
        if self.clock.elapsed_s < self.answers_after_s:
            raise BrokerUnavailable("not yet")
        return "Slow 1.0"

    def settings(self) -> dict[str, str]:
        return {}

    def is_mine(self, arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
        return False


def test_an_engine_is_waited_for_until_it_answers(tmp_path: Path) -> None:
    clock = SetClock()
    assert SlowEngine(tmp_path, clock, 25.0).wait_ready(lambda: None, clock=clock) == "Slow 1.0"
    assert clock.elapsed_s == pytest.approx(25.0, abs=0.021)


def test_an_engine_that_does_not_answer_in_time_is_an_error_with_the_end_of_its_log(tmp_path: Path) -> None:
    clock = SetClock()
    engine = SlowEngine(tmp_path, clock, 1000.0)
    engine.log_path.parent.mkdir()
    engine.log_path.write_text("earlier run\nthis run\n")
    with pytest.raises(BrokerUnavailable) as caught:
        engine.wait_ready(lambda: None, log_bytes=len("earlier run\n"), clock=clock)
    first, *lines = str(caught.value).splitlines()
    assert first.startswith("embedded slow: no answer after 30 s (not yet); last lines of ")
    assert lines == ["    this run"]
    assert clock.elapsed_s == pytest.approx(30.0, abs=0.021)


def test_an_engine_whose_process_ended_is_not_waited_for(tmp_path: Path) -> None:
    clock = SetClock()
    engine = SlowEngine(tmp_path, clock, 1000.0)
    with pytest.raises(BrokerUnavailable, match="embedded slow: ended with exit code 1"):
        engine.wait_ready(lambda: "ended with exit code 1" if clock.elapsed_s > 2 else None, clock=clock)
    assert clock.elapsed_s == pytest.approx(2.0, abs=0.041)
