"""A client's process loads what a client needs, and takes ids where hiredis is the only package installed.

WBD_LIGHT_PYTHON names the interpreter of an environment that has wbd and hiredis alone (`make test-light-client`);
without it the test's own interpreter runs, and a hook hides all other packages.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from wbd.entity.ids import EntityType
from wbd.id_server.server import IdServer
from wbd.id_server.socket_file import SocketFile
from wbd.ids.id_range import IdRange
from wbd.ids.pool import IdPool
from wbd.ids.segment_file import SegmentFile

ROOT = Path(__file__).parents[3]
PYTHON = os.environ.get("WBD_LIGHT_PYTHON")
ALLOWED = ("wbd", "hiredis")
HIDE_THE_OTHERS = f"""
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in sys.stdlib_module_names | {set(ALLOWED)!r}:
            raise ModuleNotFoundError(f"{{name}} is hidden", name=name)
sys.meta_path.insert(0, Hidden())
"""
LIST_MODULES = """
import json, sys
print(json.dumps([name for name in sys.modules if name not in before]))
"""


def run(code: str, *arguments: object) -> str:
    """Run *code* in a fresh interpreter with the packages of ALLOWED only; return its output, or raise RuntimeError."""
    code = "import sys; before = set(sys.modules)" + ("" if PYTHON else HIDE_THE_OTHERS) + "\n" + code
    done = subprocess.run(
        [PYTHON or sys.executable, "-c", code, *map(str, arguments)],
        cwd="/" if PYTHON else ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def packages(names: list[str]) -> set[str]:
    """Return the top-level packages outside of the standard library."""
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names


@pytest.fixture(params=["ring", "socket"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[IdServer]:
    """A server with 100 ids of each type, and with or without a ring that others may map."""
    with tempfile.TemporaryDirectory() as folder:
        file = SegmentFile(Path(folder) / "ids")
        if request.param == "ring":
            pytest.importorskip("wbd.ids._segment")
        pool = IdPool(file.acquire() if request.param == "ring" else None)
        for entity_type in EntityType:
            pool[entity_type].add(IdRange(entity_type, 1, 100), 1)
        server = IdServer(pool, SocketFile(tmp_path / "ids.sock"))
        server.attachment = file.attachment or "no ring"
        assert server.start()
        yield server
        server.stop()
        file.release()


def test_importing_it_loads_only_the_client() -> None:
    names = json.loads(run("import wbd.ids" + LIST_MODULES))
    assert packages(names) == set(ALLOWED)
    native = {"wbd.ids._segment", "wbd.ids.segment_twin"}
    assert {name for name in names if name.startswith("wbd")} - native == {
        *("wbd", "wbd.errors", "wbd.entity", "wbd.entity.ids"),
        *("wbd.ids", "wbd.ids.attachment", "wbd.ids.client", "wbd.ids.id_range", "wbd.ids.peer", "wbd.ids.pool"),
        "wbd.ids.segment",
    }
    assert not {"asyncio", "ssl", "logging", "hashlib", "subprocess"} & set(names)


def test_all_of_its_names_are_there_and_asyncio_comes_with_the_async_client_alone() -> None:
    code = """
import wbd.ids
assert set(wbd.ids.__all__) <= set(dir(wbd.ids))
for name in sorted(wbd.ids.__all__, key=lambda name: name == "AsyncIdClient"):
    assert "asyncio" not in sys.modules
    assert getattr(wbd.ids, name).__name__ == name
from wbd.ids import *
assert AsyncIdClient is wbd.ids.AsyncIdClient and "asyncio" in sys.modules
try:
    wbd.ids.nonsense
except AttributeError as error:
    print(error)
"""
    assert run(code) == "module 'wbd.ids' has no attribute 'nonsense'\n"


def test_ids_come_from_ring_and_socket(server: IdServer) -> None:
    code = """
import asyncio
from wbd.ids import AsyncIdClient, EntityType, IdClient, IdRange, IdsUnavailable
with IdClient(sys.argv[1], timeout_s=5) as client:
    assert client.next("item") == "Q1" and client.attached == (sys.argv[2] == "ring"), client.attach_problem
    assert client.next_int(EntityType.ITEM) == 2 and client.take("item", 2) == ["Q3", "Q4"]
    assert client.range("item", 5) == IdRange(EntityType.ITEM, 5, 9)
    try:
        IdClient(sys.argv[1] + ".gone", timeout_s=0.1).next("item")
    except IdsUnavailable as error:
        assert "id_generation" in str(error)
async def take():
    async with AsyncIdClient(sys.argv[1], timeout_s=5) as client:
        return await client.next("item"), await client.take("lexeme", 2)
print(asyncio.run(take()))
"""
    way = "socket" if isinstance(server.attachment, str) else "ring"
    assert run(code, server.address.path, way) == "('Q10', ['L1', 'L2'])\n"


@pytest.mark.parametrize("module", ["wbd.ids.ranges", "wbd.ids.high_water", "wbd.ids.refill"])
def test_what_needs_the_database_is_no_part_of_it(module: str) -> None:
    """Also shows that the check above would see a client that imports the database's side."""
    with pytest.raises(RuntimeError, match="No module named 'mysql'" if PYTHON else "mysql is hidden"):
        run(f"import wbd.ids, {module}")
