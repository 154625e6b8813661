"""Write the files that follow from the table of workers and the settings: ``python -m scripts.generate``.

Reads:   wbd/runtime/table.py, wbd/settings, the docstrings of wbd/workers, the parsers of wbd/cli.py,
         pyproject.toml
Writes:  supervisord.conf, docs/settings.md, docs/workers.md, docs/commands.md, the table of workers in README.md, the
         layers in ARCHITECTURE.md; with --check nothing
Repeats: harmless; the same sources give the same bytes
"""

from __future__ import annotations

import argparse
import ast
import sys
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, SecretStr

from scripts.command_page import command_page
from wbd.group.supervisord import render_production, worker_program
from wbd.runtime.table import WORKERS, WorkerSpec
from wbd.settings.settings import Settings, subjects
from wbd.settings.state_dir import DEFAULT_STATE_DIR

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- {}: begin -->", "<!-- {}: end -->"
# Their defaults depend on the user's home folder.
_FOLDERS = {"wbd_state_dir": str(DEFAULT_STATE_DIR), "wbd_cache_dir": "~/.cache/wbd"}

_SETTINGS_HEAD = """\
# Settings

A setting is an environment variable in capitals (`LOG_LEVEL`), or a line of a settings file: `/etc/wbd/wbd.env`, or the
file that `WBD_SETTINGS_FILE` names. `wbd config` prints the settings in force and the source of each. An empty default
means that the setting is not set.

Settings of workers that do not exist yet are checked like all others and have no effect.

This page is written by `make generate` from `wbd/settings/`.
"""

_WORKERS_HEAD = """\
# Workers

Each worker is one operating-system process under supervisord. The columns mean:

- *runs*: when the worker does a step. A worker that polls waits only while there is nothing to do.
- *switched off by*: the setting that keeps the worker from working when it is `false`.
- *drains within*: how long the worker may finish its step after SIGTERM. supervisord sends SIGKILL 5 s later.
- *memory*: upper bound of its resident memory in normal operation, for sizing a host and for alerts on
  `process_resident_memory_bytes`.

This page is written by `make generate` from `wbd/runtime/table.py` and the docstrings of `wbd/workers/`.
"""


def generated(root: Path = ROOT) -> dict[Path, str]:
    """Return the text of each generated file by its path below *root*; of README.md only the table is replaced."""
    return {
        Path("supervisord.conf"): render_production([worker_program(spec, "python") for spec in WORKERS]),
        Path("docs/settings.md"): settings_page(),
        Path("docs/commands.md"): command_page(),
        Path("docs/workers.md"): workers_page(),
        Path("ARCHITECTURE.md"): with_block((root / "ARCHITECTURE.md").read_text(), layers(), "layers"),
        Path("README.md"): with_block((root / "README.md").read_text(), short_table(WORKERS)),
    }


def differing(root: Path) -> list[Path]:
    """Return the generated files below *root* whose text is not what the sources give."""
    texts = generated(root).items()
    return [path for path, text in texts if not (root / path).is_file() or (root / path).read_text() != text]


def settings_page() -> str:
    """Return docs/settings.md: one table for each subject."""
    parts = [_SETTINGS_HEAD]
    for subject in subjects():
        rows = [_setting_row(name) for name in subject.own_fields()]
        introduction = subject.introduction()
        parts += [f"## {subject.heading()}\n", f"{introduction}\n", _table(("setting", "default", "meaning"), rows)]
    return "\n".join(parts)


