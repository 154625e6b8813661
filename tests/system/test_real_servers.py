"""With real servers in the settings nothing embedded starts, and the group works on them, objects over HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import S3Server, free_port
from wbd.demo import run as demo_run
from wbd.demo.replay import Replay
from wbd.engines.mysql import Database
from wbd.engines.objects import open_store
from wbd.runtime.table import WORKERS
from wbd.settings.kinds import DatabaseAddress
from wbd.settings.load import environment_with, load
from wbd.stack.kafka import KafkaBroker
from wbd.stack.mariadb import MariaDB
from wbd.wiki import Wiki


@pytest.fixture
def env(mariadb: MariaDB, kafka: KafkaBroker, s3: S3Server) -> Iterator[dict[str, str]]:
    """Settings that point at servers which are not the group's own."""
    tag = uuid.uuid4().hex[:12]
    server = DatabaseAddress(database=mariadb.database, user=mariadb.user, unix_socket=mariadb.unix_socket)
    admin = Database(server, max_connections=1)
    admin.execute(f"CREATE DATABASE s_{tag} CHARACTER SET utf8mb4")
    folder = Path(tempfile.mkdtemp(prefix="wbd-t-"))
    yield environment_with(
        WBD_STATE_DIR=str(folder),
        METRICS_PORT=str(free_port()),
        ENTITY_DIFF_POLL_INTERVAL="1",
        VITESS_UNIX_SOCKET=mariadb.unix_socket,
        VITESS_USER=mariadb.user,
        VITESS_DATABASE=f"s_{tag}",
        KAFKA_BROKERS=kafka.brokers,
        KAFKA_ENTITY_DIFF_TOPIC=f"diff-{tag}",
        KAFKA_TOPIC=f"change-{tag}",
        S3_ENDPOINT=s3.endpoint,
        S3_ACCESS_KEY=s3.access_key,
        S3_SECRET_KEY=s3.secret_key,
        S3_REVISIONS_BUCKET=f"revisions-{tag}",
    )
    admin.execute(f"DROP DATABASE s_{tag}")
    admin.close()
    demo_run.remove(folder)


def wbd(env: dict[str, str], *words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "wbd", *words], env=env, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, f"wbd {words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_group_works_on_servers_of_the_settings_and_starts_none_of_its_own(env: dict[str, str]) -> None:
    settings = load(env).settings
    wbd(env, "up", "--detach")
    try:
        status = json.loads(wbd(env, "status", "--json"))
        assert {row["name"] for row in status["processes"]} == {worker.name for worker in WORKERS}
        assert status["ok"] is True
        assert not (settings.state_dir / "mysql").exists()
        assert not (settings.state_dir / "kafka").exists()
        replay = Replay(settings.brokers(), settings.kafka_entity_diff_topic)
        dump = demo_run.make_dump(settings.state_dir, entities=80, edits=120, seed=21)
        wbd(env, "import", str(dump))
        db = Database(settings.database_address(), max_connections=1)
        objects = open_store(settings.objects_address(), settings.s3_revisions_bucket)
        expected = set(db.query("SELECT entity_id, revision_id FROM entity_revisions"))
        assert len(expected) == 200
        assert replay.wait_for(expected, stalled_s=60) == set()
        assert replay.differing(db, objects, Wiki(settings).mapping()) == []
        assert len(list(objects.list_keys())) == 200
        replay.stop()
        db.close()
        assert wbd(env, "ids", "take", "property").startswith("P")
    finally:
        wbd(env, "down")
