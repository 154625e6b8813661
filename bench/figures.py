"""Recorded figures of a bench as tables, bar charts, and a section of docs/benchmarks.md."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import escape

import orjson

from bench.machine import RESULTS

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGE = ROOT / "docs" / "benchmarks.md"

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP, _FOOT = 720, 220, 90, 26, 40, 34


def short(value: float) -> str:
    """Return a rate with three significant digits."""
    for size, letter in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.{max(0, 2 - int(math.log10(value / size)))}f}{letter}"
    return f"{value:.0f}"


def took(ms: float) -> str:
    """Return a time with three significant digits."""
    if ms >= 1e3:
        return f"{_three(ms / 1e3)} s"
    return f"{_three(ms)} ms" if ms >= 0.1 else f"{_three(ms * 1e3)} µs"


def _three(value: float) -> str:
    # 100, 10.0, 1.00, 0.100; no exponent, however large.
    return f"{value:.0f}" if value >= 99.95 else f"{value:#.3g}"


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Return a Markdown table."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return ["| " + " | ".join(cells) + " |" for cells in [head, rule, *rows]]


def columns(head: list[str], rows: list[list[str]]) -> str:
    """Return the same table in aligned columns for a terminal."""
    rows = [[re.sub("[`*]", "", cell) for cell in row] for row in rows]
    widths = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head))]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in [head, *rows]
    )


def aim_rows(aims: list[dict[str, Any]]) -> list[list[str]]:
    """Return one table row per target: the target, the result, and whether the result meets it."""
    return [[one["aim"], one["reached"], "yes" if one["met"] else "**no**"] for one in aims]


@dataclass(frozen=True)
class Bar:
    """One bar of a chart; *side* says whether it is wbd's or a rival's."""

    label: str
    side: Literal["ours", "theirs"]
    value: float


def bars(
    title: str,
    description: str,
    rows: Sequence[Bar],
    text_of: Callable[[float], str],
    scale: Callable[[float], str] | None = None,
) -> str:
    """
    Return a bar chart on a logarithmic scale as SVG, with its own background so that it reads on any page.

    Args:
        title: heading above the bars.
        description: text for screen readers.
        text_of: formats a value.
        scale: formats a power of ten on the axis; *text_of* when None.
    """
    low = math.floor(math.log10(min(row.value for row in rows)))
    high = math.ceil(math.log10(max(row.value for row in rows)))
    height = _TOP + _ROW * len(rows) + _FOOT

    def across(value: float) -> float:
        return round(_LEFT + (math.log10(value) - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT), 1)

    bottom = height - _FOOT
    # Colours are attributes for renderers that ignore style sheets; the dark mode of a browser overrides them.
    ink, colours = 'fill="#1f2328"', {"ours": "#0969da", "theirs": "#818b98"}
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img" aria-label="{escape(description)}" font-family="system-ui, sans-serif" '
        'font-size="13">',
        "<style>@media (prefers-color-scheme:dark){text{fill:#f0f6fc}.page{fill:#0d1117;stroke:#3d444d}"
        ".line{stroke:#3d444d}.ours{fill:#4493f8}.theirs{fill:#7d8590}}</style>",
        f'<rect class="page" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{height - 1}" rx="6" fill="#ffffff" '
        'stroke="#d1d9e0"/>',
        f'<text x="14" y="24" {ink}>{escape(title)}</text>',
    ]
    for power in range(low, high + 1):
        x, text = across(10.0**power), (scale or text_of)(10.0**power)
        lines.append(f'<line class="line" x1="{x}" x2="{x}" y1="{_TOP - 4}" y2="{bottom}" stroke="#d1d9e0"/>')
        lines.append(f'<text x="{x}" y="{bottom + 18}" font-size="11" text-anchor="middle" {ink}>{text}</text>')
    for place, row in enumerate(rows):
        y, end = _TOP + _ROW * place, across(row.value)
        bar = f'x="{_LEFT}" y="{y + 3}" width="{end - _LEFT:.1f}" height="16" rx="2" fill="{colours[row.side]}"'
        lines.append(f'<text x="{_LEFT - 8}" y="{y + 15}" text-anchor="end" {ink}>{escape(row.label)}</text>')
        lines.append(f'<rect class="{row.side}" {bar}/>')
        lines.append(f'<text x="{end + 6}" y="{y + 15}" {ink}>{text_of(row.value)}</text>')
    return "\n".join([*lines, "</svg>", ""])


@dataclass(frozen=True)
class Section:
    """
    The section of docs/benchmarks.md that shows one bench, its chart, and its recorded results.

    name: names bench/results/NAME.json, docs/NAME.svg and the markers around the section.
    """

    name: str

    @property
    def begin(self) -> str:
        return f"<!-- {self.name} figures: begin -->"

    @property
    def end(self) -> str:
        return f"<!-- {self.name} figures: end -->"

    @property
    def picture(self) -> Path:
        return ROOT / "docs" / f"{self.name}.svg"

    def recorded(self) -> dict[str, Any]:
        """Return the results of the last full run."""
        figures: dict[str, Any] = orjson.loads((RESULTS / f"{self.name}.json").read_bytes())
        return figures

    def section(self, page: str) -> str:
        """Return the text between the markers. Raises ValueError unless each occurs once, in order."""
        _, _, inside = self._parts(page)
        return inside

    def replaced(self, page: str, text: str) -> str:
        """Return *page* with *text* between the markers. Raises as section() does."""
        before, after, _ = self._parts(page)
        return f"{before}{self.begin}\n{text}\n{self.end}{after}"

    def _parts(self, page: str) -> tuple[str, str, str]:
        begin, end = self.begin, self.end
        if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
            raise ValueError(f"{begin} and {end} must each occur once, in this order")
        before, _, from_begin = page.partition(begin)
        inside, _, after = from_begin.partition(end)
        return before, after, inside.strip("\n")

    def write(self, markdown: str, svg: str) -> None:
        """Write the section of docs/benchmarks.md and the chart."""
        PAGE.write_text(self.replaced(PAGE.read_text(), markdown))
        self.picture.write_text(svg)
