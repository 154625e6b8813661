"""Every command on a page is run by a test, or says why not; quoted messages and included files exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from bench import summary
from bench.figures import README
from scripts.command_page import command_page
from tests.docs.pages import DOCS, ROOT, all_blocks, blocks, faults, matches

README_LINES_MAX = 130


def test_every_block_is_marked_run_or_tested_elsewhere() -> None:
    assert [f"{block.place}: {fault}" for block in all_blocks() for fault in faults(block)] == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("```sh\nwbd up\n```\n", "neither console"),
        ("```\n$ wbd up\n```\n", "neither console"),
        ("```console\nwbd up\n```\n", "begins with a command"),
        ("<!-- not run: -->\n```console\n$ wbd up\n```\n", "without a reason"),
        ("<!-- tested by: tests/none.py -->\n```console\n$ wbd up\n```\n", "no file"),
        ("<!-- skip: slow -->\n```console\n$ wbd up\n```\n", "unknown marker"),
    ],
)
def test_a_block_that_breaks_the_rules_is_noticed(text: str, fault: str) -> None:
    (block,) = blocks(text, "page.md")
    assert any(fault in message for message in faults(block))


def test_a_marker_counts_only_directly_before_its_block() -> None:
    (block,) = blocks("<!-- not run: slow -->\n\n```console\n$ wbd up\n```\n", "page.md")
    assert block.is_run


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        (("Q1043",), "Q7\n", True),
        (("Q1043",), "Q7\nQ8\n", False),
        (("Q1", "..."), "Q7\nQ8\nQ9\n", True),
        (("wbd: all ready after 34.0 s",), "wbd: all ready after 3.1 s\n", True),
        (("wbd: all ready after 34.0 s",), "wbd: not ready after 3.1 s\n", False),
        (("api  running  yes  28405  1 min 8 s",), "api  running  yes  1  53 s\n", True),
        (("api  running  yes",), "api  stopped  no\n", False),
        (('{"worker":"api",...}',), '{"worker":"api","pid":3}\n', True),
        (("...", "stopped"), "a\nb\nstopped\n", True),
        ((), "anything\n", True),
    ],
)
def test_output_is_compared_by_shape(shown: tuple[str, ...], printed: str, same: bool) -> None:
    assert matches(shown, printed) is same


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= README_LINES_MAX


def test_the_figures_in_the_readme_are_the_recorded_ones() -> None:
    assert summary.section(README.read_text()) == summary.markdown(), "run: python -m bench.summary"


def messages_of_the_code() -> str:
    """Return every string of the package as one text; a value filled in at run time is a NUL byte."""
    texts = []
    for path in sorted((ROOT / "wbd").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "\0" for part in node.values]
                texts.append("".join(str(part) for part in parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def unknown_messages(page: str, code: str) -> list[str]:
    """Return the messages quoted in headings of *page* that *code* does not contain; ``...`` is any value."""
    quoted = re.findall(r"^### `([^`]+)`", page, re.MULTILINE)
    assert quoted, "no message is quoted"
    return [
        message
        for message in quoted
        if not re.search(r"[^\n]*".join(re.escape(part) for part in message.split("...")), code)
    ]


def test_each_message_on_the_troubleshooting_page_exists_in_the_code() -> None:
    assert unknown_messages((DOCS / "troubleshooting.md").read_text(), messages_of_the_code()) == []


def test_a_message_that_the_code_does_not_have_is_noticed() -> None:
    assert unknown_messages("### `the moon is full`\n", messages_of_the_code()) == ["the moon is full"]


def test_links_to_files_of_the_project_lead_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"):
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def included(page: Path) -> list[str]:
    return re.findall(r'^--8<-- "([^"]+)"$', page.read_text(), re.MULTILINE)


def test_included_files_exist() -> None:
    for page in DOCS.glob("*.md"):
        for name in included(page):
            assert Path(ROOT / name).is_file(), f"{page.name}: {name}"


def test_every_example_program_is_on_a_page() -> None:
    shown = {name for page in DOCS.glob("*.md") for name in included(page)}
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "examples").glob("*.py")} <= shown


def test_the_command_page_has_every_command_and_its_options() -> None:
    text = command_page()
    headings = set(re.findall(r"^###? (wbd .+)$", text, re.MULTILINE))
    assert {"wbd up", "wbd import", "wbd diff-worker", "wbd ids take"} <= headings
    assert "| `-d`, `--detach` |" in text and "| `-n COUNT`, `--count COUNT` |" in text
    assert text == (DOCS / "commands.md").read_text(), "run: make generate"


def places(architecture: str) -> set[str]:
    """Return the packages that the tree of the architecture page describes."""
    return set(re.findall(r"`wbd/(\w+)/`", architecture))


def test_the_architecture_page_describes_every_package_and_no_other() -> None:
    packages = {path.parent.name for path in (ROOT / "wbd").glob("*/__init__.py")}
    assert places((ROOT / "ARCHITECTURE.md").read_text()) == packages
