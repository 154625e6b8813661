"""Figures of diffs in docs/benchmarks.md and in the chart are the recorded ones."""

from __future__ import annotations

import copy
from xml.etree import ElementTree

import pytest

from bench import diff_figures
from bench.diff_figures import SECTION
from bench.figures import PAGE, took


def test_the_figures_on_the_page_are_the_recorded_ones() -> None:
    shown = SECTION.section(PAGE.read_text())
    assert shown == diff_figures.markdown(SECTION.recorded()), "run: python -m bench.diff_figures"


def test_the_chart_shows_the_recorded_figures_and_is_whole() -> None:
    text = SECTION.picture.read_text()
    assert text == diff_figures.svg(SECTION.recorded()), "run: python -m bench.diff_figures"
    ElementTree.fromstring(text)


def test_short_runs_are_not_what_is_recorded() -> None:
    assert "--quick" not in SECTION.recorded()["command"]


def test_a_figure_changed_by_hand_is_noticed() -> None:
    page = PAGE.read_text()
    changed = page.replace(SECTION.end, f"and faster still\n{SECTION.end}")
    assert SECTION.section(changed) != diff_figures.markdown(SECTION.recorded())


def test_a_figure_short_of_its_aim_is_said_to_be_short() -> None:
    result = copy.deepcopy(SECTION.recorded())
    large = result["sizes"]["large"]["rivals"]
    for row in large["wbd"]["edits"].values():
        row["ms"]["median"] = 5.0
    large["wbd"]["edits"]["rank"]["ms"]["median"] = 15.1
    large["wbd_turtle"]["edits"]["label"]["spurious"] = 3
    result["pipeline"]["diffs_per_s"]["median"] = 999
    text = diff_figures.markdown(result)
    for reached in ("15.1 ms", "3", "999 revisions/s"):
        assert f"| {reached} | **no** |" in text


def test_a_rival_that_was_stopped_is_said_to_have_been() -> None:
    result = copy.deepcopy(SECTION.recorded())
    result["sizes"]["large"]["slow"]["pyld"] = {"label": "PyLD, URDNA2015", "limit_s": 400.0, "ended": False}
    text = diff_figures.markdown(result)
    assert "| PyLD, URDNA2015 | over 400 s |" in text
    assert "PyLD, URDNA2015" not in diff_figures.svg(result)


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0.0042, "4.20 µs"),
        (0.35, "0.350 ms"),
        (6.389, "6.39 ms"),
        (99.96, "100 ms"),
        (224.9, "225 ms"),
        (53_100, "53.1 s"),
    ],
)
def test_times_have_three_digits_that_count(ms: float, text: str) -> None:
    assert took(ms) == text
