"""Upgrade for real: an older release, taken from git, works while this tree migrates its tables, and both go on.

Reads:   git history
Writes:  build/upgrade/RELEASE (the older release, installed once), a temporary folder, removed if all went well
Repeats: harmless

tests/mysql/test_migrations.py makes the same promises from a frozen copy, for machines without the history.
Exit codes: 0 nothing was lost and both releases worked all the time; 1 otherwise.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import site
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import islice
from pathlib import Path

import orjson

from wbd.demo.entities import EntityGenerator
from wbd.demo.replay import Replay
from wbd.engines.mysql import Database
from wbd.group.reports import Process
from wbd.provision import migrations
from wbd.provision.steps import STEPS
from wbd.runtime import health
from wbd.runtime.report import Report, Status
from wbd.settings.load import environment_with, load
from wbd.stack.engine import Engine
from wbd.stack.mariadb import MariaDB
from wbd.stack.mock_kafka import MockKafka
from wbd.wiki import Wiki

ROOT = Path(__file__).parents[2]
WORKERS = ("id_generation", "entity_diff", "entity_change")
DEADLINE_S = 180.0
IDS_A_TAKE = 300
# A row that only an operator removes, so it has to come through untouched.
SET_ASIDE = ("Q999999999", 3, "set aside before the upgrade")


class UpgradeFailed(Exception):
    """A promise of the upgrade was broken."""


class Release:
    """One installed release, and the processes of it that were started."""

    def __init__(self, name: str, python: Path, env: dict[str, str], folder: Path) -> None:
        self.name = name
        self._python = python
        self._env = env
        self._run_dir = Path(env["WBD_STATE_DIR"]) / "run"
        self._log = (folder / f"{name}.log").open("ab")
        self.workers: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command of wbd."""
        command = [str(self._python), "-m", "wbd", *words]
        return subprocess.Popen(
            command, env=self._env, cwd=self._run_dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def finish(self, process: subprocess.Popen[str]) -> str:
        """Wait for a command and return its output. Raises UpgradeFailed unless it exits 0."""
        out, err = process.communicate(timeout=DEADLINE_S)
        if process.returncode != 0:
            raise UpgradeFailed(f"{self.name}: {process.args!r} exited {process.returncode}: {out[-500:]}{err[-1500:]}")
        return out

    def wbd(self, *words: str) -> str:
        return self.finish(self.start(*words))

    def start_workers(self) -> None:
        for name in WORKERS:
            command = [str(self._python), "-m", f"wbd.workers.{name}"]
            self.workers[name] = subprocess.Popen(
                command, env=self._env, cwd=self._run_dir, stdout=self._log, stderr=self._log
            )

    def report(self, worker: str) -> Report:
        pid = self.workers[worker].pid
        return Process(worker, pid, health.socket_path(self._run_dir, worker, pid)).report()

    def wait_ready(self) -> None:
        for name in WORKERS:
            until(lambda name=name: self.report(name).ready, f"{name} of {self.name} to be ready")  # type: ignore[misc]

    def wait_well(self) -> None:
        """Wait until no worker is in trouble; beside another release some only stand by, so they need not be ready."""
        for name in WORKERS:
            until(lambda name=name: is_well(self.report(name)), f"{name} of {self.name} to be well")  # type: ignore[misc]

    def stop_workers(self) -> None:
        """Stop the workers in order. Raises UpgradeFailed when one ended by itself or does not exit 0."""
        for name, process in self.workers.items():
            if process.poll() is not None:
                raise UpgradeFailed(f"{name} of {self.name} ended by itself with {process.returncode}")
            process.send_signal(signal.SIGTERM)
        for name, process in self.workers.items():
            if (code := process.wait(DEADLINE_S)) != 0:
                raise UpgradeFailed(f"{name} of {self.name} exited {code} when it was asked to stop")
        self.workers.clear()

    def kill_workers(self) -> None:
        for process in self.workers.values():
            process.kill()
            process.wait()


def install(release: str) -> Path:
    """
    Install *release* from git into a virtual environment of its own, once, and return its interpreter.

    The libraries come from this tree's environment; pydantic-settings is one that only older releases use.
    """
    folder = ROOT / "build" / "upgrade" / release
    python = folder / "venv" / "bin" / "python"
    if (folder / "installed").exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "source").mkdir(parents=True)
    archive = subprocess.run(["git", "archive", release], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x"], cwd=folder / "source", input=archive, check=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "pydantic-settings", str(folder / "source")], check=True)
    libraries = next((folder / "venv" / "lib").glob("python*")) / "site-packages" / "libraries.pth"
    libraries.write_text("\n".join(site.getsitepackages()) + "\n")
    (folder / "installed").touch()
    return python


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition. Raises UpgradeFailed at the deadline."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > end:
            raise UpgradeFailed(f"waited {DEADLINE_S:.0f} s for {what}")
        time.sleep(0.05)


def write_dumps(folder: Path, entities: int, edits: int, parts: int) -> list[Path]:
    """Write generated revisions into several files that follow one another."""
    revisions = iter(EntityGenerator(entities, edits, seed=11).revisions())
    size = (entities + edits) // parts
    paths = [folder / f"part-{number}.jsonl" for number in range(parts)]
    for path in paths:
        last = path == paths[-1]
        path.write_bytes(b"".join(orjson.dumps(each) + b"\n" for each in islice(revisions, None if last else size)))
    return paths


@contextmanager
def running(engine: Engine) -> Iterator[None]:
    engine.start()
    try:
        yield
    finally:
        engine.stop()


def take(release: Release) -> list[str]:
    return release.wbd("ids", "take", "item", "-n", str(IDS_A_TAKE)).split()


def upgrade(old: Release, new: Release, env: dict[str, str], folder: Path, say: Callable[[str], None]) -> None:
    """Play the upgrade. Raises UpgradeFailed."""
    first, second, third, fourth = write_dumps(folder, entities=240, edits=720, parts=4)
    settings = load(env).settings
    with ExitStack() as stack:
        wiki = stack.enter_context(Wiki(settings, connections=2))
        # Not wiki.database: that refuses the tables before they are migrated.
        db = stack.enter_context(closing(Database(settings.database_address(), max_connections=2)))
        old.wbd("dev", "create_tables", "create_buckets")
        replay = Replay(settings.brokers(), settings.kafka_entity_diff_topic)
        stack.callback(replay.stop)
        old.start_workers()
        stack.callback(old.kill_workers)
        old.wait_ready()
        old.wbd("import", "--json", str(first))
        ids = take(old)
        db.execute("INSERT INTO entity_diff_failures (entity_id, revision_id, reason) VALUES (%s, %s, %s)", SET_ASIDE)
        before = set(db.query("SELECT entity_id, revision_id, snapshot_key, created_at FROM entity_revisions"))
        behind = migrations.missing(db, STEPS)
        say(f"old release at work on {len(before)} revisions; {len(behind)} steps are missing")

        new.start_workers()
        stack.callback(new.kill_workers)
        if behind:
            for name in ("entity_diff", "entity_change"):
                until(lambda name=name: names_the_remedy(new.report(name)), f"new {name} to name the remedy")  # type: ignore[misc]
            say("new workers wait and name the remedy")
        importing = old.start("import", "--json", str(second))
        migrating = [new.start("dev", "create_tables") for _ in range(2)]
        ids += take(old)
        for process in migrating:
            new.finish(process)
        say("two hosts have migrated while the old release imported, diffed and gave ids")
        new.wait_well()
        ids += take(old)
        old.finish(importing)
        both = [old.start("import", "--json", str(third)), new.start("dev", "create_tables")]
        old.finish(both[0])
        new.finish(both[1])
        old.stop_workers()
        new.wait_ready()
        new.wbd("import", "--json", str(fourth))
        ids += take(new)
        say("the new release has taken over")

        expected = set(db.query("SELECT entity_id, revision_id FROM entity_revisions"))
        if missing := replay.wait_for(expected, 60.0):
            raise UpgradeFailed(f"{len(missing)} of {len(expected)} revisions have no diff: {sorted(missing)[:5]}")
        replay.stop()
        until(lambda: not db.query("SELECT 1 FROM event_outbox LIMIT 1"), "the outbox to be empty")
        new.stop_workers()
        check(wiki, db, replay, before, ids)
        say(f"{len(expected)} revisions diffed, {len(ids)} ids taken, nothing lost")


def is_well(report: Report) -> bool:
    return report.status == Status.RUNNING and report.trouble is None


def names_the_remedy(report: Report) -> bool:
    return report.trouble is not None and "run: wbd dev create_tables" in report.trouble.message


def check(wiki: Wiki, db: Database, replay: Replay, before: set[tuple[object, ...]], ids: list[str]) -> None:
    """Compare the end with the beginning. Raises UpgradeFailed."""
    after = set(db.query("SELECT entity_id, revision_id, snapshot_key, created_at FROM entity_revisions"))
    if lost := before - after:
        raise UpgradeFailed(f"revisions lost: {sorted(map(str, lost))[:5]}")
    if replay.result.out_of_order:
        raise UpgradeFailed(f"events out of order: {replay.result.out_of_order[:5]}")
    if wrong := replay.differing(db, wiki.snapshots, wiki.mapping()):
        raise UpgradeFailed(f"the triples after all events are not those of the heads: {wrong[:5]}")
    if len(set(ids)) != len(ids):
        raise UpgradeFailed(f"{len(ids) - len(set(ids))} ids were given out twice")
    if db.query("SELECT entity_id, revision_id, reason FROM entity_diff_failures") != [SET_ASIDE]:
        raise UpgradeFailed("the rows of entity_diff_failures changed")
    if left := migrations.missing(db, STEPS):
        raise UpgradeFailed(f"steps missing at the end: {[step.number for step in left]}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.upgrade.run", description=__doc__.split("\n\n")[0])
    parser.add_argument("--release", default="20c0dbc", help="the older release: a commit or tag of this repository")
    args = parser.parse_args()
    begun_mono_s = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - begun_mono_s:6.1f} s  {line}", flush=True)

    python = install(args.release)
    folder = Path(tempfile.mkdtemp(prefix="wbd-u-"))
    state = folder / "s"
    (state / "run").mkdir(mode=0o700, parents=True)
    database, kafka = (
        MariaDB(folder / "db"),
        MockKafka(folder / "k", ["wikibase.entity_diff", "entitybase.entity_change"]),
    )
    with running(database), running(kafka):
        env = environment_with(
            WBD_STATE_DIR=str(state),
            VITESS_UNIX_SOCKET=database.unix_socket,
            VITESS_USER=database.user,
            VITESS_DATABASE=database.database,
            KAFKA_BROKERS=kafka.brokers,
            ENTITY_DIFF_POLL_INTERVAL="1",
            ENVIRONMENT="test",
        )
        env.pop("WBD_CORPUS", None)
        env.pop("PYTHONPATH", None)
        old = Release("old", python, env, folder)
        new = Release("new", Path(sys.executable), env, folder)
        try:
            upgrade(old, new, env, folder, say)
        except UpgradeFailed as failure:
            print(f"upgrade failed: {failure}; logs stay in {folder}", file=sys.stderr)
            return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
