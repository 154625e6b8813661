"""A whole stack under a real supervisord: up, down, and recovery from kill -9 of anything."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.build.reports import report
from tests.build.wait import wait_until
from wbd.errors import ConfigError, DependencyUnavailable
from wbd.group.control import GroupNotRunning, State, Supervisor
from wbd.group.processes import find_processes, wait_for_exit
from wbd.group.supervisord import Program
from wbd.runtime.clock import SystemClock
from wbd.runtime.report import Report, Trouble
from wbd.settings.load import environment_with
from wbd.settings.state_dir import StateDir
from wbd.stack.exclusive import StackBusy
from wbd.stack.kafka import KafkaBroker
from wbd.stack.launch import status, up
from wbd.stack.mariadb import MariaDB
from wbd.stack.options import StackOptions
from wbd.stack.stop import down, outlived

ROOT = Path(__file__).parents[2]
# A worker that says when it starts and stops, and whether the database still answered at its very end.
WORKER = f"""
import signal, sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from wbd.stack.mariadb import MariaDB
name, state = sys.argv[1], Path(sys.argv[2])
signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGTERM}})
(state / "run" / f"{{name}}.ready").touch()
print("started", name, flush=True)
signal.sigwait({{signal.SIGTERM}})
(state / "run" / f"{{name}}.ready").unlink()
try:
    print("stopped", name, "while", MariaDB(state).ping(5.0), flush=True)
except Exception as error:
    print("stopped", name, "without a database:", error, flush=True)
"""
# Elsewhere, so that only one test pays for a Java virtual machine; nobody connects to it.
NO_KAFKA = "127.0.0.1:9"


class TinyWorkers:
    """The caller of a stack whose workers say by a file that they are ready."""

    def __init__(self, group: Group, programs: Sequence[Program]) -> None:
        self.group = group
        self.programs = programs

    def echo(self, line: str) -> None:
        self.group.lines.append(line)

    def prepare(self) -> None:
        self.echo(f"prepare {json.loads(self.group.places.stack_json.read_text())}")

    def report(self, program: str) -> Report:
        return report(program, ready=(self.group.places.run / f"{program}.ready").exists())

    def on_ready(self) -> None:
        self.echo("on_ready")


class Group:
    """A stack of MariaDB and two tiny workers in a folder of its own."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.options = StackOptions(state_dir, kafka_brokers=NO_KAFKA)
        self.places = StateDir.at(state_dir)
        self.lines: list[str] = []
        self.script = state_dir.parent / "worker.py"
        self.script.write_text(WORKER)

    def program(self, name: str) -> Program:
        return Program(name, (sys.executable, str(self.script), name, str(self.state_dir)), startsecs=0, stop_wait_s=5)

    def ready(self, name: str) -> bool:
        return (self.places.run / f"{name}.ready").exists()

    def up(self, options: StackOptions | None = None, workers: list[Program] | None = None) -> None:
        programs = [self.program("one"), self.program("two")] if workers is None else workers
        up(options or self.options, TinyWorkers(self, programs), detach=True)

    def down(self) -> bool:
        return down(self.options, echo=self.lines.append)

    def row_state(self, name: str) -> tuple[State, int | None]:
        row = Supervisor(self.places).process(name)
        return row.state, row.pid

    def log(self, program: str) -> str:
        return self.places.log_of(program).read_text()

    def left_over(self) -> list[int]:
        """Processes of this stack that live, whoever started them."""
        return find_processes(lambda arguments, _: any(str(self.state_dir) in argument for argument in arguments))


@pytest.fixture
def group(tmp_path_factory: pytest.TempPathFactory, mariadb: MariaDB) -> Iterator[Group]:
    group = Group(tmp_path_factory.mktemp("g") / "s")
    yield group
    group.down()
    assert group.left_over() == []


def foreground(group: Group, prepare: str = "pass") -> subprocess.Popen[str]:
    """Run `up` in the foreground in a process of its own; its stdout has one line a step."""
    program = textwrap.dedent(
        f"""
        import sys, time
        from pathlib import Path
        from wbd.group.supervisord import Program
        from wbd.runtime.report import Report
        from wbd.stack.launch import up
        from wbd.stack.options import StackOptions
        state = Path({str(group.state_dir)!r})
        class Caller:
            programs = [Program("one", (sys.executable, {str(group.script)!r}, "one", str(state)), 0, 5)]
            def echo(self, line):
                print(line, flush=True)
            def prepare(self):
                {prepare}
            def report(self, program):
                return Report(program, "running", ready=(state / "run" / f"{{program}}.ready").exists())
            def on_ready(self):
                print("on_ready", flush=True)
        up(StackOptions(state, kafka_brokers={NO_KAFKA!r}), Caller(), detach=False)
        """
    )
    return subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )


