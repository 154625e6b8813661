"""The installation on a VM works as docs/operate.md says: its steps and its unit, in a scratch root, as this user."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import free_port
from tests.docs.pages import ROOT, all_blocks
from wbd.demo.run import remove
from wbd.engines.mysql import Database
from wbd.runtime.table import WORKERS
from wbd.settings.kinds import DatabaseAddress
from wbd.settings.load import environment_with
from wbd.stack.kafka import KafkaBroker
from wbd.stack.mariadb import MariaDB

UNIT = ROOT / "deploy" / "wbd.service"
BIN = Path(sys.executable).parent
# supervisord waits this much longer than a worker may drain.
_SUPERVISOR_WAIT_S = 5


def unit() -> dict[str, list[str]]:
    """Return the assignments of the unit, in order."""
    values: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE):
        values.setdefault(name, []).append(value)
    return values


def here(line: str, root: Path) -> str:
    """Return a line of the page or the unit for the scratch root and the user of this test."""
    line = re.sub(r" -o \w+ -g \w+", "", line)
    line = line.replace("runuser -u wbd -- ", "").replace("/opt/wbd/bin", str(BIN))
    return re.sub(r"(?<![\w.])/(etc|var/lib/wbd)", rf"{root}/\1", line)


def steps(reason: str) -> list[str]:
    """Return the commands of the page that are marked with one step."""
    lines = [
        c.line for block in all_blocks() if (block.marker, block.reason) == ("vm", reason) for c in block.commands()
    ]
    assert lines, f"no step {reason!r} on a page"
    return lines


@pytest.fixture
def root() -> Iterator[Path]:
    """A scratch root after the installation steps, with a path short enough for Unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="wbd-v-"))
    for line in steps("install"):
        subprocess.run(["bash", "-ec", here(line, folder)], cwd=ROOT, check=True)
    yield folder
    remove(folder)


def test_the_steps_make_what_the_unit_and_supervisord_need(root: Path) -> None:
    for name in ("", "run", "log"):
        assert stat.S_IMODE((root / "var/lib/wbd" / name).stat().st_mode) == 0o700
    assert stat.S_IMODE((root / "etc/wbd/wbd.env").stat().st_mode) == 0o640
    assert (root / "etc/systemd/system/wbd.service").read_text() == UNIT.read_text()
    assert (root / "etc/wbd/supervisord.conf").read_text() == (ROOT / "supervisord.conf").read_text()


def test_the_unit_names_only_what_the_steps_make() -> None:
    text = (ROOT / "docs" / "operate.md").read_text()
    assert f"--shell /usr/sbin/nologin {unit()['User'][0]}" in text
    for path in ("/etc/wbd/supervisord.conf", "/opt/wbd", "/var/lib/wbd/run /var/lib/wbd/log"):
        assert path in text and path in UNIT.read_text()


def test_systemd_waits_longer_than_any_worker_may_take() -> None:
    assert int(unit()["TimeoutStopSec"][0]) > max(spec.drain_s for spec in WORKERS) + _SUPERVISOR_WAIT_S


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("systemd-analyze not found")
    copy = tmp_path / "wbd.service"
    copy.write_text(UNIT.read_text().replace("/opt/wbd/bin", str(BIN)).replace("User=wbd\nGroup=wbd\n", ""))
    done = subprocess.run([verify, "verify", str(copy)], capture_output=True, text=True)
    assert [line for line in done.stderr.splitlines() if "wbd.service" in line] == []


def test_systemd_refuses_a_broken_unit(tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("systemd-analyze not found")
    copy = tmp_path / "wbd.service"
    copy.write_text(UNIT.read_text().replace("TimeoutStopSec=40", "TimeoutStopSec=soon"))
    done = subprocess.run([verify, "verify", str(copy)], capture_output=True, text=True)
    assert re.search(r"wbd\.service:\d+: .*soon", done.stderr)


def test_the_group_starts_by_the_unit_and_stops_in_time(root: Path, mariadb: MariaDB, kafka: KafkaBroker) -> None:
    name = f"vm_{os.getpid()}"
    server = DatabaseAddress(database=mariadb.database, user=mariadb.user, unix_socket=mariadb.unix_socket)
    admin = Database(server, max_connections=1)
    admin.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    settings = {
        "WBD_STATE_DIR": root / "var/lib/wbd",
        "METRICS_PORT": free_port(),
        "VITESS_UNIX_SOCKET": mariadb.unix_socket,
        "VITESS_USER": mariadb.user,
        "VITESS_DATABASE": name,
        "KAFKA_BROKERS": kafka.brokers,
        "KAFKA_ENTITY_DIFF_TOPIC": f"diff-{name}",
        "KAFKA_TOPIC": f"change-{name}",
        "OBJECTS_URL": f"file://{root}/objects",
    }
    (root / "etc/wbd/wbd.env").write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    env = environment_with(WBD_SETTINGS_FILE=str(root / "etc/wbd/wbd.env"))
    for line in steps("as the user wbd"):
        subprocess.run(["bash", "-ec", here(line, root)], env=env, check=True, timeout=120)
    for assignment in unit()["Environment"]:
        key, _, value = here(assignment, root).partition("=")
        env[key] = value
    subprocess.run(here(unit()["ExecStartPre"][0], root).split(), env=env, check=True)
    group = subprocess.Popen(here(unit()["ExecStart"][0], root).split(), env=env, cwd="/", stdout=subprocess.DEVNULL)
    try:
        status: dict[str, object] = {}
        deadline = time.monotonic() + 90
        while not status.get("ok"):
            assert time.monotonic() < deadline and group.poll() is None, status
            done = subprocess.run([str(BIN / "wbd"), "status", "--json"], env=env, capture_output=True, text=True)
            status = json.loads(done.stdout) if done.stdout else {}
        group.send_signal(signal.SIGTERM)
        assert group.wait(timeout=int(unit()["TimeoutStopSec"][0])) == 0
    finally:
        if group.poll() is None:
            group.terminate()
            group.wait()
        admin.execute(f"DROP DATABASE {name}")
        admin.close()
