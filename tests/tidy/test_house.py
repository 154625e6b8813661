"""The house rules that a program can check. Each checker is shown to catch a planted fault."""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from wbd.cli import _parser
from wbd.runtime.table import WORKERS
from wbd.settings.settings import Settings

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "wbd").rglob("*.py"))
ALL_SOURCES = sorted(
    path
    for folder in ("wbd", "tests", "bench", "scripts")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".py", ".c", ".h")
)
MAX_LINES = 500


def too_long(text: str) -> bool:
    return text.count("\n") > MAX_LINES


def reads_environment(text: str) -> bool:
    return bool(re.search(r"\bos\.(environ|getenv|putenv)\b", text))


def catches_everything(text: str) -> int:
    handlers = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ExceptHandler)]
    return sum(
        handler.type is None or (isinstance(handler.type, ast.Name) and handler.type.id == "Exception")
        for handler in handlers
    )


def leaks_a_place(text: str) -> bool:
    return bool(re.search(r"/work/|/root/|/tmp/w/", text))


@pytest.mark.parametrize("path", ALL_SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_file_is_over_500_lines(path: Path) -> None:
    assert not too_long(path.read_text())


def test_only_settings_reads_the_environment() -> None:
    files = [str(path.relative_to(ROOT)) for path in SOURCES if reads_environment(path.read_text())]
    assert files == ["wbd/settings/load.py"]


def test_everything_is_caught_only_at_the_boundaries() -> None:
    counts = {str(path.relative_to(ROOT)): count for path in SOURCES if (count := catches_everything(path.read_text()))}
    assert counts == {"wbd/runtime/process.py": 1, "wbd/runtime/health.py": 1}


def test_no_file_names_a_place_on_some_machine() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    texts = [ROOT / name for name in tracked if name and name != "tests/tidy/test_house.py"]
    assert [path.name for path in texts if path.is_file() and leaks_a_place(path.read_text(errors="replace"))] == []


def test_each_checker_catches_a_planted_fault() -> None:
    assert too_long("x\n" * 501)
    assert reads_environment("import os\nprint(os.environ['X'])")
    assert catches_everything("try:\n    pass\nexcept Exception:\n    pass\ntry:\n    pass\nexcept:\n    pass") == 2
    assert catches_everything("try:\n    pass\nexcept ValueError:\n    pass") == 0
    assert leaks_a_place("see /work/main/x")


def test_importing_every_module_starts_no_thread_and_opens_no_socket() -> None:
    code = """
import pkgutil, importlib, threading, socket, wbd
def refuse(*a, **k): raise AssertionError('a socket was opened')
socket.socket.connect = refuse
for module in pkgutil.walk_packages(wbd.__path__, 'wbd.'):
    if not module.name.endswith('__main__'):
        importlib.import_module(module.name)
assert threading.active_count() == 1, threading.enumerate()
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def documented_settings() -> dict[str, str]:
    rows = re.findall(
        r"^\| `(\w+)`[^|]*\| (?:`([^`]*)`)? *\|", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE
    )
    return dict(rows)


def default_text(name: str) -> str:
    value = Settings.model_fields[name].default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None:
        return ""
    return f"{value:04o}" if name.endswith("_mode") else str(value)


def test_every_setting_is_documented_with_its_default_and_no_other() -> None:
    documented = documented_settings()
    assert documented == {name: default_text(name) for name in Settings.model_fields}


def parsers(parser: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, sub in action.choices.items():
                yield f"{name} {word}", sub
                yield from parsers(sub, f"{name} {word}")


def test_every_command_has_help_with_an_example_and_every_option_a_meaning() -> None:
    commands = dict(parsers(_parser(), "wbd"))
    assert {"wbd up", "wbd import", "wbd ids take", "wbd dev", "wbd config", "wbd status"} <= set(commands)
    for name, parser in commands.items():
        has_actions = any(isinstance(action, argparse._SubParsersAction) for action in parser._actions)
        if not has_actions and name != "wbd ids status":
            assert parser.epilog and "example" in parser.epilog, f"{name}: no example"
        for action in parser._actions:
            assert action.help or isinstance(action, argparse._SubParsersAction), f"{name}: {action.dest} has no help"


def test_the_readme_names_every_worker() -> None:
    readme = (ROOT / "README.md").read_text()
    for worker in WORKERS:
        assert f"`{worker.name}`" in readme


def test_each_worker_module_says_what_it_reads_writes_and_whether_a_repeat_is_harmless() -> None:
    for worker in WORKERS:
        text = ast.get_docstring(ast.parse((ROOT / "wbd" / "workers" / f"{worker.name}.py").read_text())) or ""
        for heading in ("Reads:", "Writes:", "Repeats:", "Schedule:"):
            assert heading in text, f"{worker.name}: no {heading}"
