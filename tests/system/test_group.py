"""The whole group under a real supervisord, with its processes and servers killed in the middle of their work."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.conftest import free_port, wbd_cache_dir, without
from wbd.demo import run as demo_run
from wbd.demo.replay import Replay
from wbd.demo.takers import Takers
from wbd.engines.mysql import Database
from wbd.engines.objects import open_store
from wbd.group.control import State, Supervisor
from wbd.group.reports import worker_report
from wbd.runtime.report import Report
from wbd.runtime.table import WORKERS
from wbd.settings.load import environment_with, load
from wbd.settings.settings import Settings
from wbd.settings.state_dir import StateDir
from wbd.stack.kafka import KafkaBroker
from wbd.stack.mariadb import MariaDB
from wbd.wiki import Wiki


def troubled_by(report: Report) -> str | None:
    """Return the server that a worker waits for, None when it has no trouble."""
    return report.trouble.dependency if report.trouble else None


@dataclass
class Group:
    """A running group and its commands."""

    folder: Path
    env: dict[str, str]

    @property
    def settings(self) -> Settings:
        return load(self.env).settings

    @property
    def supervisor(self) -> Supervisor:
        return Supervisor(StateDir.at(self.folder))

    def wbd(self, *words: str, expect: int = 0) -> str:
        """Run a command as a user would; return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "wbd", *words], env=self.env, capture_output=True, text=True, timeout=180
        )
        assert done.returncode == expect, f"wbd {words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start_import(self, path: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "wbd", "import", "--json", str(path)],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def report(self, worker: str) -> Report:
        """Ask the API, over HTTP."""
        url = f"http://127.0.0.1:{self.env['METRICS_PORT']}/workers/{worker}/health"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return Report.from_json(json.load(answer))
        except urllib.error.HTTPError as error:
            return Report.from_json(json.load(error))

    def kill(self, program: str) -> int:
        """End a program by SIGKILL, by its pid; supervisord starts it again."""
        pid = self.supervisor.process(program).pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        return pid

    def kill_for_good(self, program: str) -> None:
        """End a program by SIGKILL and wait until it is down, though supervisord may have begun to start it again."""
        self.kill(program)
        self.supervisor.stop(program)
        until(lambda: self.supervisor.process(program).state is State.STOPPED, f"{program} to be down", 90)


