"""The proof of the ids, in bounded form: real workers, takers and a real MariaDB, killed and brought back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.chaos import ids_native
from tests.chaos.ids import Setup, run
from tests.conftest import without
from wbd.stack.mariadb import MariaDB

pytestmark = pytest.mark.usefixtures("engines")


@pytest.fixture
def engines() -> None:
    if reason := MariaDB.why_missing():
        without(reason)
    if ids_native.compiler() is None:
        without("no C compiler")


def test_no_id_comes_twice_and_no_more_is_lost_than_is_promised_whoever_dies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = ids_native.build(tmp_path, "slow", ids_native.SLOW)
    report = run(Setup(kills=50, seed=3, natives=("", str(slow))), tmp_path)
    assert not report.verdict.problems, report.as_text()
    assert report.verdict.duplicates == 0 and report.kills == 50
    assert report.verdict.ring_calls > report.verdict.calls / 2, "most takers took from shared memory"
    with capsys.disabled():
        print(f"\n{report.summary()}")
    shutil.rmtree(tmp_path / "db")


def test_takers_that_leave_out_the_generation_are_caught(tmp_path: Path) -> None:
    faulty = ids_native.build(tmp_path, "faulty", ids_native.FAULTY)
    # Ranges so small that they end under takers, which all take by the ring.
    setup = Setup(kills=4, seed=1, sizes=((10, 10),), workers=(2,), takers=6, natives=(str(faulty),), pause_s=0.02)
    report = run(setup, tmp_path)
    assert report.verdict.duplicates > 0
    assert any("duplicates, such as" in problem for problem in report.verdict.problems)
    shutil.rmtree(tmp_path / "db")
