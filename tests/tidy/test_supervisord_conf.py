"""supervisord.conf and the embedded rendering against the table of workers, read by supervisord's own parser."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from supervisor.options import ServerOptions

from wbd.group.supervisord import (
    ENGINE_GROUP,
    GROUP_STOP_MARGIN_S,
    STOP_MARGIN_S,
    WORKER_GROUP,
    Program,
    group_stop_s,
    promised_stop_s,
    render,
    stop_waits_s,
    worker_program,
    worker_programs,
)
from wbd.runtime.table import WORKERS, WorkerSpec
from wbd.settings.state_dir import StateDir
from wbd.stack.engine import engine_program
from wbd.stack.kafka import KafkaBroker
from wbd.stack.mariadb import MariaDB
from wbd.stack.mock_kafka import MockKafka

CONF = Path(__file__).parents[2] / "supervisord.conf"
DOCKERFILE = CONF.with_name("Dockerfile")
PROMISED_STOP_S = promised_stop_s(worker_programs())


def parse(path: Path) -> Any:
    """Read a configuration as supervisord itself does; a mistake in it exits."""
    options = ServerOptions()
    options.realize(["-n", "-c", str(path)])
    return options


@pytest.fixture
def production(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The committed file, parsed with a state folder whose name has a blank."""
    state = tmp_path / "state of it"
    for folder in ("run", "log"):
        (state / folder).mkdir(parents=True)
    monkeypatch.setenv("WBD_STATE_DIR", str(state))
    return parse(CONF)


