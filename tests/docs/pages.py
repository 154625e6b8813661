"""The fenced blocks of the pages, and the markers that say how their commands are tested.

A block of commands is fenced as ``console``; each command is a line that begins with ``$ ``, followed by its output.
Without a marker its commands are run, and their output is compared by shape. A comment on the line before the fence
changes that:

    <!-- exit N -->           the last command exits N
    <!-- run in: PAGE -->     the same commands are run by that page
    <!-- tested by: PATH -->  another test runs these commands
    <!-- vm: STEP -->         tests/docs/test_vm.py runs these commands
    <!-- not run: REASON -->  nothing runs these commands
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(DOCS.glob("*.md")))

MARKERS = ("exit", "run in", "tested by", "vm", "not run")
# Fences whose content is not typed into a shell.
NOT_COMMANDS = frozenset({"python", "php", "go", "java", "json", "ini", "sql", "text", "yaml"})

_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_MARKER = re.compile(r"<!-- (?P<kind>exit|[a-z ]+(?=:)):? *(?P<text>.*?) *-->$")


@dataclass(frozen=True, slots=True)
class Command:
    """One command and the lines that the page shows as its output; *exit_code* is what it must end with."""

    line: str
    output: tuple[str, ...]
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class Block:
    """
    One fenced block.

    page: path of the page from the root of the project.
    line: of its opening fence, counted from 1.
    marker: kind of the marker before it, '' when there is none; *reason* is the marker's text.
    """

    page: str
    line: int
    language: str
    text: str
    marker: str
    reason: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_run(self) -> bool:
        return self.language == "console" and self.marker in ("", "exit")

    def commands(self) -> list[Command]:
        """
        Return the commands of a console block.

        Raises:
            ValueError: the block does not begin with a command.
        """
        parts: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                parts.append((line[2:], []))
            elif parts:
                parts[-1][1].append(line)
            else:
                raise ValueError(f"{self.place}: output before the first command")
        last = len(parts) - 1
        code = int(self.reason) if self.marker == "exit" else 0
        return [
            Command(line, tuple(output), code if number == last else 0) for number, (line, output) in enumerate(parts)
        ]


def blocks(text: str, page: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page in order."""
    for match in _FENCE.finditer(text):
        before = text[: match.start()].rstrip(" ")
        previous = before.rstrip("\n").rpartition("\n")[2].strip()
        marker = _MARKER.match(previous) if before.endswith("\n") and not before.endswith("\n\n") else None
        info = match["info"].split()
        indent = len(match["indent"])
        yield Block(
            page,
            before.count("\n") + 1,
            info[0] if info else "",
            "".join(line[indent:] for line in match["text"].splitlines(keepends=True)),
            marker["kind"].strip() if marker else "",
            marker["text"].strip() if marker else "",
        )


def all_blocks() -> list[Block]:
    """Return the blocks of every page."""
    return [block for page in PAGES for block in blocks(page.read_text(), str(page.relative_to(ROOT)))]


def faults(block: Block) -> list[str]:
    """Return the rules that a block breaks."""
    reasons = []
    if block.marker and block.marker not in MARKERS:
        reasons.append(f"unknown marker {block.marker!r}")
    if block.language in NOT_COMMANDS:
        return reasons
    if block.language != "console":
        return [*reasons, f"fence {block.language!r} is neither console nor one of {', '.join(sorted(NOT_COMMANDS))}"]
    if not block.text.startswith("$ "):
        reasons.append("a console block begins with a command")
    if block.marker in ("not run", "vm") and not block.reason:
        reasons.append(f"{block.marker} without a reason")
    if block.marker == "tested by" and not (ROOT / block.reason).is_file():
        reasons.append(f"no file {block.reason}")
    return reasons


# A number, a size, a time, a hash, an id or a path: what differs from run to run.
_DIFFERS = re.compile(
    r"/[\w./~-]+"
    r"|\d{4}-\d\d-\d\dT[\d:.]+Z?"
    r"|\b[0-9a-f]{8,}\b"
    r"|\b[QPLE]\d+\b"
    r"|\b\d[\d,.]*(?: ?(?:ms|s|min|h|kB|MB|GB|B))?\b(?: \d+ s\b)?"
)


def shape(line: str) -> str:
    """Return a line with one mark for each part that differs from run to run, and single blanks."""
    return re.sub(r"\s+", " ", _DIFFERS.sub("#", line)).strip()


def _pattern(line: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(shape(part)) for part in line.split("...")), re.DOTALL)


def matches(expected: tuple[str, ...], printed: str) -> bool:
    """
    Tell whether printed text has the shape that a page shows.

    A line of ``...`` stands for any number of lines, ``...`` within a line for any text. A page that shows no output
    expects nothing.
    """
    if not expected:
        return True
    lines = [shape(line) for line in printed.splitlines() if line.strip()]
    wanted = [line.strip() for line in expected if line.strip()]

    def fits(want: int, have: int) -> bool:
        if want == len(wanted):
            return have == len(lines)
        if wanted[want] == "...":
            return any(fits(want + 1, later) for later in range(have, len(lines) + 1))
        return have < len(lines) and bool(_pattern(wanted[want]).fullmatch(lines[have])) and fits(want + 1, have + 1)

    return fits(0, 0)
