"""The recorded figures of ids, as tables for docs/benchmarks.md, a chart, and text for a terminal.

    python -m bench.ids_figures

writes the section between the two markers in docs/benchmarks.md, docs/ids.svg, and the summary in README.md from
bench/results/ids.json; harmless when repeated. bench.ids does the same after a run.
"""

from __future__ import annotations

import sys
from typing import Any, Literal

from bench import summary
from bench.figures import PAGE, Bar, Section, aim_rows, bars, columns, short, table

SECTION = Section("ids")
PICTURE = SECTION.picture
BEGIN, END = SECTION.begin, SECTION.end
section, replaced, recorded = SECTION.section, SECTION.replaced, SECTION.recorded

__all__ = ["BEGIN", "END", "PAGE", "PICTURE", "aims", "markdown", "plain", "recorded", "replaced", "section", "short"]

# Rows of the chart, with labels short enough to fit.
_BARS: dict[str, tuple[str, Literal["ours", "theirs"]]] = {
    "next": ("shared memory", "ours"),
    "processes_2": ("shared memory, 2 processes", "ours"),
    "take_1000": ("shared memory, blocks of 1000", "ours"),
    "socket": ("socket", "ours"),
    "redis_py": ("redis-py INCR", "theirs"),
    "redis_py_100": ("redis-py, pipelines of 100", "theirs"),
    "mariadb": ("MariaDB update an id", "theirs"),
}


def aims(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each target, its result, and whether the result meets it."""
    rates, pipelines = result["rates"], result["redis_benchmark"]["pipelines"]
    latency, outage = result["latency"], result["outage"]
    one_process = rates["next"]["ids_per_s"]["median"]
    times = rates["next"]["times_redis_py"]["median"]
    p999_us = latency["rows"]["next"]["p99.9_us"]["median"]
    aims = [
        ("at least 5 M formatted ids/s in one process", f"{short(one_process)} ids/s", one_process >= 5e6),
        ("at least 300 x redis-py `incr`", f"{times:,.0f} x", times >= 300),
    ]
    for pipeline in ("1", "32"):
        ratio = pipelines[pipeline]["ratio"]["median"]
        aims.append((f"at least 1.0 x redis-server, pipelines of {pipeline}", f"{ratio:.3f} x", ratio >= 1.0))
    aims.append(("p99.9 of a call under 1 ms during refills", f"{p999_us:.2f} µs", p999_us < 1000))
    aim = f"no error in {outage['seconds_without_database']:g} s without a database"
    aims.append((aim, f"{outage['errors']} errors", outage["errors"] == 0))
    return [{"aim": aim, "reached": reached, "met": met} for aim, reached, met in aims]


def markdown(result: dict[str, Any]) -> str:
    """Return the section of docs/benchmarks.md, without its markers."""
    lines = [f"![Ids per second, on a logarithmic scale]({PICTURE.name})", ""]
    lines += table(["", "ids/s", "min to max", "times redis-py"], _rates(result))
    lines += ["", f"`{result['redis_benchmark']['command']}`, requests/s:", ""]
    lines += table(["pipeline", "wbd", "redis-server", "wbd / redis-server", "min to max"], _pipelines(result))
    for sentence in sentences(result):
        lines += ["", sentence]
    lines.append("")
    lines += table(["target", "result", "met"], aim_rows(aims(result)))
    return "\n".join([*lines, "", provenance(result)])


def plain(result: dict[str, Any]) -> str:
    """Return the same figures as text for a terminal."""
    parts = [
        columns(["ids per second", "median", "min to max", "times redis-py"], _rates(result)),
        result["redis_benchmark"]["command"],
        columns(["pipeline", "wbd", "redis-server", "ratio", "min to max"], _pipelines(result)),
        "\n\n".join(sentences(result)),
        columns(["target", "result", "met"], aim_rows(aims(result))),
        provenance(result),
    ]
    return "\n\n".join(parts) + "\n"


def _rates(result: dict[str, Any]) -> list[list[str]]:
    rows = []
    for row in result["rates"].values():
        rate, times = row["ids_per_s"], row["times_redis_py"]["median"]
        times_text = f"{times:,.0f}" if times >= 10 else f"{times:.2g}"
        rows.append([row["label"], short(rate["median"]), f"{short(rate['min'])} to {short(rate['max'])}", times_text])
    return rows


def _pipelines(result: dict[str, Any]) -> list[list[str]]:
    rows = []
    for pipeline, row in result["redis_benchmark"]["pipelines"].items():
        ratio = row["ratio"]
        rates = [short(row[name]["median"]) for name in ("wbd_per_s", "redis_per_s")]
        rows.append([pipeline, *rates, f"{ratio['median']:.2f}", f"{ratio['min']:.2f} to {ratio['max']:.2f}"])
    return rows


def sentences(result: dict[str, Any]) -> list[str]:
    """Return one paragraph on latency and one on the outage."""
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
        f"{outage['seconds_without_database']:g} s without a database at {outage['ids_per_s']:,} ids per second: "
        f"{outage['ids']:,} ids, {outage['errors']} errors. The ring held {outage['ids_left_then']:,} ids at the start "
        f"of the outage, after {outage['warm_up_s']:g} s at that rate from an empty table.",
    ]


def provenance(result: dict[str, Any]) -> str:
    """Return how, with which versions, and on which machine the figures were measured."""
    machine = result["machine"]
    rivals = ", ".join(f"{name} {version}" for name, version in result["rivals"].items())
    runs = result["rates"]["next"]["ids_per_s"]["runs"]
    return (
        f"Measured by `{result['command']}`: medians of {runs} interleaved runs, with ratios taken within each round. "
        f"Machine: {machine['cores']} cores ({machine['processor']}), Linux {machine['kernel']}, Python "
        f"{machine['python']}. Rivals: {rivals}. Each committed update waits for the disk, which confirms a small "
        f"write in {machine['fdatasync_us']:.0f} µs."
    )


def svg(result: dict[str, Any]) -> str:
    """Return the chart."""
    rates = result["rates"]
    rows = [Bar(label, side, rates[key]["ids_per_s"]["median"]) for key, (label, side) in _BARS.items()]
    return bars("Ids per second (logarithmic; blue is wbd)", "ids per second, on a logarithmic scale", rows, short)


def write(result: dict[str, Any]) -> None:
    """Write the section of docs/benchmarks.md, its chart, and the summary in README.md."""
    SECTION.write(markdown(result), svg(result))
    summary.write()


if __name__ == "__main__":
    write(recorded())
    sys.exit(0)
