"""Tests build entities with tests/build only, so that a change of Wikibase's JSON is made in one place."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILDERS = ROOT / "tests" / "build"
FILES = sorted(path for path in (ROOT / "tests").rglob("*.py") if BUILDERS not in path.parents)


def snaks_by_hand(text: str) -> list[int]:
    """Return the line of each dictionary that is written as a snak."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Dict)
        and any(isinstance(key, ast.Constant) and key.value == "snaktype" for key in node.keys)
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_test_writes_snaks_by_hand(path: Path) -> None:
    assert snaks_by_hand(path.read_text()) == []


def test_a_planted_fault_is_seen() -> None:
    assert snaks_by_hand('x = 1\nmain = {"snaktype": "somevalue", "property": "P1"}\n') == [2]
    assert snaks_by_hand('snak["snaktype"] = "maybe"\n') == []
