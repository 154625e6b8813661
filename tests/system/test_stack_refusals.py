"""What a stack says and leaves when a worker, an engine or a setting cannot work, and which engines it starts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.build.reports import report
from tests.system.tiny_stack import NO_KAFKA, Group, TinyWorkers
from wbd.errors import ConfigError, DependencyUnavailable
from wbd.group.supervisord import Program
from wbd.runtime.clock import SystemClock
from wbd.runtime.report import Report, Trouble
from wbd.stack.kafka import KafkaBroker
from wbd.stack.launch import status, up
from wbd.stack.options import StackOptions


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
