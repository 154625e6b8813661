"""The embedded MariaDB: private to its owner, reached over a Unix socket only.

Reads:   nothing outside the state folder but the programs of Debian's MariaDB packages
Writes:  state_dir/mysql, run/mysql.sock, run/mysql.pid, log/mariadb.log
Repeats: harmless; the data directory gets its name only when it is complete

The owner of the state folder administers the database, proved by the peer credentials of the socket
(unix_socket authentication), so there is no password to keep.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from wbd.errors import ConfigError, DatabaseUnavailable, DependencyUnavailable
from wbd.stack.engine import Engine
from wbd.stack.files import replacing_folder

DATABASE = "wikibase"
# Debian keeps mariadbd in /usr/sbin, which is not on the PATH of ordinary users.
_SBIN = ("/usr/sbin", "/usr/local/sbin", "/usr/libexec")
_PACKAGES = "mariadb-server-core mariadb-client-core"
_INSTALL_TIMEOUT_S = 120.0


class MariaDB(Engine):
    """
    A MariaDB server in ``state_dir/mysql``.

    Attributes:
        unix_socket: path of its socket.
        database: name of the empty database made at installation, utf8mb4.
    """

    name: ClassVar[str] = "mariadb"
    unavailable: ClassVar[type[DependencyUnavailable]] = DatabaseUnavailable

    def __init__(self, state_dir: Path) -> None:
        super().__init__(state_dir)
        self.unix_socket = str(self.places.run / "mysql.sock")
        self.database = DATABASE

    @property
    def user(self) -> str:
        """Database user with all rights: the owner of this process. Raises ConfigError when it has none."""
        return _owner()

    @staticmethod
    def why_missing() -> str | None:
        """Return what to install, None when all programs are there."""
        needed = ("mariadbd", "mariadb-install-db", "my_print_defaults")
        missing = [program for program in needed if _find(program) is None]
        if not missing:
            return None
        return f"{', '.join(missing)} not found; install it with: apt-get install {_PACKAGES}"

    def prepare(self) -> None:
        if reason := self.why_missing():
            raise ConfigError(f"embedded MariaDB: {reason}, or set vitess_host to a server of your own")
        data = self.places.mysql
        if (data / "mysql").is_dir() and (data / "ibdata1").exists():
            return
        if data.exists() and any(data.iterdir()):
            raise ConfigError(f"embedded MariaDB: {data} is not empty and holds no database of wbd; move it away")
        with replacing_folder(data) as fresh:
            self._install(fresh)

    def command(self) -> list[str]:
        return [
            _program("mariadbd"),
            "--no-defaults",
            f"--datadir={self.places.mysql}",
            f"--socket={self.unix_socket}",
            f"--pid-file={self.places.run / 'mysql.pid'}",
            *_as_user(),
            "--skip-networking",
            "--skip-name-resolve",
            "--character-set-server=utf8mb4",
            "--collation-server=utf8mb4_general_ci",
            # Every commit is on disk before it is acknowledged. This is the default, stated because ids depend on it.
            "--innodb-flush-log-at-trx-commit=1",
            "--innodb-buffer-pool-size=256M",
            "--max-connections=200",
            "--max-allowed-packet=64M",
        ]

    def ping(self, timeout_s: float) -> str:
        """
        Read the greeting that the server sends to a new connection; it listens only after recovery.

        No SQL connection is opened here: wbd.engines.mysql is the only module that does.
        """
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout_s)
            try:
                connection.connect(self.unix_socket)
                greeting = connection.recv(512)
            except OSError as error:
                raise DatabaseUnavailable(f"embedded mariadb: {self.unix_socket}: {error}") from error
        # 3 bytes length, 1 byte sequence number, 1 byte protocol version (10), version text, zero.
        if len(greeting) < 6 or greeting[4] != 10:
            raise DatabaseUnavailable(f"embedded mariadb: {self.unix_socket}: refused, {greeting[4:]!r}")
        # MariaDB puts 5.5.5- before its version so that old replicas accept it.
        version = greeting[5:].partition(b"-MariaDB")[0].removeprefix(b"5.5.5-")
        return f"MariaDB {version.decode(errors='replace')}"

    def settings(self) -> dict[str, str]:
        return {
            "vitess_unix_socket": self.unix_socket,
            "vitess_user": self.user,
            "vitess_database": self.database,
        }

    def is_mine(self, arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
        return f"--datadir={self.places.mysql}" in arguments and "mariadbd" in arguments[0]

    def _install(self, folder: Path) -> None:
        extra = folder / "wbd.sql"
        extra.write_text(f"CREATE DATABASE {self.database} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;\n")
        command = [
            _program("mariadb-install-db"),
            "--no-defaults",
            # Relative, because this shell script does not quote its paths.
            "--datadir=.",
            "--auth-root-authentication-method=socket",
            f"--auth-root-socket-user={self.user}",
            "--skip-test-db",
            "--skip-name-resolve",
            f"--extra-file={extra.name}",
            *_as_user(),
        ]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder,
                timeout=_INSTALL_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise DatabaseUnavailable(
                f"embedded mariadb: mariadb-install-db not done after {_INSTALL_TIMEOUT_S:.0f} s"
            ) from error
        if done.returncode != 0 or not (folder / "mysql").is_dir() or not (folder / DATABASE).is_dir():
            lines = done.stdout.decode(errors="replace").splitlines()[-15:]
            raise DatabaseUnavailable(
                f"embedded mariadb: mariadb-install-db failed with exit code {done.returncode}:\n"
                + "\n".join(f"    {line}" for line in lines)
            )
        extra.unlink()


def _owner() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError as error:
        raise ConfigError(
            f"embedded MariaDB: uid {os.geteuid()} has no name in the password database, which MariaDB's "
            "unix_socket authentication needs; set vitess_host to a server of your own"
        ) from error


def _as_user() -> list[str]:
    # mariadbd refuses to run as root unless it is told so.
    return ["--user=root"] if os.geteuid() == 0 else []


def _find(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path=os.pathsep.join(_SBIN))


def _program(program: str) -> str:
    if path := _find(program):
        return path
    raise ConfigError(f"embedded MariaDB: {program} not found; install it with: apt-get install {_PACKAGES}")
