"""The state folder of one stack: the place of each file in it, created private to its owner.

state_dir/
  run/      sockets, generated configuration, stack.json, up.lock
  log/      one file per program, rotated by supervisord
  mysql/    data directory of the embedded MariaDB
  kafka/    log directory of the embedded Kafka, and its ports
  objects/  objects under file://

No other module knows where the folder is by default, how long its path may be, or what lies where in it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from wbd.errors import ConfigError

DEFAULT_STATE_DIR = Path("~/.local/state/wbd")

# sun_path of unix(7) holds 108 bytes with its final zero.
_SOCKET_PATH_MAX_BYTES = 107

# Room for /run/, the longest socket name below it, and the ".PID" that supervisord appends while it binds.
_SOCKET_NAME_MAX_BYTES = 40
_ROOT_MAX_BYTES = _SOCKET_PATH_MAX_BYTES - _SOCKET_NAME_MAX_BYTES

# supervisord reads its configuration with inline comments, shell quoting, and expansion of % once in some places and
# twice in others; these cannot be written safely.
_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f\"'\\%]|\s[;#]")


@dataclass(frozen=True, slots=True)
class StateDir:
    """Paths below one state folder, which is given as an absolute path."""

    root: Path

    @classmethod
    def at(cls, path: Path) -> StateDir:
        """
        Name the state folder at *path*, with links resolved, as supervisord needs it; touch nothing.

        Raises:
            ConfigError: its sockets would pass the limit of Unix socket paths, or supervisord could not quote it.
        """
        places = cls(path.expanduser().resolve())
        places.check_length()
        if _UNWRITABLE.search(str(places.root)):
            raise ConfigError(
                f"wbd_state_dir {str(places.root)!r}: control characters, quotes, backslashes, % and a blank before "
                "; or # cannot be written to supervisord's configuration; set another WBD_STATE_DIR"
            )
        return places

    def check_length(self) -> None:
        """Raise ConfigError when the path leaves no room for the name of a socket."""
        if (length := len(os.fsencode(self.root))) > _ROOT_MAX_BYTES:
            raise ConfigError(
                f"wbd_state_dir {str(self.root)!r}: {length} bytes; allowed: at most {_ROOT_MAX_BYTES}, "
                f"since the path of a Unix socket is limited to {_SOCKET_PATH_MAX_BYTES}"
            )

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

    def has_stack(self) -> bool:
        """Tell whether a running ``wbd up`` has left its settings. Raises ConfigError when that cannot be told."""
        try:
            return self.stack_json.is_file()
        except OSError as error:
            raise self._unusable(error) from None

    def make_run(self) -> Path:
        """
        Create the folder and run/, mode 0700, and return run/; harmless when they exist, whoever owns them.

        Raises:
            ConfigError: one of them cannot be made.
        """
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.run.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from None
        return self.run

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
                    f"wbd_state_dir {self.root}: belongs to uid {owner}, this process is uid {os.geteuid()}; "
                    "set WBD_STATE_DIR to a folder of your own"
                )
            for folder in (self.run, self.log):
                folder.mkdir(mode=0o700, exist_ok=True)
                folder.chmod(0o700)
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> ConfigError:
        allowed = "allowed: a folder that this user owns or may make"
        return ConfigError(f"wbd_state_dir {str(self.root)!r} cannot be used: {error.strerror}; {allowed}")