def read_until(process: subprocess.Popen[str], text: str) -> list[str]:
    """Read lines until one holds *text*; the pipe closes when the process ends."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"{text!r} not in {lines}, stderr {process.stderr and process.stderr.read()}")


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
    rest, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert rest.splitlines() == ["stopping one", "stopping mariadb", "stopped"]
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
    rest, errors = process.communicate(timeout=60)
    assert (process.returncode, errors, rest) == (0, "", "stopped\n")


def test_a_foreground_up_whose_supervisord_dies_ends_the_rest_and_says_so(group: Group) -> None:
    process = foreground(group)
    read_until(process, "on_ready")
    os.kill(Supervisor(group.places).pid(), signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "supervisord ended with exit code -9; 2 processes that it left behind were ended" in errors
    assert group.left_over() == []


def test_a_worker_that_cannot_live_is_reported_with_its_log_and_nothing_stays(group: Group) -> None:
    broken = Program("broken", (sys.executable, "-c", "raise SystemExit('planted fault')"), startsecs=1, stop_wait_s=5)
    with pytest.raises(DependencyUnavailable, match=r"worker broken: does not stay up(.|\n)*planted fault"):
        group.up(workers=[broken])
    assert group.left_over() == []
    assert not group.places.stack_json.exists()


def test_a_worker_that_does_not_become_ready_is_reported_with_its_log_and_nothing_stays(group: Group) -> None:
    class NeverReady(TinyWorkers):
        def report(self, program: str) -> Report:
            return report(program, ready=False)

    class ImpatientClock(SystemClock):
        """Passes the deadline once the worker has written its log."""

        def mono_s(self) -> float:
            log = group.places.log_of("one")
            return super().mono_s() + (1000.0 if log.is_file() and "started one" in log.read_text() else 0.0)

    caller = NeverReady(group, [group.program("one")])
    with pytest.raises(DependencyUnavailable, match=r"worker one: not ready after 60 s(.|\n)*started one"):
        up(group.options, caller, detach=True, clock=ImpatientClock())
    assert group.left_over() == []


def test_what_a_worker_waits_for_is_told_at_once_and_once(group: Group) -> None:
    asked: list[str] = []

    class Waiting(TinyWorkers):
        def report(self, program: str) -> Report:
            asked.append(program)
            trouble = Trouble("port 8080 is taken") if program == "one" else None
            return report(program, ready=asked.count(program) >= 3, trouble=trouble)

    up(group.options, Waiting(group, [group.program("one"), group.program("two")]), detach=True)
    assert group.lines.count("one: not ready yet: port 8080 is taken") == 1
    assert [line for line in group.lines if "not ready yet" in line and "two" in line] == []


def test_an_engine_that_does_not_stay_up_is_told_at_once_with_its_log_and_without_that_of_earlier_runs(
    group: Group,
) -> None:
    group.places.create()
    group.places.log_of("mariadb").write_text("an earlier run\n")
    # Whole to the eye, and no database.
    (group.places.mysql / "mysql").mkdir(parents=True)
    (group.places.mysql / "ibdata1").write_bytes(b"x")
    with pytest.raises(DependencyUnavailable, match="embedded mariadb: does not stay up") as error:
        group.up()
    (told,) = [line for line in group.lines if line.startswith("mariadb: ended at once")]
    for text in (told, str(error.value)):
        assert "ibdata1" in text or "[ERROR]" in text
        assert "an earlier run" not in text


def test_an_error_shows_no_line_of_an_earlier_run(group: Group) -> None:
    def broken(says: str) -> Program:
        return Program("broken", (sys.executable, "-c", f"raise SystemExit({says!r})"), startsecs=1, stop_wait_s=5)

    with pytest.raises(DependencyUnavailable, match="planted in the first run"):
        group.up(workers=[broken("planted in the first run")])
    with pytest.raises(DependencyUnavailable, match="planted in the second run") as error:
        group.up(workers=[broken("planted in the second run")])
    assert "first run" in group.log("broken")
    assert "first run" not in str(error.value)
    assert [line for line in group.lines if line.startswith("broken: ended at once") and "second run" in line]


def test_a_failing_prepare_stops_what_has_started(group: Group) -> None:
    class Failing(TinyWorkers):
        def prepare(self) -> None:
            raise DependencyUnavailable("planted fault")

    with pytest.raises(DependencyUnavailable, match="planted fault"):
        up(group.options, Failing(group, []), detach=True)
    assert group.left_over() == []


def test_with_real_servers_in_the_settings_no_engine_starts(group: Group) -> None:
    group.up(StackOptions(group.state_dir, vitess_host="db.example", kafka_brokers=NO_KAFKA, objects_url="s3://"))
    assert [row.name for row in status(group.options)] == ["one", "two"]
    assert json.loads(group.places.stack_json.read_text()) == {}
    assert not group.places.mysql.exists()
    assert not group.places.objects.exists()


def test_with_no_settings_a_real_kafka_starts(group: Group, kafka: KafkaBroker) -> None:
    kafka.stop()  # one Java virtual machine at a time is enough for a small machine
    try:
        group.up(StackOptions(group.state_dir, cache_dir=kafka.cache_dir))
        own = json.loads(group.places.stack_json.read_text())
        assert own["kafka_brokers"].startswith("127.0.0.1:")
        assert [row.name for row in status(group.options)] == ["kafka", "mariadb", "one", "two"]
        group.down()
    finally:
        kafka.start()


def test_without_java_the_mock_cluster_stands_in_and_says_what_it_cannot(
    group: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    group.up(StackOptions(group.state_dir, vitess_host="db.example", topics=("a.topic",)))
    text = "\n".join(group.lines)
    assert "java not found" in text
    assert "for trying out only, keeps nothing across a restart" in text
    assert "mock_kafka" in [row.name for row in status(group.options)]


def test_without_java_a_folder_with_kafka_s_messages_is_not_given_to_the_mock(
    group: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group.places.create()
    (group.places.kafka / "data").mkdir(parents=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="holds messages that only Apache Kafka can serve, but: java not found"):
        group.up(StackOptions(group.state_dir, vitess_host="db.example"))


@pytest.mark.parametrize(
    ("name", "reason"),
    [("x" * 100, "path of a Unix socket"), ("100%", "cannot be written"), ("a #b", "cannot be written")],
)
def test_a_state_folder_that_cannot_work_is_refused_before_anything_is_made(
    tmp_path: Path, name: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        up(StackOptions(tmp_path / name), TinyWorkers(Group(tmp_path / "s"), []), detach=True)
    assert not (tmp_path / name).exists()
