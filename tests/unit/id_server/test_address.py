"""One process a host has the socket, and a file that it left is never in the way."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from tests.unit.id_server.conftest import Connect, Serve
from wbd.errors import ConfigError
from wbd.id_server.server import IdServer
from wbd.id_server.socket_file import SocketFile
from wbd.ids.pool import IdPool


def test_a_second_server_stands_by_until_the_first_ends(serve: Serve, connect: Connect) -> None:
    first = serve()
    second = IdServer(IdPool(), SocketFile(first.address.path))
    assert not second.start()
    assert connect(first).ask("INCR", "item") == 1, "the socket of the first was left alone"
    first.stop()
    assert second.start() and not first.start()
    second.stop()


def test_a_socket_that_a_dead_process_left_is_replaced_and_a_served_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "ids.sock"
    foreign = socket.socket(socket.AF_UNIX)
    foreign.bind(str(path))
    foreign.listen()
    address = SocketFile(path)
    assert address.listen() is None
    foreign.close()
    listener = address.listen()
    assert listener is not None and address.is_in_place()
    listener.close()
    address.release()
    assert not path.exists()


def test_the_socket_has_the_mode_asked_for_and_a_missing_folder_is_private(tmp_path: Path) -> None:
    address = SocketFile(tmp_path / "new" / "ids.sock", mode=0o660)
    listener = address.listen()
    assert listener is not None
    assert stat.S_IMODE(address.path.stat().st_mode) == 0o660
    assert stat.S_IMODE(address.path.parent.stat().st_mode) == 0o700
    listener.close()
    address.release()


def test_an_address_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a socket")
    for address, why in [
        (SocketFile(tmp_path / ("x" * 120)), "at most"),
        (SocketFile(tmp_path / "file"), "not a socket"),
        (SocketFile(tmp_path / "file" / "ids.sock"), "ids_socket"),
        (SocketFile(tmp_path / "ids.sock", group="no-such-group"), "no such group"),
    ]:
        with pytest.raises(ConfigError, match=why):
            address.listen()
    assert (tmp_path / "file").read_text() == "not a socket"
