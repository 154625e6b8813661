"""The recorded figures of ids, as a table for README.md, a picture, and text for a terminal.

    python -m bench.ids_figures

writes the section of README.md between its two markers, and docs/ids.svg, from bench/results/ids.json; harmless when
repeated. bench.ids does the same after a run.
"""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import orjson

from bench.machine import RESULTS

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PICTURE = ROOT / "docs" / "ids.svg"
BEGIN, END = "<!-- ids figures: begin -->", "<!-- ids figures: end -->"

# What the picture shows, with words that fit into it.
_BARS = {
    "next": ("shared memory", "ours"),
    "processes_2": ("shared memory, 2 processes", "ours"),
    "take_1000": ("shared memory, blocks of 1000", "ours"),
    "socket": ("socket", "ours"),
    "redis_py": ("redis-py INCR", "theirs"),
    "redis_py_100": ("redis-py, pipelines of 100", "theirs"),
    "mariadb": ("MariaDB update an id", "theirs"),
}
_WIDTH, _LEFT, _RIGHT, _ROW, _TOP, _FOOT = 720, 220, 90, 26, 40, 34


def aims(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what was aimed at, what came out, and whether that is enough."""
    rates, pipelines = result["rates"], result["redis_benchmark"]["pipelines"]
    latency, outage = result["latency"], result["outage"]
    one_process = rates["next"]["ids_per_s"]["median"]
    times = rates["next"]["times_redis_py"]["median"]
    p999_us = latency["rows"]["next"]["p99.9_us"]["median"]
    found = [
        ("at least 5 M formatted ids/s in one process", f"{short(one_process)} ids/s", one_process >= 5e6),
        ("at least 300 x redis-py `incr`", f"{times:,.0f} x", times >= 300),
    ]
    for pipeline in ("1", "32"):
        ratio = pipelines[pipeline]["ratio"]["median"]
        found.append((f"at least 1.0 x redis-server, pipelines of {pipeline}", f"{ratio:.3f} x", ratio >= 1.0))
    found.append(("p99.9 of a call under 1 ms during refills", f"{p999_us:.2f} µs", p999_us < 1000))
    aim = f"no error in {outage['seconds_without_database']:g} s without a database"
    found.append((aim, f"{outage['errors']} errors", outage["errors"] == 0))
    return [{"aim": aim, "reached": reached, "met": met} for aim, reached, met in found]


def short(value: float) -> str:
    """Return a rate with three digits that count."""
    for size, letter in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.{max(0, 2 - int(math.log10(value / size)))}f}{letter}"
    return f"{value:.0f}"


def markdown(result: dict[str, Any]) -> str:
    """Return the section of README.md, without its markers."""
    lines = [f"![Ids a second, on a logarithmic scale]({PICTURE.relative_to(ROOT)})", ""]
    lines += _table(["", "ids/s", "min to max", "times redis-py"], _rates(result))
    lines += ["", f"`{result['redis_benchmark']['command']}`, requests/s:", ""]
    lines += _table(["pipeline", "wbd", "redis-server", "wbd / redis-server", "min to max"], _pipelines(result))
    for sentence in sentences(result):
        lines += ["", sentence]
    lines.append("")
    lines += _table(["aimed at", "reached", ""], [[*_aim(one)] for one in aims(result)])
    return "\n".join([*lines, "", provenance(result)])


def plain(result: dict[str, Any]) -> str:
    """Return the same for a terminal."""
    parts = [
        _columns(["ids a second", "median", "min to max", "times redis-py"], _rates(result)),
        result["redis_benchmark"]["command"],
        _columns(["pipeline", "wbd", "redis-server", "ratio", "min to max"], _pipelines(result)),
        "\n\n".join(sentences(result)),
        _columns(["aimed at", "reached", ""], [[*_aim(one)] for one in aims(result)]),
        provenance(result),
    ]
    return "\n\n".join(parts) + "\n"


def _rates(result: dict[str, Any]) -> list[list[str]]:
    found = []
    for row in result["rates"].values():
        rate, times = row["ids_per_s"], row["times_redis_py"]["median"]
        times_text = f"{times:,.0f}" if times >= 10 else f"{times:.2g}"
        found.append([row["label"], short(rate["median"]), f"{short(rate['min'])} to {short(rate['max'])}", times_text])
    return found


def _pipelines(result: dict[str, Any]) -> list[list[str]]:
    found = []
    for pipeline, row in result["redis_benchmark"]["pipelines"].items():
        ratio = row["ratio"]
        rates = [short(row[name]["median"]) for name in ("wbd_per_s", "redis_per_s")]
        found.append([pipeline, *rates, f"{ratio['median']:.2f}", f"{ratio['min']:.2f} to {ratio['max']:.2f}"])
    return found


def _aim(one: dict[str, Any]) -> tuple[str, str, str]:
    return one["aim"], one["reached"], "yes" if one["met"] else "**no**"


def sentences(result: dict[str, Any]) -> list[str]:
    """Return what latency and outage say."""
    latency, outage = result["latency"], result["outage"]
    mine, control = latency["rows"]["next"], latency["rows"]["control"]

    def row(columns: dict[str, Any]) -> str:
        p50, p99, p999, most = (columns[f"{name}_us"]["median"] for name in ("p50", "p99", "p99.9", "max"))
        stalls = f"{columns['calls_over_1_ms_in_all']:,} over 1 ms"
        return f"p50 {p50:.2f} µs, p99 {p99:.2f} µs, p99.9 {p999:.2f} µs, longest {most:,.0f} µs, {stalls}"

    runs = mine["p50_us"]["runs"]
    return [
        f'Single calls of `next("item")` at {short(mine["calls_per_s"]["median"])} a second, during '
        f"{latency['refills_in_all']} refills: {row(mine)}. The same loop around a plain C method: {row(control)}; the "
        f"clock's own cost and the machine's other work are in both. (Medians of {runs} runs of "
        f"{short(latency['calls_a_run'])} calls; those over 1 ms are counted in all of them.)",
        f"Without a database for {outage['seconds_without_database']:g} s at {outage['ids_per_s']:,} ids a second: "
        f"{outage['ids']:,} ids, {outage['errors']} errors; {outage['warm_up_s']:g} s of that rate from an empty table "
        f"had left {outage['ids_left_then']:,} ids in the ring.",
    ]


def provenance(result: dict[str, Any]) -> str:
    """Return what was measured with what, where."""
    machine = result["machine"]
    rivals = ", ".join(f"{name} {version}" for name, version in result["rivals"].items())
    runs = result["rates"]["next"]["ids_per_s"]["runs"]
    return (
        f"Medians of {runs} runs in turns, ratios within each turn, by `{result['command']}` on "
        f"{machine['cores']} cores ({machine['processor']}), Linux {machine['kernel']}, Python {machine['python']}; "
        f"{rivals}. The disk confirms a small write in {machine['fdatasync_us']:.0f} µs, which each committed update "
        "waits for."
    )


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    rule = ["---", *["---:"] * (len(head) - 1)]
    return ["| " + " | ".join(cells) + " |" for cells in [head, rule, *rows]]


def _columns(head: list[str], rows: list[list[str]]) -> str:
    rows = [[re.sub("[`*]", "", cell) for cell in row] for row in rows]
    widths = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head))]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in [head, *rows]
    )


def svg(result: dict[str, Any]) -> str:
    """Return bars on a logarithmic scale; it has its own background, so that it can be read on any page."""
    rates = result["rates"]
    values = {key: rates[key]["ids_per_s"]["median"] for key in _BARS}
    low = math.floor(math.log10(min(values.values())))
    high = math.ceil(math.log10(max(values.values())))
    height = _TOP + _ROW * len(_BARS) + _FOOT

    def across(value: float) -> float:
        return round(_LEFT + (math.log10(value) - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT), 1)

    bottom = height - _FOOT
    # Colours stand at the elements, for renderers that read no style sheet; the dark ones of a browser go before them.
    ink, colours = 'fill="#1f2328"', {"ours": "#0969da", "theirs": "#818b98"}
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        'role="img" aria-label="ids a second, on a logarithmic scale" font-family="system-ui, sans-serif" '
        'font-size="13">',
        "<style>@media (prefers-color-scheme:dark){text{fill:#f0f6fc}.page{fill:#0d1117;stroke:#3d444d}"
        ".line{stroke:#3d444d}.ours{fill:#4493f8}.theirs{fill:#7d8590}}</style>",
        f'<rect class="page" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{height - 1}" rx="6" fill="#ffffff" '
        'stroke="#d1d9e0"/>',
        f'<text x="14" y="24" {ink}>Ids a second (logarithmic; blue is wbd)</text>',
    ]
    for power in range(low, high + 1):
        x, said = across(10**power), short(10**power)
        lines.append(f'<line class="line" x1="{x}" x2="{x}" y1="{_TOP - 4}" y2="{bottom}" stroke="#d1d9e0"/>')
        lines.append(f'<text x="{x}" y="{bottom + 18}" font-size="11" text-anchor="middle" {ink}>{said}</text>')
    for place, (key, (label, side)) in enumerate(_BARS.items()):
        y, end = _TOP + _ROW * place, across(values[key])
        bar = f'x="{_LEFT}" y="{y + 3}" width="{end - _LEFT:.1f}" height="16" rx="2" fill="{colours[side]}"'
        lines.append(f'<text x="{_LEFT - 8}" y="{y + 15}" text-anchor="end" {ink}>{escape(label)}</text>')
        lines.append(f'<rect class="{side}" {bar}/>')
        lines.append(f'<text x="{end + 6}" y="{y + 15}" {ink}>{short(values[key])}</text>')
    return "\n".join([*lines, "</svg>", ""])


def section(readme: str) -> str:
    """Return what stands between the markers. Raises ValueError when they are not there once each, in order."""
    _, _, rest = _parts(readme)
    return rest


def replaced(readme: str, text: str) -> str:
    """Return *readme* with *text* between the markers. Raises as section()."""
    before, after, _ = _parts(readme)
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def _parts(readme: str) -> tuple[str, str, str]:
    if readme.count(BEGIN) != 1 or readme.count(END) != 1 or readme.index(BEGIN) > readme.index(END):
        raise ValueError(f"{BEGIN} and {END} have to be there once each, in this order")
    before, _, rest = readme.partition(BEGIN)
    inside, _, after = rest.partition(END)
    return before, after, inside.strip("\n")


def recorded() -> dict[str, Any]:
    """Return bench/results/ids.json."""
    found: dict[str, Any] = orjson.loads((RESULTS / "ids.json").read_bytes())
    return found


def write(result: dict[str, Any]) -> None:
    """Write the section of README.md and the picture."""
    README.write_text(replaced(README.read_text(), markdown(result)))
    PICTURE.write_text(svg(result))


if __name__ == "__main__":
    write(recorded())
    sys.exit(0)