def until(condition: Callable[[], bool], what: str, deadline_s: float = 60.0) -> None:
    """Wait for a condition with a deadline."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"waited {deadline_s:.0f} s for {what}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def group() -> Iterator[Group]:
    """A group on embedded engines, in a state folder of its own."""
    for reason in (MariaDB.why_missing(), KafkaBroker.why_missing(wbd_cache_dir())):
        if reason:
            without(reason)
    folder = Path(tempfile.mkdtemp(prefix="wbd-t-"))
    env = environment_with(
        WBD_STATE_DIR=str(folder), METRICS_PORT=str(free_port()), ENTITY_DIFF_POLL_INTERVAL="1", ENVIRONMENT="test"
    )
    group = Group(folder, env)
    try:
        group.wbd("up", "--detach")
        yield group
    finally:
        group.wbd("down")
        demo_run.remove(folder)


@pytest.fixture
def replay(group: Group) -> Iterator[Replay]:
    """A consumer that has read the diff topic from its beginning."""
    settings = group.settings
    consumer = Replay(settings.brokers(), settings.kafka_entity_diff_topic)
    yield consumer
    consumer.stop()


def check_everything_came_through(group: Group, replay: Replay) -> None:
    """Every revision has its diff, in order, and all of them applied give the heads."""
    settings = group.settings
    db = Database(settings.database_address(), max_connections=1)
    objects = open_store(settings.objects_address(), settings.s3_revisions_bucket)
    try:
        expected = set(db.query("SELECT entity_id, revision_id FROM entity_revisions"))
        assert replay.wait_for(expected, stalled_s=60) == set()
        assert replay.trouble is None
        assert replay.result.out_of_order == []
        assert replay.differing(db, objects, Wiki(settings).mapping()) == []
        until(lambda: db.query("SELECT COUNT(*) FROM event_outbox") == [(0,)], "the outbox to empty")
    finally:
        db.close()


def test_status_shows_every_program_ready_for_people_and_for_programs(group: Group) -> None:
    status = json.loads(group.wbd("status", "--json"))
    assert status["ok"] is True
    rows = {row["name"]: row for row in status["processes"]}
    assert set(rows) == {worker.name for worker in WORKERS} | {"mariadb", "kafka"}
    for worker in WORKERS:
        assert rows[worker.name]["ready"] is True
        assert rows[worker.name]["heartbeat_age_s"] < 30
        assert rows[worker.name]["last_step"]["outcome"] == "ok"
    assert "entity_diff" in group.wbd("status")


def test_the_api_serves_health_of_every_worker_of_the_group_and_metrics(group: Group) -> None:
    for worker in WORKERS:
        report = group.report(worker.name)
        assert report.status == "running"
        assert report.last_heartbeat is not None and report.uptime_seconds > 0
    base = f"http://127.0.0.1:{group.env['METRICS_PORT']}"
    with urllib.request.urlopen(f"{base}/health", timeout=5) as answer:
        assert json.load(answer)["status"] == "healthy"
    with urllib.request.urlopen(f"{base}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    for worker in WORKERS:
        assert f'worker="{worker.name}"' in text


def test_logs_are_one_json_object_a_line_with_the_worker_on_each(group: Group) -> None:
    lines = [json.loads(line) for line in group.wbd("logs", "entity_diff", "-n", "50").splitlines()]
    assert {"starting", "ready"} <= {line["msg"] for line in lines}
    assert {line["worker"] for line in lines} == {"entity_diff"}
    assert (
        "no log of 'nonsense'"
        in subprocess.run(
            [sys.executable, "-m", "wbd", "logs", "nonsense"], env=group.env, capture_output=True, text=True
        ).stderr
    )


def test_dev_check_finds_everything_in_place(group: Group) -> None:
    states = {line.split()[0] for line in group.wbd("dev", "check").splitlines()}
    assert states == {"ok"}


def test_ids_are_taken_from_the_command_line(group: Group) -> None:
    ids = group.wbd("ids", "take", "item", "-n", "25000").split()
    assert len(set(ids)) == 25000
    assert all(entity_id.startswith("Q") for entity_id in ids)
    assert json.loads(group.wbd("ids", "take", "lexeme", "--json"))[0].startswith("L")


def test_restart_gives_a_new_process_that_is_ready(group: Group) -> None:
    before = group.supervisor.process("entity_change").pid
    group.wbd("restart", "entity_change")
    after = group.supervisor.process("entity_change").pid
    assert after not in (None, before)
    log = group.wbd("logs", "entity_change", "-n", "20")
    assert '"exit_code":0' in log, "it stopped in order"


def test_killing_the_diff_worker_loses_no_revision_and_keeps_order(group: Group, replay: Replay) -> None:
    dump = demo_run.make_dump(group.folder, entities=300, edits=500, seed=11)
    importing = group.start_import(dump)
    for _ in range(5):
        seen = len(replay.result.seen)
        until(lambda: len(replay.result.seen) > seen or importing.poll() is not None, "diffs to come")  # noqa: B023
        killed = group.kill("entity_diff")
        until(lambda: group.supervisor.process("entity_diff").pid not in (None, killed), "a new diff worker")  # noqa: B023
    _, complaint = importing.communicate(timeout=120)
    assert importing.returncode == 0, complaint
    check_everything_came_through(group, replay)


def test_killing_the_id_server_gives_no_id_twice(group: Group) -> None:
    folder = Path(tempfile.mkdtemp(dir=group.folder))
    takers = Takers(folder, group.settings.ids_socket_path, 4)
    try:
        for _ in range(5):
            sizes = [path.stat().st_size for path in folder.glob("ids-*.txt")]
            until(
                lambda: sum(p.stat().st_size for p in folder.glob("ids-*.txt")) > sum(sizes) + 20_000,  # noqa: B023
                "ids to be taken",
            )
            killed = group.kill("id_generation")
            until(lambda: group.supervisor.process("id_generation").pid not in (None, killed), "a new id server")  # noqa: B023
        taken = takers.stop()
    finally:
        takers.kill()
    assert taken.errors == []
    assert taken.duplicates == 0
    assert taken.ids > 10_000
    again = set(group.wbd("ids", "take", "item", "-n", "1000").split())
    written = {line for path in folder.glob("ids-*.txt") for line in path.read_text().split()}
    assert not again & written


def test_a_database_that_is_killed_loses_nothing_and_health_names_it_while_it_is_away(
    group: Group, replay: Replay
) -> None:
    dump = demo_run.make_dump(group.folder, entities=250, edits=350, seed=12)
    folder = Path(tempfile.mkdtemp(dir=group.folder))
    takers = Takers(folder, group.settings.ids_socket_path, 2)
    try:
        importing = group.start_import(dump)
        seen = len(replay.result.seen)
        until(lambda: len(replay.result.seen) > seen or importing.poll() is not None, "diffs to come")
        group.kill_for_good("mariadb")
        until(
            lambda: troubled_by(group.report("entity_diff")) == "database",
            "health to name the database",
        )
        assert group.report("entity_diff").status == "degraded"
        assert json.loads(group.wbd("status", "--json", expect=1))["ok"] is False
        group.supervisor.start("mariadb")
        until(lambda: group.report("entity_diff").trouble is None, "the diff worker to recover")
        _, complaint = importing.communicate(timeout=120)
        assert importing.returncode == 0, complaint
        taken = takers.stop()
    finally:
        takers.kill()
        group.supervisor.start("mariadb")
    assert (taken.duplicates, taken.errors) == (0, [])
    check_everything_came_through(group, replay)


def test_a_broker_that_is_killed_loses_nothing_and_health_names_it_while_it_is_away(
    group: Group, replay: Replay
) -> None:
    dump = demo_run.make_dump(group.folder, entities=100, edits=150, seed=13)
    try:
        # While it still ended in order it would take all that comes.
        group.kill_for_good("kafka")
        group.wbd("import", str(dump))
        until(
            lambda: troubled_by(group.report("entity_diff")) == "kafka",
            "health to name kafka",
            90,
        )
    finally:
        group.supervisor.start("kafka")
    until(lambda: group.report("entity_diff").trouble is None, "the diff worker to recover", 90)
    check_everything_came_through(group, replay)


def test_every_worker_stays_within_the_memory_of_the_table(group: Group) -> None:
    """After an import, diffs of all revisions, and the loss of each server."""
    for worker in WORKERS:
        pid = group.report(worker.name).pid
        assert pid is not None
        used_mb = psutil.Process(pid).memory_info().rss / 1_000_000
        assert used_mb < worker.rss_limit_mb, f"{worker.name} uses {used_mb:.0f} MB"


def test_everything_survives_a_stop_and_a_start(group: Group) -> None:
    first = set(group.wbd("ids", "take", "item", "-n", "500").split())
    revisions = "SELECT COUNT(*) FROM entity_revisions"
    db = Database(group.settings.database_address(), max_connections=1)
    before = db.query(revisions)
    db.close()
    pids = [row.pid for row in group.supervisor.processes()]
    group.wbd("down")
    for pid in pids:
        assert not Path(f"/proc/{pid}").exists()
    assert (
        "start the group with: wbd up"
        in subprocess.run([sys.executable, "-m", "wbd", "status"], env=group.env, capture_output=True, text=True).stderr
    )
    group.wbd("up", "--detach")
    db = Database(group.settings.database_address(), max_connections=1)
    assert db.query(revisions) == before
    db.close()
    assert not first & set(group.wbd("ids", "take", "item", "-n", "500").split())


def test_a_worker_that_is_switched_off_says_so_and_the_group_is_well(tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="wbd-t-"))
    env = environment_with(WBD_STATE_DIR=str(folder), ENTITY_DIFF_ENABLED="false", VITESS_HOST="nowhere")
    worker = subprocess.Popen([sys.executable, "-m", "wbd.workers.entity_diff"], env=env, stdout=subprocess.PIPE)
    try:
        until(lambda: worker_report(folder / "run", "entity_diff").ready, "the worker to answer")
        assert worker_report(folder / "run", "entity_diff").disabled_by == "entity_diff_enabled"
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0
    finally:
        worker.kill()
        worker.communicate()
        demo_run.remove(folder)


def test_a_worker_with_a_wrong_setting_exits_78_and_names_it(tmp_path: Path) -> None:
    env = environment_with(WBD_STATE_DIR=str(tmp_path), ENTITY_DIFF_POLL_INTERVAL="soon")
    done = subprocess.run(
        [sys.executable, "-m", "wbd.workers.entity_diff"], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 78
    assert "entity_diff_poll_interval = 'soon' not allowed" in done.stderr


def test_a_worker_without_its_server_stays_alive_and_says_which_is_missing(tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="wbd-t-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = environment_with(
        WBD_STATE_DIR=str(folder),
        VITESS_HOST="127.0.0.1",
        VITESS_PORT=str(port),
        VITESS_USER="u",
        VITESS_PASSWORD="hunter2-hunter2",
        VITESS_DATABASE="d",
        KAFKA_BROKERS=f"127.0.0.1:{port}",
    )
    worker = subprocess.Popen([sys.executable, "-m", "wbd.workers.entity_diff"], env=env, stdout=subprocess.PIPE)
    try:
        until(
            lambda: troubled_by(worker_report(folder / "run", "entity_diff")) == "database",
            "health to name the database",
        )
        worker.send_signal(signal.SIGTERM)
        out, _ = worker.communicate(timeout=30)
        assert worker.returncode == 0
        assert b"not reachable" in out
        assert b"hunter2" not in out
    finally:
        worker.kill()
        worker.wait()
        demo_run.remove(folder)
