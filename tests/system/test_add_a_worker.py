"""The six steps of CONTRIBUTING.md, "Add a worker", taken in a copy of the tree.

1. The worker, wbd/workers/hello.py.
2. Its row in the table of wbd/runtime/table.py.
3. Its settings, in a file of their own in wbd/settings/, and their class among the bases of Settings.
4. The generated files: make generate.
5. Its tests in tests/unit/workers/, with a clock that the test sets.
6. Its line in CHANGELOG.md, then make check and make test.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wbd.demo.run import free_port
from wbd.settings.load import environment_with

ROOT = Path(__file__).parents[2]

WORKER = '''"""Greet at the times of a schedule.

Reads:    nothing
Writes:   a line of the log
Repeats:  harmless
Schedule: hello_schedule
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

from wbd.runtime.process import run_worker
from wbd.runtime.schedule import ScheduledWorker
from wbd.runtime.worker import Run
from wbd.settings.settings import Settings


class HelloTask:
    """Greets once for each due time."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._greeted_for: datetime | None = None
        self._greetings = 0

    def start(self, run: Run) -> None: ...

    def is_done(self, scheduled_at: datetime) -> bool:
        """Return whether this process has greeted for the due time."""
        return scheduled_at == self._greeted_for

    def run_once(self, run: Run, scheduled_at: datetime) -> None:
        """Log one greeting."""
        run.log.info("hello", to=self._name)
        self._greeted_for = scheduled_at
        self._greetings += 1

    def stop(self) -> None: ...

    def health(self) -> dict[str, Any]:
        """Return the number of greetings."""
        return {"greetings": self._greetings}


def build(settings: Settings) -> ScheduledWorker:
    """Wire the task to its settings."""
    return ScheduledWorker(HelloTask(settings.hello_name), settings.hello_schedule)


if __name__ == "__main__":
    sys.exit(run_worker("hello", build))
'''

ROW = """\
    WorkerSpec(
        "hello",
        "greets at the times of a schedule",
        drain_s=5,
        rss_limit_mb=200,
        enabled_setting="hello_enabled",
        schedule_setting="hello_schedule",
    ),
"""

SETTINGS = '''"""Settings of the worker that greets."""

from __future__ import annotations

from pydantic import Field

from wbd.settings.kinds import Cron
from wbd.settings.subject import Subject


class Hello(Subject):
    """Greetings: who is greeted, and when."""

    hello_enabled: bool = Field(True, description="run the worker that greets")
    hello_name: str = Field("world", description="who is greeted")
    hello_schedule: Cron = Field("0 6 * * *", description="when it greets, cron, UTC")
'''

TEST = '''"""Greetings at the times of the schedule."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.build.clock import SetClock
from wbd.runtime import logs
from wbd.runtime.schedule import ScheduledWorker
from wbd.runtime.worker import Run
from wbd.workers.hello import HelloTask


def test_each_day_is_greeted_once() -> None:
    clock = SetClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
    run = Run("hello", "w", logs.get_log("test"), clock)
    worker = ScheduledWorker(HelloTask("world"), "0 6 * * *")
    worker.start(run)
    while clock.at < datetime(2026, 3, 4, tzinfo=UTC):
        clock.advance(worker.step(run) or 1)
    assert worker.health()["greetings"] == 3, "the missed run of the first day, and one each on the next two"
