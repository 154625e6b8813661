"""The recorded figures of diffs, as tables for docs/benchmarks.md, a chart, and text for a terminal.

    python -m bench.diff_figures

writes the section between the two markers in docs/benchmarks.md, docs/diff.svg, and the summary in README.md from
bench/results/diff.json; harmless when repeated. bench.diff does the same after a run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from bench import summary
from bench.figures import Bar, Section, aim_rows, bars, columns, short, table, took

SECTION = Section("diff")

# The edit that adds a blank node; rivals differ most there.
SHOWN, PLAIN = "unknown value", "qualifier"
_LARGE = "large"
# Two readings of "an item of 29 KB": the size of its Special:EntityData document, and the size of its snapshot.
_ITEMS = ("middle", "dense")


def _power(ms: float) -> str:
    text = took(ms)
    number, _, unit = text.partition(" ")
    return f"{float(number):g} {unit}"


def aims(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each target, its result, and whether the result meets it; the slowest edit counts."""
    sizes = result["sizes"]
    large_ms = _slowest(sizes[_LARGE]["rivals"]["wbd"])
    rows = [
        ("0 spurious triples, of wbd, in any edit", f"{_spurious_in_all(sizes)}", _spurious_in_all(sizes) == 0),
        (f"{sizes[_LARGE]['label']}, snapshots to event, at most 15 ms", took(large_ms), large_ms <= 15),
    ]
    for key in _ITEMS:
        item_ms = _slowest(sizes[key]["rivals"]["wbd"])
        kb = sizes[key]["snapshot_bytes"] / 1000
        label = f"{sizes[key]['label']}, a snapshot of {kb:.0f} kB, at most 0.35 ms"
        rows.append((label, took(item_ms), item_ms <= 0.35))
    times = min(row["times_wbd_turtle"]["median"] for row in sizes[_LARGE]["rivals"]["rdflib"]["edits"].values())
    rows.append(("Turtle to Turtle, at least 25 x rdflib's parse and difference", f"{times:.1f} x", times >= 25))
    mapped = result["mapping"][_LARGE]["mapped_per_s"]["median"]
    rows.append(("mapping, at least 300 k triples/s in one process", f"{short(mapped)} triples/s", mapped >= 300e3))
    rate = result["pipeline"]["diffs_per_s"]["median"]
    rows.append(("end to end, at least 1,000 revisions/s in one process", f"{rate:,.0f} revisions/s", rate >= 1000))
    return [{"aim": aim, "reached": reached, "met": met} for aim, reached, met in rows]


def _slowest(rival: dict[str, Any]) -> float:
    return float(max(row["ms"]["median"] for row in rival["edits"].values()))


def _spurious_in_all(sizes: dict[str, Any]) -> int:
    return sum(
        row["spurious"] + row["missing"]
        for size in sizes.values()
        for key in ("wbd", "wbd_turtle")
        for row in size["rivals"][key]["edits"].values()
    )


_EDIT_NOTE = "From the JSON snapshots of both revisions to the finished event, one edit of each kind:"


def markdown(result: dict[str, Any]) -> str:
    """Return the section of docs/benchmarks.md, without its markers."""
    label = result["sizes"][_LARGE]["label"]
    picture = SECTION.picture.name
    lines = [f"![Time to diff one edit of {label}, on a logarithmic scale]({picture})", ""]
    lines += [_rivals_note(result), "", *table(_rival_head(result), _rival_rows(result))]
    lines += ["", _EDIT_NOTE, "", *table(*_edit_table(result))]
    lines += ["", *table(*_statement_table(result))]
    for sentence in sentences(result):
        lines += ["", sentence]
    lines += ["", *table(["target", "result", "met"], aim_rows(aims(result)))]
    return "\n".join([*lines, "", provenance(result)])


def plain(result: dict[str, Any]) -> str:
    """Return the same figures as text for a terminal."""
    parts = [
        _rivals_note(result),
        columns(_rival_head(result), _rival_rows(result)),
        _EDIT_NOTE,
        columns(*_edit_table(result)),
        columns(*_statement_table(result)),
        "\n\n".join(sentences(result)),
        columns(["target", "result", "met"], aim_rows(aims(result))),
        provenance(result),
    ]
    return "\n\n".join(parts) + "\n"


def _rivals_note(result: dict[str, Any]) -> str:
    large = result["sizes"][_LARGE]
    change = large["edits"][SHOWN]
    return (
        "The edit adds a qualifier with an unknown value, and with it a blank node: it adds "
        f"{change['added']} triples to {large['label']} and removes {change['removed']}, out of "
        f"{large['export_triples']:,} in its export. Spurious triples are those in a diff that did not change; the "
        "last column counts them for a qualifier with a known value. (Comparing blank nodes by their given labels is "
        "correct only for Wikibase's own exports.)"
    )


def _rival_head(result: dict[str, Any]) -> list[str]:
    sizes = [size["label"] for size in result["sizes"].values()]
    label = result["sizes"][_LARGE]["label"]
    return ["", *sizes, f"times wbd, {label}", f"spurious, {label}", "known value"]


