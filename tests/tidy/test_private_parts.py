"""Tests of the diff stream and of the leases use only the public face of what they test."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACES = (
    "tests/kafka",
    "tests/unit/diff_stream",
    "tests/unit/events",
    "tests/mysql/test_leases.py",
)
FILES = sorted(path for place in PLACES for path in [ROOT / place, *(ROOT / place).rglob("*.py")] if path.is_file())
_OWN = {"self", "cls"}


def private_parts(text: str) -> list[str]:
    """Return each private attribute that the code reads, sets or patches on something other than self."""
    uses = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and _is_private(node.attr):
            if not (isinstance(node.value, ast.Name) and node.value.id in _OWN):
                uses.append(f"line {node.lineno}: {ast.unparse(node)}")
        elif isinstance(node, ast.Call) and _called(node) in ("setattr", "getattr", "delattr"):
            name = node.args[1] if len(node.args) > 1 else None
            if isinstance(name, ast.Constant) and isinstance(name.value, str) and _is_private(name.value):
                uses.append(f"line {node.lineno}: {ast.unparse(node)}")
    return uses


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_test_touches_a_private_attribute(path: Path) -> None:
    assert private_parts(path.read_text()) == []


def test_the_files_are_there() -> None:
    assert len(FILES) > 10


@pytest.mark.parametrize(
    "planted",
    [
        "worker._sweep_at_mono_s = 0.0",
        "worker.stream._heads.clear()",
        "print(leases()._held)",
        "monkeypatch.setattr(entity_diff, '_BATCH', 4)",
    ],
)
def test_a_planted_fault_is_seen(planted: str) -> None:
    assert len(private_parts(planted)) == 1


def test_an_object_may_use_its_own_private_attributes() -> None:
    assert private_parts("class A:\n    def f(self):\n        self._x = self.__class__.__name__") == []