def workers_page() -> str:
    """Return docs/workers.md: the full table, and what each worker reads and writes."""
    headings = ("worker", "task", "runs", "processes", "switched off by", "drains within", "memory")
    rows = [
        (
            f"`{spec.name}`" + (" (essential)" if spec.essential else ""),
            spec.summary,
            _runs(spec),
            f"1, and those of `{spec.processes_setting}`" if spec.processes_setting else "1",
            f"`{spec.enabled_setting}`" if spec.enabled_setting else "",
            f"{spec.drain_s:g} s",
            f"{spec.rss_limit_mb} MB",
        )
        for spec in WORKERS
    ]
    parts = [_WORKERS_HEAD, _table(headings, rows), "The group is unhealthy when an essential worker does not work.\n"]
    for spec in WORKERS:
        first, facts = _docstring(spec)
        parts += [f"## {spec.name}\n", f"{first}\n", "".join(f"- *{key}*: {text}\n" for key, text in facts)]
    return "\n".join(parts)


def short_table(workers: Iterable[WorkerSpec]) -> str:
    """Return the table of README.md."""
    return _table(("worker", "task", "runs"), [(f"`{spec.name}`", spec.summary, _runs(spec)) for spec in workers])


def with_block(text: str, block: str, name: str = "workers") -> str:
    """
    Return *text* with *block* between the markers called *name*.

    Raises:
        SystemExit: a marker is missing.
    """
    begin, end = BEGIN.format(name), END.format(name)
    if text.count(begin) != 1 or text.count(end) != 1:
        raise SystemExit(f"the lines {begin} and {end} are needed once each")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{block}{end}{after}"


def layers() -> str:
    """Return the layers that import-linter holds, top to bottom, as a block for ARCHITECTURE.md."""
    (contract,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    lines = [str(layer).replace("wbd.", "") for layer in contract["layers"]]
    return "\n".join(["```text", *lines, "```", ""])


def default_text(name: str) -> str:
    """Return the default of a setting as a user would write it; "" when it is not set."""
    if name in _FOLDERS:
        return _FOLDERS[name]
    if name not in Settings.model_fields:
        raise SystemExit(f"setting {name} unknown; the table of workers names it, and no class of wbd/settings has it")
    value: Any = Settings.model_fields[name].default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None:
        return ""
    return f"{value:04o}" if name.endswith("_mode") else str(value)


def _setting_row(name: str) -> tuple[str, str, str]:
    field = Settings.model_fields[name]
    aliases = field.validation_alias
    others = [str(other) for other in aliases.choices if other != name] if isinstance(aliases, AliasChoices) else []
    shown = f"`{name}`" + (f" (also {', '.join(f'`{other}`' for other in others)})" if others else "")
    default = default_text(name)
    return shown, f"`{default}`" if default else "", field.description or ""


def _runs(spec: WorkerSpec) -> str:
    if spec.schedule_setting is not None:
        return f"at `{default_text(spec.schedule_setting)}` UTC (`{spec.schedule_setting}`)"
    if spec.poll_setting is not None:
        return f"continuously; polls every `{spec.poll_setting}`"
    return "continuously"


def _docstring(spec: WorkerSpec) -> tuple[str, list[tuple[str, str]]]:
    """Return the first line of a worker's docstring, and its Reads, Writes, Repeats and Schedule."""
    source = ROOT.joinpath(*spec.module.split(".")).with_suffix(".py").read_text()
    lines = (ast.get_docstring(ast.parse(source)) or "").splitlines()
    facts: list[tuple[str, str]] = []
    for line in lines[2:]:
        if not line:
            break
        key, colon, text = line.partition(":")
        if colon and not line.startswith(" "):
            facts.append((key, text.strip()))
        else:
            facts[-1] = (facts[-1][0], f"{facts[-1][1]} {line.strip()}")
    return lines[0], facts


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [_line(headings), _line(["---"] * len(headings)), *(_line(row) for row in rows)]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or with --check name those that differ; the exit code is 1 then."""
    parser = argparse.ArgumentParser(prog="python -m scripts.generate", description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a committed file differs")
    check = parser.parse_args(arguments).check
    changed = differing(ROOT)
    if check:
        for path in changed:
            sys.stderr.write(f"{path} is not what its sources give; run: make generate\n")
        return 1 if changed else 0
    texts = generated()
    for path in changed:
        (ROOT / path).write_text(texts[path])
        sys.stdout.write(f"wrote {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