def _rival_rows(result: dict[str, Any]) -> list[list[str]]:
    sizes = result["sizes"]
    rows = []
    for key, large in _everybody(sizes[_LARGE]):
        times = []
        for size in sizes.values():
            row = size["rivals"][key]["edits"][SHOWN] if key in size["rivals"] else size["slow"].get(key)
            times.append(_time(row))
        is_quick = key in sizes[_LARGE]["rivals"]
        shown = large["edits"][SHOWN] if is_quick else large
        known = f"{large['edits'][PLAIN]['spurious']:,}" if is_quick else "-"
        ratio, spurious = "-", "-"
        if "ms" in shown:
            ratio, spurious = _times(shown["times_wbd"]["median"]), f"{shown['spurious']:,}"
        rows.append([large["label"], *times, ratio, spurious, known])
    return rows


def _everybody(large: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from large["rivals"].items()
    yield from large["slow"].items()


def _time(row: dict[str, Any] | None) -> str:
    if row is None:
        return "-"
    return took(row["ms"]["median"]) if "ms" in row else f"over {row['limit_s']:g} s"


def _times(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.2g}"


def _edit_table(result: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    sizes = result["sizes"]
    head = ["", *[size["label"] for size in sizes.values()], "min to max", "added and removed"]
    rows = []
    for edit, change in sizes[_LARGE]["edits"].items():
        times = [size["rivals"]["wbd"]["edits"][edit]["ms"] for size in sizes.values()]
        span = f"{took(times[0]['min'])} to {took(times[0]['max'])}"
        row = [edit, *[took(time["median"]) for time in times], span, f"{change['added']} and {change['removed']}"]
        rows.append(row)
    head[-2] += f", {sizes[_LARGE]['label']}"
    head[-1] += f", {sizes[_LARGE]['label']}"
    return head, rows


def _statement_table(result: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    rows = [
        [
            f"{row['statements']:,}",
            f"{row['triples']:,}",
            f"{row['snapshot_bytes'] / 1000:,.0f} kB",
            took(row["ms"]["median"]),
            took(1000 * row["ms"]["median"] / row["statements"]),
        ]
        for row in result["statements"]
    ]
    return ["statements in the item", "triples", "snapshot", "one edit to event", "per 1,000 statements"], rows


def sentences(result: dict[str, Any]) -> list[str]:
    """Return one paragraph each on the items, the mapping, several processes, and the pipeline."""
    sizes, processes, pipeline = result["sizes"], result["processes"], result["pipeline"]
    items = ", ".join(
        f"{size['label']} (a snapshot of {size['snapshot_bytes'] / 1000:.0f} kB, {size['statements']} statements, "
        f"{size['triples']:,} triples{'' if size['source'] == 'corpus' else ', generated'})"
        for size in sizes.values()
    )
    rates = ", ".join(
        f"{size['label']} {short(result['mapping'][key]['mapped_per_s']['median'])}"
        f" ({short(result['mapping'][key]['turtle_per_s']['median'])} including writing Turtle)"
        for key, size in sizes.items()
    )
    rows = processes["rows"]
    one, two = rows["1"]["diffs_per_s"]["median"], rows["2"]
    pipeline_rate = pipeline["diffs_per_s"]
    return [
        f"The items: {items}.",
        f"Triples mapped per second in one process: {rates}.",
        "Diffs per second of the smaller items "
        f"({processes['snapshot_bytes_a_diff'] / 1000:.0f} kB of snapshots each): "
        f"{short(one)} in the worker's own process, {short(two['diffs_per_s']['median'])} with "
        f"`entity_diff_processes` at 2 ({two['times_one']['median']:.2f} x).",
        "From MariaDB and the object store to Kafka (acks=all), one worker process: "
        f"{pipeline_rate['median']:,.0f} revisions/s "
        f"({pipeline_rate['min']:,.0f} to {pipeline_rate['max']:,.0f}, {pipeline_rate['runs']} runs of "
        f"{pipeline['revisions']:,} small generated revisions). The import before it ran "
        f"at {pipeline['imported_per_s']['median']:,.0f} revisions/s.",
    ]


def provenance(result: dict[str, Any]) -> str:
    """Return how, with which versions, and on which machine the figures were measured."""
    machine = result["machine"]
    rivals = ", ".join(f"{name} {version}" for name, version in result["rivals"].items())
    runs = result["mapping"][_LARGE]["mapped_per_s"]["runs"]
    return (
        f"Measured by `{result['command']}`: medians of {runs} interleaved runs, with ratios taken within each round; "
        f"rdflib and PyLD canonicalized {result['sizes'][_LARGE]['label']} once. Machine: {machine['cores']} cores "
        f"({machine['processor']}), Linux {machine['kernel']}, Python {machine['python']}. Rivals: {rivals}. The real "
        "entities come from Wikidata (CC0) and are not part of wbd; without them the bench generates entities of the "
        "same size."
    )


def svg(result: dict[str, Any]) -> str:
    """Return the chart."""
    large = result["sizes"][_LARGE]
    rows = []
    for key, row in _everybody(large):
        shown = row["edits"][SHOWN] if "edits" in row else row
        if "ms" in shown:
            rows.append(Bar(row["label"], "ours" if key.startswith("wbd") else "theirs", shown["ms"]["median"]))
    title = f"Time to diff one edit of {large['label']} (logarithmic; shorter is better; blue is wbd)"
    return bars(title, f"time to diff one edit of {large['label']}, on a logarithmic scale", rows, took, _power)


def write(result: dict[str, Any]) -> None:
    """Write the section of docs/benchmarks.md, its chart, and the summary in README.md."""
    SECTION.write(markdown(result), svg(result))
    summary.write()


if __name__ == "__main__":
    write(SECTION.recorded())
    sys.exit(0)
