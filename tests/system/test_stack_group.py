"""A whole stack under a real supervisord: up, down, and recovery from kill -9 of anything."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.build.wait import wait_until
from tests.system.tiny_stack import ROOT, Group, foreground, read_until
from wbd.errors import ConfigError, DependencyUnavailable
from wbd.group.control import GroupNotRunning, State, Supervisor
from wbd.group.processes import wait_for_exit
from wbd.settings.load import environment_with
from wbd.stack.exclusive import StackBusy
from wbd.stack.launch import status
from wbd.stack.mariadb import MariaDB
from wbd.stack.stop import outlived


def test_up_starts_in_order_and_down_stops_in_reverse(group: Group) -> None:
    group.up()
    text = "\n".join(group.lines)
    assert text.index("mariadb: MariaDB") < text.index("prepare ") < text.index("one: ready") < text.index("all ready")
    own = json.loads(group.places.stack_json.read_text())
    assert own == {
        "vitess_unix_socket": str(group.places.run / "mysql.sock"),
        "vitess_user": MariaDB(group.state_dir).user,
        "vitess_database": "wikibase",
        "objects_url": f"file://{group.places.objects}",
    }
    assert group.places.stack_json.stat().st_mode & 0o777 == 0o600
    assert group.state_dir.stat().st_mode & 0o777 == 0o700
    assert [(row.group, row.name, row.state, row.restarts) for row in status(group.options)] == [
        ("engines", "mariadb", State.RUNNING, 0),
        ("wbd", "one", State.RUNNING, 0),
        ("wbd", "two", State.RUNNING, 0),
    ]
    assert group.down() is True
    for name in ("one", "two"):
        assert f"stopped {name} while MariaDB" in group.log(name)
    assert not group.places.stack_json.exists()
    assert group.left_over() == []
    with pytest.raises(GroupNotRunning, match="wbd up"):
        status(group.options)
    assert group.down() is False


def test_supervisord_itself_stops_workers_before_engines(group: Group) -> None:
    """As a container or a machine that shuts down does it: SIGTERM to supervisord alone."""
    group.up()
    pid = Supervisor(group.places).pid()
    os.kill(pid, signal.SIGTERM)
    assert wait_for_exit(pid, 30)
    assert "stopped one while MariaDB" in group.log("one")
    assert "stopped two while MariaDB" in group.log("two")
    assert group.left_over() == []


def test_a_second_up_refuses_and_leaves_the_first_alone(group: Group) -> None:
    group.up()
    before = [(row.name, row.pid) for row in status(group.options)]
    with pytest.raises(StackBusy, match="already running"):
        group.up()
    assert [(row.name, row.pid) for row in status(group.options)] == before
    assert group.places.stack_json.exists()


def test_a_killed_worker_is_back_by_itself_and_counted(group: Group) -> None:
    group.up()
    _, pid = group.row_state("one")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: group.row_state("one")[1] not in (None, pid), 10)
    assert wait_until(lambda: group.row_state("one")[0] == State.RUNNING, 10)
    assert {row.name: row.restarts for row in status(group.options)} == {"mariadb": 0, "one": 1, "two": 0}
    supervisor = Supervisor(group.places)
    supervisor.restart("two", timeout_s=10)
    assert wait_until(lambda: group.ready("two") and supervisor.tail("two", 1) == ["started two"], 10)
    # That one was asked for.
    assert {row.name: row.restarts for row in status(group.options)} == {"mariadb": 0, "one": 1, "two": 0}
    _, pid = group.row_state("two")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: group.row_state("two")[1] not in (None, pid), 10)
    assert {row.name: row.restarts for row in status(group.options)} == {"mariadb": 0, "one": 1, "two": 1}
    with pytest.raises(ConfigError, match="program 'three' unknown; there are: mariadb, one, two"):
        supervisor.process("three")


def test_a_program_that_has_just_died_stays_down_when_it_is_stopped(group: Group) -> None:
    """supervisord refuses to stop one that has ended and starts it again on its next pass."""
    names = [f"w{number:02}" for number in range(20)]
    group.up(workers=[group.program(name) for name in [*names, "other"]])
    supervisor = Supervisor(group.places)
    for name in names:
        _, pid = group.row_state(name)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        supervisor.stop(name)
    supervisor.wait_for(lambda: {group.row_state(name)[0] for name in names} == {State.STOPPED}, 10, "all to be down")
    # supervisord has been through all programs once more when one that died meanwhile is back.
    _, pid = group.row_state("other")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: group.row_state("other")[1] not in (None, pid), 10)
    assert {name: group.row_state(name)[0] for name in names} == dict.fromkeys(names, State.STOPPED)


def test_a_program_that_is_still_stopping_runs_when_it_is_started(group: Group) -> None:
    """supervisord takes the command and does nothing while the old process lives."""
    group.up(workers=[replace(group.program("one"), stop_wait_s=3)])
    supervisor = Supervisor(group.places)
    _, first = group.row_state("one")
    assert first is not None
    # It does not hear that it is to end, and is killed 3 s later.
    os.kill(first, signal.SIGSTOP)
    supervisor.stop("one")
    assert group.row_state("one")[0] == State.STOPPING
    with pytest.raises(DependencyUnavailable, match="waited 0 s for one to stop"):
        supervisor.start("one", timeout_s=0.2)
    supervisor.start("one")
    state, pid = group.row_state("one")
    assert state in (State.STARTING, State.RUNNING) and pid not in (None, first)


def test_up_recovers_when_supervisord_was_killed(group: Group) -> None:
    group.up()
    orphans = {row.name: row.pid for row in status(group.options)}
    pid = Supervisor(group.places).pid()
    os.kill(pid, signal.SIGKILL)
    assert wait_for_exit(pid, 10)
    assert group.places.stack_json.exists()
    # What a process that reads its settings through the left-over stack.json would ask for.
    stale = json.loads(group.places.stack_json.read_text())
    group.up(replace(group.options, vitess_unix_socket=stale["vitess_unix_socket"]))
    assert any("outlived their supervisord" in line for line in group.lines)
    for row in status(group.options):
        assert row.state == State.RUNNING
        assert row.pid != orphans[row.name]
    for left in orphans.values():
        assert left is not None
        assert wait_for_exit(left, 1)


def test_status_and_down_say_what_outlived_a_killed_supervisord(group: Group) -> None:
    group.up()
    pids = sorted(row.pid for row in status(group.options) if row.pid)
    pid = Supervisor(group.places).pid()
    os.kill(pid, signal.SIGKILL)
    assert wait_for_exit(pid, 10)
    assert outlived(group.options) == pids
    env = environment_with(WBD_STATE_DIR=str(group.state_dir))
    wbd = [sys.executable, "-m", "wbd"]
    done = subprocess.run([*wbd, "status"], env=env, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    listed = ", ".join(map(str, pids))
    assert f"3 processes of the group live without their supervisord (pids {listed})" in done.stderr
    assert "end them with: wbd down" in done.stderr
    done = subprocess.run([*wbd, "status", "--json"], env=env, capture_output=True, text=True, cwd=ROOT)
    assert json.loads(done.stdout)["outlived"] == pids
    assert group.down() is True
    assert "ended 3 processes that had outlived their supervisord" in group.lines
    done = subprocess.run([*wbd, "status"], env=env, capture_output=True, text=True, cwd=ROOT)
    assert "live without" not in done.stderr


def test_every_file_of_a_stack_is_for_its_owner_only(group: Group) -> None:
    """Whatever umask `wbd up` was started with; sockets have modes of their own below a folder that is closed."""
    before = os.umask(0o022)
    try:
        group.up()
    finally:
        os.umask(before)
    files = [path for folder in ("run", "log") for path in (group.state_dir / folder).rglob("*") if path.is_file()]
    assert {"supervisord.log", "supervisord.pid", "one.log", "mariadb.log"} <= {path.name for path in files}
    # MariaDB gives its pid file a mode of its own.
    assert {path.name for path in files if path.stat().st_mode & 0o077} <= {"mysql.pid"}


def test_up_recovers_when_everything_was_killed(group: Group) -> None:
    group.up()
    pids = [Supervisor(group.places).pid(), *(row.pid for row in status(group.options) if row.pid)]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        assert wait_for_exit(pid, 10)
    group.up()
    assert all(row.state == State.RUNNING for row in status(group.options))


def test_up_recovers_when_an_earlier_up_was_killed_half_way(group: Group) -> None:
    first = foreground(group, prepare='print("in prepare", flush=True); time.sleep(600)')
    read_until(first, "in prepare")
    with pytest.raises(StackBusy, match=f"pid {first.pid} is starting or stopping"):
        group.up()
    first.kill()
    first.communicate()
    group.up()
    assert any("ended half way" in line for line in group.lines)
    assert all(row.state == State.RUNNING for row in status(group.options))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_foreground_stops_everything_in_order(group: Group, number: signal.Signals) -> None:
    process = foreground(group)
    lines = read_until(process, "on_ready")
    assert "all ready" in lines[-2]
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert output.splitlines() == ["stopping one", "stopping mariadb", "stopped"]
    assert "stopped one while MariaDB" in group.log("one")
    assert group.left_over() == []


def test_a_signal_during_the_start_stops_what_has_started(group: Group) -> None:
    process = foreground(group, prepare='print("in prepare", flush=True); time.sleep(600)')
    read_until(process, "in prepare")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert group.left_over() == []
    assert not group.places.stack_json.exists()


def test_down_ends_an_up_in_the_foreground(group: Group) -> None:
    process = foreground(group)
    read_until(process, "on_ready")
    assert group.down() is True
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors, output) == (0, "", "stopped\n")


def test_a_foreground_up_whose_supervisord_dies_ends_the_rest_and_says_so(group: Group) -> None:
    process = foreground(group)
    read_until(process, "on_ready")
    os.kill(Supervisor(group.places).pid(), signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "supervisord ended with exit code -9; 2 processes that it left behind were ended" in errors
    assert group.left_over() == []