@pytest.fixture
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The rendering of `wbd up` with both engines, parsed, in a folder whose name has a blank."""
    state = tmp_path_factory.mktemp("s") / "a b"
    places = StateDir.at(state)
    places.create()
    engines = [MariaDB(state), MockKafka(state)]
    places.supervisor_conf.write_text(render(places, worker_programs(), [engine_program(e) for e in engines]))
    return parse(places.supervisor_conf)


def group(options: Any, name: str) -> Any:
    return next(config for config in options.process_group_configs if config.name == name)


def programs(options: Any, name: str) -> dict[str, Any]:
    return {config.name: config for config in group(options, name).process_configs}


def test_there_is_one_program_for_each_worker_and_no_other(production: Any) -> None:
    assert [config.name for config in production.process_group_configs] == [WORKER_GROUP]
    assert set(programs(production, WORKER_GROUP)) == {spec.name for spec in WORKERS}


@pytest.mark.parametrize("spec", WORKERS, ids=lambda spec: spec.name)
def test_a_program_is_what_the_table_says(production: Any, embedded: Any, spec: WorkerSpec) -> None:
    for options, python, autostart in ((production, "python", True), (embedded, sys.executable, False)):
        program = programs(options, WORKER_GROUP)[spec.name]
        assert program.command == f"{python} -m {spec.module}"
        assert program.startsecs == spec.startsecs
        assert program.autostart is autostart
        assert program.autorestart is not False
        assert program.stopasgroup is True
        assert program.killasgroup is True
        assert program.redirect_stderr is True
        assert program.stdout_logfile.endswith(f"/log/{spec.name}.log")
        assert 0 < program.stdout_logfile_maxbytes <= 100 * 1024 * 1024
        assert program.environment["PYTHONUNBUFFERED"] == "1"


@pytest.mark.parametrize("spec", WORKERS, ids=lambda spec: spec.name)
def test_stop_times_nest(production: Any, embedded: Any, spec: WorkerSpec) -> None:
    """drain_s of the worker < stopwaitsecs of supervisord < the deadline of whoever stops the group."""
    for options in (production, embedded):
        waits_s = [program.stopwaitsecs for program in programs(options, WORKER_GROUP).values()]
        own_s = programs(options, WORKER_GROUP)[spec.name].stopwaitsecs
        assert spec.drain_s + STOP_MARGIN_S <= own_s < group_stop_s(waits_s)
        assert group_stop_s(waits_s) == max(waits_s) + GROUP_STOP_MARGIN_S <= PROMISED_STOP_S


def test_control_is_by_a_unix_socket_of_the_owner_alone(production: Any, embedded: Any) -> None:
    for options in (production, embedded):
        (server,) = options.configroot.supervisord.server_configs
        assert server["section"] == "unix_http_server"
        assert server["file"].endswith("/run/supervisor.sock")
        assert server["chmod"] == 0o700
        assert options.nodaemon


def test_engines_stop_after_the_workers(embedded: Any) -> None:
    """supervisord stops the group with the highest priority first and waits for it."""
    assert group(embedded, ENGINE_GROUP).priority < group(embedded, WORKER_GROUP).priority
    assert all(program.autostart for program in programs(embedded, ENGINE_GROUP).values())


def test_paths_with_a_blank_survive_the_configuration(embedded: Any) -> None:
    mariadb = programs(embedded, ENGINE_GROUP)["mariadb"]
    folder = Path(mariadb.stdout_logfile).parent.parent
    assert folder.name == "a b"
    assert f"'--datadir={folder}/mysql'" in mariadb.command
    assert programs(embedded, WORKER_GROUP)["api"].environment["WBD_STATE_DIR"] == str(folder)


def test_a_percent_sign_in_a_command_means_itself(tmp_path: Path) -> None:
    places = StateDir.at(tmp_path)
    places.create()
    program = Program("odd", ("/bin/echo", "100%", "%(here)s", "a;b", "#c"), 1, 5)
    places.supervisor_conf.write_text(render(places, [program], []))
    (odd,) = programs(parse(places.supervisor_conf), WORKER_GROUP).values()
    assert odd.command == "/bin/echo 100% '%(here)s' 'a;b' '#c'"


def test_kafka_s_own_percent_sign_survives(tmp_path: Path) -> None:
    places = StateDir.at(tmp_path)
    places.create()
    broker = KafkaBroker(tmp_path)
    if reason := KafkaBroker.why_missing():
        pytest.skip(reason)
    places.supervisor_conf.write_text(render(places, [], [engine_program(broker)]))
    (kafka,) = programs(parse(places.supervisor_conf), ENGINE_GROUP).values()
    assert "kafka-crash-%p.log" in kafka.command


def test_stop_waits_are_read_back_from_what_was_written(tmp_path: Path) -> None:
    places = StateDir.at(tmp_path)
    places.create()
    assert stop_waits_s(places) == {}
    places.supervisor_conf.write_text(render(places, worker_programs(), []))
    assert stop_waits_s(places) == {spec.name: worker_program(spec).stop_wait_s for spec in WORKERS}


@pytest.mark.parametrize(
    "plant",
    [
        lambda text: text.replace("stopasgroup=true", "stopasgroup=false", 1),
        lambda text: text.replace("stopwaitsecs=", "stopwaitsecs=1 ;", 1),
        lambda text: text.replace("wbd.workers.", "wbd.worker.", 1),
        lambda text: text.replace("startsecs=", "startsecs=9", 1),
    ],
    ids=["stopasgroup", "stopwaitsecs", "command", "startsecs"],
)
def test_a_planted_fault_is_caught(
    plant: Callable[[str], str], embedded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = CONF.read_text()
    assert plant(text) != text
    (tmp_path / "run").mkdir()
    (tmp_path / "log").mkdir()
    monkeypatch.setenv("WBD_STATE_DIR", str(tmp_path))
    planted = tmp_path / "planted.conf"
    planted.write_text(plant(text))
    options = parse(planted)
    with pytest.raises(AssertionError):
        for spec in WORKERS:
            test_a_program_is_what_the_table_says(options, embedded, spec)
            test_stop_times_nest(options, embedded, spec)


def test_the_image_copies_what_is_there_and_runs_the_group_as_nobody_special() -> None:
    lines = re.sub(r"\\\n\s*", " ", DOCKERFILE.read_text()).splitlines()
    for line in lines:
        if line.startswith("COPY "):
            for source in line.split()[1:-1]:
                assert (CONF.parent / source).exists(), line
    ignored = (CONF.parent / ".dockerignore").read_text().splitlines()
    for source in ("pyproject.toml", "README.md", "LICENSE", "wbd", "supervisord.conf"):
        assert f"!{source}" in ignored
    assert [line for line in lines if line.startswith("USER ")] == ["USER wbd"]
    assert any(line.startswith("HEALTHCHECK ") for line in lines)
    (timeout_s,) = re.findall(r"--stop-timeout (\d+)", DOCKERFILE.read_text())
    assert int(timeout_s) == PROMISED_STOP_S


def test_in_the_image_logs_go_to_the_output_of_the_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (command,) = re.findall(r"^RUN (sed -i .*) /etc/wbd/supervisord.conf$", DOCKERFILE.read_text(), re.MULTILINE)
    changed = tmp_path / "supervisord.conf"
    changed.write_text(CONF.read_text())
    subprocess.run([*shlex.split(command), str(changed)], check=True)
    (tmp_path / "run").mkdir()
    (tmp_path / "log").mkdir()
    monkeypatch.setenv("WBD_STATE_DIR", str(tmp_path))
    of_workers = programs(parse(changed), WORKER_GROUP).values()
    assert {(program.stdout_logfile, program.stdout_logfile_maxbytes) for program in of_workers} == {("/dev/fd/1", 0)}
