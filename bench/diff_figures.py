"""The recorded figures of diffs, as tables for README.md, a picture, and text for a terminal.

    python -m bench.diff_figures

writes the section of README.md between its two markers, and docs/diff.svg, from bench/results/diff.json; harmless when
repeated. bench.diff does the same after a run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from bench.figures import ROOT, Bar, Section, aim_rows, bars, columns, short, table

SECTION = Section("diff")

# The edit that brings a blank node, which is where rivals differ most.
SHOWN, PLAIN = "unknown value", "qualifier"
_LARGE = "large"
# Both of them are items of 29 KB to somebody: as Special:EntityData sends it, and as a snapshot.
_ITEMS = ("middle", "dense")


def took(ms: float) -> str:
    """Return a time with three digits that count."""
    if ms >= 1e3:
        return f"{_three(ms / 1e3)} s"
    return f"{_three(ms)} ms" if ms >= 0.1 else f"{_three(ms * 1e3)} µs"


def _three(value: float) -> str:
    # 100, 10.0, 1.00, 0.100; no exponent, however large.
    return f"{value:.0f}" if value >= 99.95 else f"{value:#.3g}"


def _power(ms: float) -> str:
    text = took(ms)
    number, _, unit = text.partition(" ")
    return f"{float(number):g} {unit}"


def aims(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what was aimed at, what came out, and whether that is enough; of several edits the slowest counts."""
    sizes = result["sizes"]
    large_ms = _slowest(sizes[_LARGE]["rivals"]["wbd"])
    found = [
        ("0 spurious triples, of wbd, in any edit", f"{_spurious_in_all(sizes)}", _spurious_in_all(sizes) == 0),
        (f"{sizes[_LARGE]['label']}, snapshots to event, at most 15 ms", took(large_ms), large_ms <= 15),
    ]
    for key in _ITEMS:
        item_ms = _slowest(sizes[key]["rivals"]["wbd"])
        kb = sizes[key]["snapshot_bytes"] / 1000
        label = f"{sizes[key]['label']}, a snapshot of {kb:.0f} kB, at most 0.35 ms"
        found.append((label, took(item_ms), item_ms <= 0.35))
    times = min(row["times_wbd_turtle"]["median"] for row in sizes[_LARGE]["rivals"]["rdflib"]["edits"].values())
    found.append(("Turtle to Turtle, at least 25 x rdflib's parse and difference", f"{times:.1f} x", times >= 25))
    mapped = result["mapping"][_LARGE]["mapped_per_s"]["median"]
    found.append(("mapping, at least 300 k triples/s in one process", f"{short(mapped)} triples/s", mapped >= 300e3))
    rate = result["pipeline"]["diffs_per_s"]["median"]
    found.append(("end to end, at least 1,000 revisions/s in one process", f"{rate:,.0f} revisions/s", rate >= 1000))
    return [{"aim": aim, "reached": reached, "met": met} for aim, reached, met in found]


def _slowest(rival: dict[str, Any]) -> float:
    return float(max(row["ms"]["median"] for row in rival["edits"].values()))


def _spurious_in_all(sizes: dict[str, Any]) -> int:
    return sum(
        row["spurious"] + row["missing"]
        for size in sizes.values()
        for key in ("wbd", "wbd_turtle")
        for row in size["rivals"][key]["edits"].values()
    )


_EDIT_NOTE = "Snapshots of both revisions in JSON to the event, for one edit of each kind:"


def markdown(result: dict[str, Any]) -> str:
    """Return the section of README.md, without its markers."""
    label = result["sizes"][_LARGE]["label"]
    picture = SECTION.picture.relative_to(ROOT)
    lines = [f"![Time to the diff of an edit of {label}, on a logarithmic scale]({picture})", ""]
    lines += [_rivals_note(result), "", *table(_rival_head(result), _rival_rows(result))]
    lines += ["", _EDIT_NOTE, "", *table(*_edit_table(result))]
    lines += ["", *table(*_statement_table(result))]
    for sentence in sentences(result):
        lines += ["", sentence]
    lines += ["", *table(["aimed at", "reached", ""], aim_rows(aims(result)))]
    return "\n".join([*lines, "", provenance(result)])


