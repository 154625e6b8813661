"""The short form of `make fuzz`, without Atheris: every target on its seeds, and every oracle on a planted fault."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.fuzz import run
from tests.fuzz.native_build import KERNELS
from wbd.entity.strict_json import Parsed
from wbd.rdf.graph_diff import RdfDiff

ROOT = Path(__file__).parents[2]


def target(name: str) -> ModuleType:
    return importlib.import_module(f"tests.fuzz.{name}")


@pytest.mark.parametrize("name", run.TARGETS)
def test_a_target_keeps_its_promise_on_every_seed(name: str) -> None:
    for seed in target(name).SEEDS:
        assert len(seed) <= target(name).MAX_INPUT_BYTES
        target(name).check(seed)


def changing(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return what makes a function wrong: it changes what the right one returns."""
    return lambda right: lambda *args, **kwargs: change(right(*args, **kwargs))


FAULTS: list[tuple[str, str, str, Callable[[Any], Any]]] = [
    ("mapping", "entities", "map_entity", changing(lambda lines: [*lines[:-1], lines[-1][:-2]])),
    ("mapping", "entities", "map_entity", changing(lambda lines: [*lines, lines[0]])),
    ("mapping", "entities", "map_entity", changing(lambda lines: [*lines, "<a:s> <a:p> <a:o\n> ."])),
    ("entity_diff", "entity_diff", "diff_entities", changing(lambda diff: RdfDiff(diff.added[1:], diff.removed[1:]))),
    ("entity_diff", "entity_diff", "diff_entities", changing(lambda diff: RdfDiff(diff.added, diff.removed))),
    ("snapshots", "snapshots", "diff_snapshots", changing(lambda diff: RdfDiff(diff.added[1:], diff.removed))),
    ("snapshots", "snapshots", "compare_twin", changing(lambda compared: compared and (compared[0], 0, compared[2]))),
    ("documents", "documents", "read_pair", changing(lambda pair: pair[::-1])),
    ("documents", "documents", "diff_graphs", changing(lambda diff: RdfDiff(diff.added))),
    ("blank_nodes", "blank_nodes", "label_by_content", lambda _: lambda lines, _limit: sorted(lines)),
    ("blank_nodes", "blank_nodes", "label_by_content", changing(lambda lines: lines[1:])),
    ("blank_nodes", "blank_nodes", "rdfc_lines", changing(lambda lines: lines[::-1])),
    ("formats", "formats", "write_lines", changing(lambda text: text.replace('"@', '"@x-'))),
    ("json_reader", "json_reader", "parse", changing(lambda parsed: Parsed(parsed.value, []))),
    ("json_reader", "json_reader", "snapshot_bytes", changing(lambda text: text.replace(b":7,", b":8,"))),
]


@pytest.mark.parametrize(("name", "module", "function", "fault"), FAULTS)
def test_an_oracle_catches_a_planted_fault(
    monkeypatch: pytest.MonkeyPatch, name: str, module: str, function: str, fault: Callable[[Any], Any]
) -> None:
    place = target(module)
    monkeypatch.setattr(place, function, fault(getattr(place, function)))
    with pytest.raises(Exception):  # noqa: B017 whatever a fuzzer would stop at
        for seed in target(name).SEEDS:
            target(name).check(seed)


def test_the_native_oracle_catches_a_planted_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    native = target("native_setdiff")
    right = native.builds[0]
    monkeypatch.setattr(native, "builds", [lambda old, new: right(old, bytes(new).rstrip(b"\n") + b"x")])
    with pytest.raises(AssertionError):
        for seed in native.SEEDS:
            native.check(seed)


def test_an_input_that_was_found_is_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(b"fine")
    bad.write_bytes(b"FAUL")
    assert run.main(["planted", "--input", str(good)]) == 0
    assert "keeps the promise" in capsys.readouterr().out
    with pytest.raises(AssertionError, match="planted fault"):
        run.main(["planted", "--input", str(bad)])


def test_every_target_says_its_oracle_and_its_input() -> None:
    for name in run.TARGETS:
        text = target(name).__doc__ or ""
        assert "Oracle: " in text and "Input: " in text, name


def test_every_target_that_takes_builds_gets_them_with_sanitizers() -> None:
    assert {name for name in run.TARGETS if hasattr(target(name), "builds")} == set(KERNELS) - set(run.PLANTED)


def test_every_file_with_a_check_is_run() -> None:
    here = Path(__file__).parent
    targets = {path.stem for path in here.glob("*.py") if "\ndef check(data: bytes)" in path.read_text()}
    assert targets == {*run.TARGETS, *run.PLANTED}


def test_help_has_an_example_and_unknown_targets_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run.main(["--help"])
    assert "example: python -m tests.fuzz.run" in capsys.readouterr().out
    for wrong in (["nothing"], ["--seconds", "0"], ["--input", "x"]):
        with pytest.raises(SystemExit) as caught:
            run.main(wrong)
        assert caught.value.code == 2
