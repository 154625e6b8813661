"""Folders of tests/unit mirror the packages of wbd, so that the tests of a package are where one looks first."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "tests" / "unit"
FILES = sorted(UNIT.rglob("test_*.py"))
# Commands are run as users run them.
_FACES = {"wbd.commands": "wbd.cli"}


def misplaced(path: Path, texts: list[str]) -> str | None:
    """
    Say what is wrong with the place of a test, or return None.

    path: below tests/unit; texts: of the file and of the conftest.py beside it, if there is one.
    """
    if len(path.parts) > 2:
        return "folders of tests/unit have no folders"
    if len(path.parts) == 1:
        module = path.name.removeprefix("test_")
        return None if (ROOT / "wbd" / module).is_file() else f"wbd/{module} does not exist"
    folder = path.parts[0]
    if (ROOT / "wbd" / folder / "__init__.py").is_file():
        tested = f"wbd.{folder}"
    elif (ROOT / "tests" / folder).is_dir():
        # Tests of what other tests rely on.
        tested = f"tests.{folder}"
    else:
        return f"neither wbd/{folder} nor tests/{folder} exists"
    names = {name for text in texts for name in imported(text)}
    if any(f"{name}.".startswith((f"{tested}.", f"{_FACES.get(tested, tested)}.")) for name in names):
        return None
    return f"imports nothing of {tested}"


def imported(text: str) -> set[str]:
    """Return the full name of every module that a file or a program in it imports, and of what it takes from them."""
    names = set(re.findall(r"^\s*import ([\w.]+)", text, re.MULTILINE))
    for module, members in re.findall(r"^\s*from ([\w.]+) import \(?([\w, ]*)", text, re.MULTILINE):
        names |= {f"{module}.{member.strip()}" for member in members.split(",")}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_unit_test_is_in_the_folder_of_the_package_that_it_tests(path: Path) -> None:
    beside = path.with_name("conftest.py")
    texts = [file.read_text() for file in (path, beside) if file.is_file()]
    assert misplaced(path.relative_to(UNIT), texts) is None


def test_the_files_are_there() -> None:
    assert len(FILES) > 40


@pytest.mark.parametrize(
    ("path", "text", "fault"),
    [
        ("stream/test_plan.py", "import wbd.diff_stream", "neither wbd/stream nor tests/stream exists"),
        ("diff/test_plan.py", "from wbd.diff_stream import plan", "imports nothing of wbd.diff"),
        ("commands/test_x.py", "from wbd import wiki", "imports nothing of wbd.commands"),
        ("test_plan.py", "", "wbd/plan.py does not exist"),
        ("diff/more/test_x.py", "import wbd.diff", "folders of tests/unit have no folders"),
    ],
)
def test_a_planted_fault_is_seen(path: str, text: str, fault: str) -> None:
    assert misplaced(Path(path), [text]) == fault


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("diff/test_x.py", "from wbd import diff"),
        ("commands/test_x.py", "from wbd.cli import main"),
        ("chaos/test_x.py", "import tests.chaos.ids_judge"),
        ("test_errors.py", ""),
    ],
)
def test_a_good_place_is_none(path: str, text: str) -> None:
    assert misplaced(Path(path), [text]) is None