def plain(result: dict[str, Any]) -> str:
    """Return the same for a terminal."""
    parts = [
        _rivals_note(result),
        columns(_rival_head(result), _rival_rows(result)),
        _EDIT_NOTE,
        columns(*_edit_table(result)),
        columns(*_statement_table(result)),
        "\n\n".join(sentences(result)),
        columns(["aimed at", "reached", ""], aim_rows(aims(result))),
        provenance(result),
    ]
    return "\n\n".join(parts) + "\n"


def _rivals_note(result: dict[str, Any]) -> str:
    large = result["sizes"][_LARGE]
    change = large["edits"][SHOWN]
    return (
        f"One edit, a qualifier with an unknown value, which brings a blank node: {change['added']} triples come and "
        f"{change['removed']} go on {large['label']}, of {large['export_triples']:,} in its export. Spurious are "
        "triples in a diff that are no change, here and for a qualifier with a known value. (Labels as they are given "
        "do for Wikibase's own exports alone.)"
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
    head = ["", *[size["label"] for size in sizes.values()], "min to max", "came and went"]
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
    return ["statements of the item", "triples", "snapshot", "one edit to event", "for 1,000 statements"], rows


def sentences(result: dict[str, Any]) -> list[str]:
    """Return what sizes, mapping, processes and pipeline say."""
    sizes, processes, pipeline = result["sizes"], result["processes"], result["pipeline"]
    items = ", ".join(
        f"{size['label']} ({size['snapshot_bytes'] / 1000:.0f} kB as a snapshot, {size['statements']} statements, "
        f"{size['triples']:,} triples{'' if size['source'] == 'corpus' else ', generated'})"
        for size in sizes.values()
    )
    rates = ", ".join(
        f"{size['label']} {short(result['mapping'][key]['mapped_per_s']['median'])}"
        f" ({short(result['mapping'][key]['turtle_per_s']['median'])} with Turtle written)"
        for key, size in sizes.items()
    )
    rows = processes["rows"]
    one, two = rows["1"]["diffs_per_s"]["median"], rows["2"]
    pipeline_rate = pipeline["diffs_per_s"]
    return [
        f"The items: {items}.",
        f"Triples a second of the mapping, one process: {rates}.",
        f"Diffs a second of the smaller items ({processes['snapshot_bytes_a_diff'] / 1000:.0f} kB of snapshots each): "
        f"{short(one)} in the worker's own process, {short(two['diffs_per_s']['median'])} with "
        f"`entity_diff_processes` at 2 ({two['times_one']['median']:.2f} x).",
        f"From MariaDB and objects to Kafka (acks=all), one worker process: {pipeline_rate['median']:,.0f} revisions/s "
        f"({pipeline_rate['min']:,.0f} to {pipeline_rate['max']:,.0f}, {pipeline_rate['runs']} runs of "
        f"{pipeline['revisions']:,} small generated revisions); imported before at "
        f"{pipeline['imported_per_s']['median']:,.0f}/s.",
    ]


def provenance(result: dict[str, Any]) -> str:
    """Return what was measured with what, where."""
    machine = result["machine"]
    rivals = ", ".join(f"{name} {version}" for name, version in result["rivals"].items())
    runs = result["mapping"][_LARGE]["mapped_per_s"]["runs"]
    return (
        f"Medians of {runs} runs in turns, ratios within each turn, canonical forms on "
        f"{result['sizes'][_LARGE]['label']} by rdflib and PyLD once, by `{result['command']}` on {machine['cores']} "
        f"cores ({machine['processor']}), Linux {machine['kernel']}, Python {machine['python']}; {rivals}. Real "
        "entities are Wikidata's (CC0) and no part of wbd; without them the bench generates some of the same size."
    )


def svg(result: dict[str, Any]) -> str:
    """Return the picture."""
    large = result["sizes"][_LARGE]
    rows = []
    for key, row in _everybody(large):
        shown = row["edits"][SHOWN] if "edits" in row else row
        if "ms" in shown:
            rows.append(Bar(row["label"], "ours" if key.startswith("wbd") else "theirs", shown["ms"]["median"]))
    title = f"One edit of {large['label']}, time to its diff (logarithmic; shorter is better; blue is wbd)"
    return bars(title, f"time to the diff of an edit of {large['label']}, on a logarithmic scale", rows, took, _power)


def write(result: dict[str, Any]) -> None:
    """Write the section of README.md and the picture."""
    SECTION.write(markdown(result), svg(result))


if __name__ == "__main__":
    write(SECTION.recorded())
    sys.exit(0)