'''


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree in which the six steps were taken."""
    copy = tmp_path_factory.mktemp("copy") / "wbd"
    made = shutil.ignore_patterns(".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "*.egg-info")

    def left_out(folder: str, names: list[str]) -> set[str]:
        return {*made(folder, names), *(["build"] if Path(folder) == ROOT else [])}

    shutil.copytree(ROOT, copy, ignore=left_out, symlinks=True)
    write(copy / "wbd/workers/hello.py", WORKER)
    insert(copy / "wbd/runtime/table.py", before=")\n\n\ndef worker_spec", text=ROW)
    write(copy / "wbd/settings/hello.py", SETTINGS)
    settings = copy / "wbd/settings/settings.py"
    insert(settings, before="from wbd.settings.ids import", text="from wbd.settings.hello import Hello\n")
    insert(settings, after="class Settings(\n", text="    Hello,\n")
    run(copy, "-m", "scripts.generate")
    write(copy / "tests/unit/workers/test_hello.py", TEST)
    with (copy / "CHANGELOG.md").open("a") as file:
        file.write("- A worker that greets.\n")
    return copy


def write(path: Path, text: str) -> None:
    assert not path.exists()
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def insert(path: Path, text: str, before: str = "", after: str = "") -> None:
    old = path.read_text()
    assert old.count(before or after) == 1, f"{path.name}: {before or after!r} is not there once"
    path.write_text(old.replace(before or after, f"{after}{text}{before}"))


def environment(tree: Path, **names: str) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    return environment_with(PYTHONPATH=str(tree), PATH=path, PYTHONDONTWRITEBYTECODE="1", **names)


def run(tree: Path, *words: str, expect: int = 0, **names: str) -> str:
    """Run Python in the copy and return its standard output."""
    done = subprocess.run(
        [sys.executable, *words], cwd=tree, env=environment(tree, **names), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout


def test_the_generated_files_have_the_worker_and_its_settings(tree: Path) -> None:
    assert "command=python -m wbd.workers.hello\n" in (tree / "supervisord.conf").read_text()
    assert "| `hello_name` | `world` | who is greeted |" in (tree / "docs/settings.md").read_text()
    assert "## hello\n\nGreet at the times of a schedule.\n" in (tree / "docs/workers.md").read_text()
    assert "| `hello` | greets at the times of a schedule |" in (tree / "README.md").read_text()


def test_the_checks_pass_and_the_worker_has_a_test_on_a_set_clock(tree: Path) -> None:
    run(tree, "-m", "ruff", "check", "wbd", "tests/unit/workers")
    run(tree, "-m", "ruff", "format", "--check", "wbd", "tests/unit/workers")
    run(tree, "-m", "scripts.generate", "--check")
    tidy = ["tests/tidy/test_generated.py", "tests/tidy/test_supervisord_conf.py"]
    run(tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/workers/test_hello.py", *tidy)


def test_a_forgotten_make_generate_is_caught(tree: Path) -> None:
    conf = tree / "supervisord.conf"
    generated = conf.read_text()
    shutil.copy(ROOT / "supervisord.conf", conf)
    try:
        run(tree, "-m", "scripts.generate", "--check", expect=1)
    finally:
        conf.write_text(generated)


@pytest.fixture(scope="module")
def group(tree: Path) -> Iterator[dict[str, str]]:
    """The production configuration of the copy under a real supervisord, with no server but its own."""
    state = Path(tempfile.mkdtemp(prefix="wbd-t-"))
    for folder in ("run", "log"):
        (state / folder).mkdir(mode=0o700)
    names = {"WBD_STATE_DIR": str(state), "METRICS_PORT": str(free_port()), "HELLO_NAME": "stranger"}
    conf = tree / "supervisord.conf"
    supervisord = subprocess.Popen(
        [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(conf)],
        cwd=tree,
        env=environment(tree, **names),
        stdout=subprocess.DEVNULL,
    )
    yield names
    supervisord.terminate()
    supervisord.wait(60)
    shutil.rmtree(state)


def until(condition: Callable[[], bool], what: str, deadline_s: float = 60.0) -> None:
    end_mono_s = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end_mono_s, f"waited {deadline_s:.0f} s for {what}"
        time.sleep(0.1)


def answer(port: str, path: str) -> str:
    """Return what the API serves, "" while it does not."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
            return str(response.read().decode())
    except OSError:
        return ""


def test_the_worker_shows_in_status_health_and_metrics(tree: Path, group: dict[str, str]) -> None:
    port = group["METRICS_PORT"]
    until(lambda: 'worker_up{pid="' in answer(port, "/metrics"), "the API to answer")
    until(lambda: '"ready": true' in answer(port, "/workers/hello/health"), "the worker to be ready")
    report = json.loads(answer(port, "/workers/hello/health"))
    assert (report["status"], report["schedule"]) == ("running", "0 6 * * *")
    until(lambda: json.loads(answer(port, "/workers/hello/health"))["greetings"] == 1, "the missed run of today")
    (up,) = [
        line for line in answer(port, "/metrics").splitlines() if line.startswith("worker_up{") and "hello" in line
    ]
    assert up.endswith(" 1.0")
    # Exit code 1: the workers that need a database have none here.
    status = json.loads(run(tree, "-m", "wbd", "status", "--json", expect=1, **group))
    (row,) = [row for row in status["processes"] if row["name"] == "hello"]
    assert (row["group"], row["state"], row["ready"]) == ("wbd", "RUNNING", True)
    assert '"to":"stranger"' in (Path(group["WBD_STATE_DIR"]) / "log/hello.log").read_text()
