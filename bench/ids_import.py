"""What does `import wbd.ids` cost a process that takes ids: milliseconds, and megabytes of memory?

Rows, in turns, each run a fresh interpreter without site-packages' start-up files (`python -I -S`):
  wbd.ids             IdClient and all other names but AsyncIdClient
  wbd.ids, async      the same and AsyncIdClient, which loads asyncio
  redis               redis-py, the usual client of a Redis server
  asyncio             the standard library's, for comparison

Time is the processor time of the import statement, so that other work of the machine does not count; memory is the
growth of the process's resident set. One run of each row before the first timed one compiles the modules and fills the
disk's cache.

    python -m bench.ids_import [--runs 20] [--json]

The figures go to bench/results/ids_import.json, and from there into docs/ids.md, between two markers.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import orjson

from bench.figures import ROOT, Section, columns
from bench.machine import RESULTS, facts, spread

PAGE = ROOT / "docs" / "ids.md"
SECTION = Section("ids_import")
ROWS = {
    "wbd.ids": "import wbd.ids",
    "wbd.ids, async": "from wbd.ids import AsyncIdClient, IdClient",
    "redis": "import redis",
    "asyncio": "import asyncio",
}
_RUN = """
import sys
sys.path[:0] = sys.argv[1:]
with open("/proc/self/statm") as file:
    pages_before = int(file.read().split()[1])
from time import process_time
begun = process_time()
{statement}
took_s = process_time() - begun
with open("/proc/self/statm") as file:
    pages = int(file.read().split()[1]) - pages_before
print(took_s * 1e3, pages)
"""
_PAGE_BYTES = 4096


def one_run(statement: str, root: Path) -> tuple[float, float]:
    """Return processor milliseconds and megabytes of one import in a fresh interpreter, with wbd from *root*."""
    code = _RUN.format(statement=statement)
    command = [sys.executable, "-I", "-S", "-c", code, str(root), sysconfig.get_path("purelib")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    took_ms, pages = done.stdout.split()
    return float(took_ms), int(pages) * _PAGE_BYTES / 1e6


def measure(runs: int, root: Path = ROOT) -> dict[str, Any]:
    """Time all rows in turns."""
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in ROWS}
    for turn in range(runs + 1):
        for name, statement in ROWS.items() if turn % 2 == 0 else reversed(ROWS.items()):
            cost = one_run(statement, root)
            if turn:
                took[name].append(cost)
    return {
        "question": "milliseconds and megabytes of the import of a client of ids",
        "command": f"python -m bench.ids_import --runs {runs}",
        "rows": {
            name: {
                "statement": ROWS[name],
                "ms": spread([ms for ms, _ in values]),
                "mb": spread([mb for _, mb in values]),
            }
            for name, values in took.items()
        },
        "machine": facts(),
    }


def sentence(result: dict[str, Any]) -> str:
    """Return the figures as docs/ids.md states them."""

    def cost(name: str) -> str:
        row = result["rows"][name]
        return f"{row['ms']['median']:.0f} ms and {row['mb']['median']:.1f} MB"

    runs, machine = result["rows"]["wbd.ids"]["ms"]["runs"], result["machine"]
    return (
        f"`import wbd.ids` takes {cost('wbd.ids')} in a fresh interpreter, and {cost('wbd.ids, async')} with "
        f"`AsyncIdClient`, which loads asyncio; `import redis` beside it takes {cost('redis')}. (Processor time and "
        f"resident memory, medians of {runs} runs by `{result['command']}`, {machine['processor']}, Python "
        f"{machine['python']}.)"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20, help="runs of each row, in turns; 20")
    parser.add_argument("--json", action="store_true", help="print the result as JSON instead of the table")
    args = parser.parse_args()
    if args.runs < 1:
        parser.error(f"--runs {args.runs}: at least 1 is needed")
    result = measure(args.runs)
    data = orjson.dumps(result, option=orjson.OPT_INDENT_2) + b"\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "ids_import.json").write_bytes(data)
    PAGE.write_text(SECTION.replaced(PAGE.read_text(), sentence(result)))
    rows = [
        [name, *(f"{row[unit][which]:.1f}" for unit in ("ms", "mb") for which in ("median", "min", "max"))]
        for name, row in result["rows"].items()
    ]
    table = columns(["import of", "ms", "min", "max", "MB", "min", "max"], rows)
    print(data.decode() if args.json else f"{table}\n\n{sentence(result)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
