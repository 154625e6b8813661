"""Figures of ids in docs/benchmarks.md and in the chart are the recorded ones."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from bench import ids_figures, ids_import


def test_the_figures_on_the_page_are_the_recorded_ones() -> None:
    shown = ids_figures.section(ids_figures.PAGE.read_text())
    assert shown == ids_figures.markdown(ids_figures.recorded()), "run: python -m bench.ids_figures"


def test_the_chart_shows_the_recorded_figures_and_is_whole() -> None:
    text = ids_figures.PICTURE.read_text()
    assert text == ids_figures.svg(ids_figures.recorded()), "run: python -m bench.ids_figures"
    ElementTree.fromstring(text)


def test_short_runs_are_not_what_is_recorded() -> None:
    assert "--quick" not in ids_figures.recorded()["command"]


def test_a_figure_changed_by_hand_is_noticed() -> None:
    page = ids_figures.PAGE.read_text()
    changed = page.replace(ids_figures.END, f"and faster still\n{ids_figures.END}")
    assert ids_figures.section(changed) != ids_figures.markdown(ids_figures.recorded())


def test_a_figure_short_of_its_aim_is_said_to_be_short() -> None:
    result = ids_figures.recorded()
    result["redis_benchmark"]["pipelines"]["1"]["ratio"]["median"] = 0.97
    result["outage"]["errors"] = 3
    text = ids_figures.markdown(result)
    assert "| 0.970 x | **no** |" in text and "| 3 errors | **no** |" in text


def test_the_cost_of_the_import_in_the_documentation_is_the_recorded_one() -> None:
    result = ids_import.SECTION.recorded()
    assert ids_import.SECTION.section(ids_import.PAGE.read_text()) == ids_import.sentence(result)
    assert result["rows"]["wbd.ids"]["ms"]["runs"] >= 20


def test_the_rest_of_the_page_is_left_alone() -> None:
    text = f"before\n{ids_figures.BEGIN}\nold\n{ids_figures.END}\nafter\n"
    replaced = ids_figures.replaced(text, "new")
    assert replaced == f"before\n{ids_figures.BEGIN}\nnew\n{ids_figures.END}\nafter\n"
    assert ids_figures.replaced(replaced, "new") == replaced and ids_figures.section(replaced) == "new"
    for broken in ("nothing", text + text, f"{ids_figures.END}\n{ids_figures.BEGIN}"):
        with pytest.raises(ValueError, match="each occur once"):
            ids_figures.replaced(broken, "new")


@pytest.mark.parametrize(
    ("value", "text"), [(12_345_678, "12.3 M"), (1e6, "1.00 M"), (123_456, "123 k"), (1000, "1.00 k"), (999.4, "999")]
)
def test_rates_have_three_digits_that_count(value: float, text: str) -> None:
    assert ids_figures.short(value) == text
