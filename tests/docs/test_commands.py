"""The commands on the pages do what the pages show, on one embedded group."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import free_port, wbd_cache_dir, without
from tests.docs.pages import ROOT, Block, Command, all_blocks, matches
from wbd.demo.run import remove
from wbd.settings.load import environment_with
from wbd.stack.kafka import KafkaBroker
from wbd.stack.mariadb import MariaDB

START = "wbd up -d"
_PORT = "8080"
# The group's first page comes first: the others may use what it imports.
_FIRST = "docs/get-started.md"


@dataclass
class Shell:
    """A user's shell in a copy of the examples, with a home folder of its own and a group that runs in it."""

    home: Path
    env: dict[str, str]
    port: str
    ran: dict[str, subprocess.CompletedProcess[str]] = field(default_factory=dict)

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run one line of a page; the group is started only once."""
        if line in self.ran and line == START:
            return self.ran[line]
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line.replace(_PORT, self.port)],
            env=self.env,
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=180,
        )
        done.stdout = done.stdout.replace(self.port, _PORT)
        self.ran[line] = done
        return done


@pytest.fixture(scope="module")
def shell() -> Iterator[Shell]:
    for reason in (MariaDB.why_missing(), KafkaBroker.why_missing(wbd_cache_dir())):
        if reason:
            without(reason)
    for program in ("curl", "jq", "redis-cli"):
        if shutil.which(program) is None:
            without(f"{program} not found")
    home = Path(tempfile.mkdtemp(prefix="wbd-d-"))
    shutil.copytree(ROOT / "examples", home / "examples")
    port = str(free_port())
    env = environment_with(
        HOME=str(home),
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        METRICS_PORT=port,
        WBD_CACHE_DIR=str(wbd_cache_dir().absolute()),
        ENTITY_DIFF_POLL_INTERVAL="1",
        COLUMNS="160",
    )
    for name in ("WBD_STATE_DIR", "XDG_STATE_HOME"):
        env.pop(name, None)
    shell = Shell(home, env, port)
    try:
        shell.run(START)
        yield shell
    finally:
        shell.run("wbd down")
        remove(home)


def run_blocks() -> list[Block]:
    blocks = [block for block in all_blocks() if block.is_run]
    return sorted(blocks, key=lambda block: block.page != _FIRST)


def complaint(command: Command, done: subprocess.CompletedProcess[str]) -> str | None:
    """Return how a run differs from the page; None when it does not."""
    if done.returncode != command.exit_code:
        return f"exit code {done.returncode}, the page says {command.exit_code}"
    return None if matches(command.output, done.stdout) else "the output has another shape"


@pytest.mark.parametrize("block", run_blocks(), ids=lambda block: block.place)
def test_the_commands_of_a_page_print_what_the_page_shows(shell: Shell, block: Block) -> None:
    for command in block.commands():
        done = shell.run(command.line)
        fault = complaint(command, done)
        shown = "\n".join(command.output)
        assert fault is None, f"{block.place}: $ {command.line}\n{fault}\n{done.stdout}\nthe page shows:\n{shown}"


def test_commands_that_another_page_runs_are_on_that_page() -> None:
    run = {(block.page, command.line) for block in run_blocks() for command in block.commands()}
    for block in all_blocks():
        if block.marker == "run in":
            page = f"docs/{block.reason}.md"
            for command in block.commands():
                words = [line for name, line in run if name == page and line.split()[:3] == command.line.split()[:3]]
                assert words, f"{block.place}: {page} does not run {command.line}"


def test_a_command_that_prints_something_else_is_noticed() -> None:
    done = subprocess.CompletedProcess("wbd down", 0, "wbd: nothing runs\n")
    assert complaint(Command("wbd down", ("wbd: stopped",)), done) == "the output has another shape"
    assert complaint(Command("wbd down", (), 1), done) == "exit code 0, the page says 1"
