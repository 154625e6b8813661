"""Three recorded figures as the summary in README.md.

    python -m bench.summary

Reads:   bench/results/ids.json, bench/results/diff.json
Writes:  the section of README.md between ``<!-- figures: begin -->`` and ``<!-- figures: end -->``
Repeats: harmless
"""

from __future__ import annotations

import sys

from bench.figures import README, Section, short, took

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def markdown() -> str:
    """Return the three figures as a Markdown list."""
    ids, diff = Section("ids").recorded(), Section("diff").recorded()
    one = ids["rates"]["next"]
    large = diff["sizes"]["large"]
    mine, theirs = (large["rivals"][name]["edits"]["unknown value"]["ms"]["median"] for name in ("wbd", "rdflib"))
    pipeline = diff["pipeline"]["diffs_per_s"]["median"]
    return "\n".join(
        [
            f"- **{short(one['ids_per_s']['median'])} ids per second** in one Python process, from shared memory: "
            f"{one['times_redis_py']['median']:,.0f} times redis-py's `INCR`.",
            f"- **{mine:.2f} ms** from the two snapshots of one {large['label']} edit ({large['statements']} "
            f"statements) to the finished event; rdflib takes {took(theirs)} to diff the same edit.",
            f"- **{pipeline:,.0f} revisions per second** from MariaDB and the object store to Kafka "
            "with one worker process.",
        ]
    )


def section(readme: str) -> str:
    """Return the text between the markers. Raises ValueError when a marker is missing."""
    return readme[readme.index(BEGIN) + len(BEGIN) : readme.index(END)].strip("\n")


def write() -> None:
    """Write the summary into README.md."""
    readme = README.read_text()
    before, after = readme[: readme.index(BEGIN)], readme[readme.index(END) :]
    README.write_text(f"{before}{BEGIN}\n{markdown()}\n{after}")


if __name__ == "__main__":
    write()
    sys.exit(0)
