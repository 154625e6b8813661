"""The bench of diffs works from end to end, with runs too short to say anything; what it checks, it catches."""

from __future__ import annotations

import dataclasses

import pytest

from bench import diff, diff_cases, diff_figures, pipeline
from bench.diff_cases import EDITS, SIZES, Case, cases
from bench.diff_rivals import Rival, event_answer, in_a_process, judge, rivals
from tests.conftest import without
from wbd.mapping.context import MappingContext

TINY = diff.Lengths(budget_s=0.001, statements=(20, 40), batch=8, entities=20, once=True)
SMALL = [dataclasses.replace(size, snapshot_bytes=min(size.snapshot_bytes, 6000)) for size in SIZES]


def small_cases() -> dict[str, Case]:
    made, source = cases(SIZES[-1], None, MappingContext.wikidata())
    assert source == "generated"
    return {case.edit: case for case in made}


def test_every_row_gets_figures_that_readme_and_terminal_can_show() -> None:
    if reason := pipeline.why_missing():
        without(reason)
    result = diff.measure(2, TINY, 60.0, None, sizes=SMALL)
    assert [*result["sizes"]] == ["large", "middle", "dense", "small"]
    for size in result["sizes"].values():
        assert [*size["edits"]] == [*EDITS] and size["source"] == "generated"
        for rival in size["rivals"].values():
            for row in rival["edits"].values():
                assert row["ms"]["min"] > 0 and row["missing"] == 0
        for key in diff.EXACT:
            assert [row["spurious"] for row in size["rivals"][key]["edits"].values()] == [0] * len(EDITS)
        assert {row["ended"] for row in size["slow"].values()} == {True}
    assert [row["statements"] for row in result["statements"]] == [20, 40]
    assert set(result["processes"]["rows"]) == {"1", "2"}
    assert result["pipeline"]["revisions"] == 40 and result["pipeline"]["diffs_per_s"]["min"] > 0
    assert len(diff_figures.aims(result)) == 7
    for text in (diff_figures.markdown(result), diff_figures.plain(result), diff_figures.svg(result)):
        assert "rdflib" in text and "PyLD" in text


def test_triples_that_are_no_change_are_counted_whatever_blank_nodes_are_called() -> None:
    case = small_cases()["unknown value"]
    rival = rivals()["oxigraph_sets"]
    added, removed = (sorted(side) for side in case.exact)
    assert any(" _:" in line for line in added)
    assert judge(rival, (added, removed), case) == (0, 0)
    renamed = [line.replace("_:", "_:x") for line in added]
    assert judge(rival, (renamed, removed), case) == (0, 0)
    spurious = '<http://x/a> <http://x/b> "_:c d" .'
    assert judge(rival, ([*added, spurious], [spurious, "_:a <http://x/b> _:c ."]), case) == (3, len(removed))
    assert judge(rival, (added[1:], removed), case) == (0, 1)


def test_a_diff_of_wbd_that_is_not_exact_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    case = small_cases()["label"]
    wbd = rivals()["wbd"]

    def answer(planned: object) -> tuple[list[str], list[str]]:
        added, removed = event_answer(planned[0].messages)  # type: ignore[index]
        return added[1:], removed

    monkeypatch.setattr(diff, "rivals", lambda: {"wbd": dataclasses.replace(wbd, answer=answer)})
    with pytest.raises(AssertionError, match="wbd, small, label: 0, 1"):
        diff.check([case])


def test_a_rival_that_does_not_end_is_stopped() -> None:
    case = small_cases()["label"]
    assert in_a_process(rivals()["pyld"], case, 0.01) is None


@pytest.mark.parametrize("rival", [rival for rival in rivals().values() if rival.slow], ids=lambda rival: rival.key)
def test_a_rival_answers_alike_in_a_process_of_its_own(rival: Rival) -> None:
    case = small_cases()["qualifier"]
    done = in_a_process(rival, case, 60.0)
    assert done is not None
    _, answer = done
    here = rival.answer(rival.run(*rival.prepare(case)))
    assert judge(rival, answer, case) == judge(rival, here, case)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: size.key)
def test_generated_items_are_as_large_as_the_real_ones_and_the_same_each_time(size: diff_cases.Size) -> None:
    entity = diff_cases.generated_of(size.snapshot_bytes)
    assert abs(len(diff_cases.stored(entity)) / size.snapshot_bytes - 1) < 0.1
    assert entity == diff_cases.generated_of(size.snapshot_bytes)
