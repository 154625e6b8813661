"""The state folder of one stack: where each thing lives, created private to its owner.

state_dir/
  run/      sockets, generated configuration, stack.json, up.lock
  log/      one file a program, rotated by supervisord
  mysql/    data directory of the embedded MariaDB
  kafka/    log directory of the embedded Kafka, and its ports
  objects/  objects under file://
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from wbd.errors import ConfigError

# sun_path of unix(7) holds 108 bytes with its final zero.
SOCKET_PATH_MAX_BYTES = 107


# Room for /run/, the longest socket name below it, and the ".PID" that supervisord appends while it binds.
SOCKET_NAME_MAX_BYTES = 40


# supervisord reads its configuration with inline comments, shell quoting, and expansion of % once in some places and
# twice in others; these cannot be written safely.
_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f\"'\\%]|\s[;#]")


@dataclass(frozen=True, slots=True)
class StateDir:
    """Paths below one state folder; *root* is absolute with links resolved."""

    root: Path

    @classmethod
    def at(cls, path: Path) -> StateDir:
        """
        Name the state folder at *path* without touching it.

        Raises:
            ConfigError: its sockets would pass the limit of Unix socket paths, or supervisord could not quote it.
        """
        root = path.expanduser().resolve()
        limit = SOCKET_PATH_MAX_BYTES - SOCKET_NAME_MAX_BYTES
        if (length := len(os.fsencode(root))) > limit:
            raise ConfigError(
                f"state_dir {root}: path has {length} bytes, at most {limit} fit, because a Unix socket path "
                f"ends at {SOCKET_PATH_MAX_BYTES} bytes; set a shorter WBD_STATE_DIR"
            )
        if _UNWRITABLE.search(str(root)):
            raise ConfigError(
                f"state_dir {str(root)!r}: control characters, quotes, backslashes, % and a blank before ; or # "
                "cannot be written to supervisord's configuration; set another WBD_STATE_DIR"
            )
        return cls(root)

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def mysql(self) -> Path:
        return self.root / "mysql"

    @property
    def kafka(self) -> Path:
        return self.root / "kafka"

    @property
    def objects(self) -> Path:
        return self.root / "objects"

    @property
    def stack_json(self) -> Path:
        return self.run / "stack.json"

    @property
    def supervisor_conf(self) -> Path:
        return self.run / "supervisord.conf"

    @property
    def supervisor_socket(self) -> Path:
        return self.run / "supervisor.sock"

    def log_of(self, program: str) -> Path:
        return self.log / f"{program}.log"

    def create(self) -> None:
        """
        Create the folder, run/ and log/ for their owner alone; harmless when they exist.

        Raises:
            ConfigError: the folder cannot be made or belongs to somebody else.
        """
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            if (owner := self.root.stat().st_uid) != os.geteuid():
                raise ConfigError(
                    f"state_dir {self.root}: belongs to uid {owner}, this process is uid {os.geteuid()}; "
                    "set WBD_STATE_DIR to a folder of your own"
                )
            for folder in (self.run, self.log):
                folder.mkdir(mode=0o700, exist_ok=True)
                folder.chmod(0o700)
        except OSError as error:
            raise ConfigError(
                f"wbd_state_dir {str(self.root)!r} cannot be used: {error.strerror}; "
                "allowed: a folder that this user owns or may make"
            ) from error
