"""The two supervisord configurations: that of ``wbd up``, and the committed supervisord.conf for production.

supervisord stops one group after the other, the highest priority first, and waits for each: workers end before the
engines that they write to. Stop times nest: a worker drains within drain_s, supervisord waits stop_wait_s for it
before SIGKILL, and whoever stops the group waits group_stop_s.
"""

from __future__ import annotations

import configparser
import math
import os
import pwd
import shlex
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import wbd
from wbd.runtime.table import WORKERS, WorkerSpec
from wbd.settings.state_dir import StateDir

WORKER_GROUP = "wbd"
ENGINE_GROUP = "engines"
# Lower starts first and stops last.
WORKER_PRIORITY = 200
ENGINE_PRIORITY = 100
# From the end of drain_s to SIGKILL: time to write the last log lines and leave.
STOP_MARGIN_S = 5
# From the last SIGKILL to giving a group up: supervisord reaps once a second at worst.
GROUP_STOP_MARGIN_S = 10
# Waits of 1, 2, 3 ... seconds between them: about a minute before supervisord calls a program FATAL.
START_RETRIES = 10
LOG_MAX_BYTES = "20MB"
LOG_BACKUPS = 5

_PRODUCTION_HEAD = """\
; The process group in production: a VM or a container, with database, object store and Kafka elsewhere.
; (`wbd up` writes a configuration of its own for a first run with embedded engines.)
;
;   WBD_STATE_DIR=/var/lib/wbd supervisord -n -c supervisord.conf
;
; WBD_STATE_DIR names a folder that holds run/ and log/ and belongs to the user who runs this; settings come from the
; environment or from /etc/wbd/wbd.env. `python` must be the one that wbd is installed in.
;
; Stop times nest: a worker drains within its drain_s, supervisord waits stopwaitsecs = drain_s + {margin_s} before
; SIGKILL, and whoever stops the group (TimeoutStopSec of a unit, stop_grace_period of a container) must wait longer
; than the longest of them: {promised_s} seconds.
;
; Written by `make generate` from the table of workers (wbd/runtime/table.py); changes made here are overwritten.
"""


@dataclass(frozen=True, slots=True)
class Program:
    """
    One program under supervisord.

    startsecs: how long it must live before supervisord calls it running.
    stop_wait_s: seconds from SIGTERM to SIGKILL.
    restarts: supervisord starts it again whenever it ends.
    folder: working directory; None for one from which ``python -m wbd...`` works.
    """

    name: str
    command: tuple[str, ...]
    startsecs: int
    stop_wait_s: int
    restarts: bool = True
    folder: Path | None = None


def worker_program(spec: WorkerSpec, python: str = sys.executable) -> Program:
    """Return the program that runs one worker."""
    command = (python, "-m", spec.module)
    return Program(spec.name, command, spec.startsecs, math.ceil(spec.drain_s) + STOP_MARGIN_S)


def worker_programs(workers: Iterable[WorkerSpec] = WORKERS) -> tuple[Program, ...]:
    """Return the programs of the group, in the order of the table."""
    return tuple(worker_program(spec) for spec in workers)


def group_stop_s(stop_waits_s: Iterable[int]) -> int:
    """Return how long stopping programs with these stop_wait_s at once may take until all of them have ended."""
    return max(stop_waits_s, default=0) + GROUP_STOP_MARGIN_S


def promised_stop_s(programs: Iterable[Program]) -> int:
    """Return the time that a unit or a container must give the whole group to stop: group_stop_s, up to a full ten."""
    return math.ceil(group_stop_s(program.stop_wait_s for program in programs) / 10) * 10


def render(places: StateDir, workers: Sequence[Program], engines: Sequence[Program]) -> str:
    """
    Return the configuration of a stack whose workers are started by ``wbd up`` once the engines are ready.

    Engines start by themselves, so that they are back first after supervisord restarted them.
    """
    daemon = {
        **_daemon(places),
        # Its messages are in its own log; its standard output belongs to whoever started it.
        "silent": "true",
        "directory": places.run,
        # Stated, or supervisord warns whenever root runs it.
        **({"user": pwd.getpwuid(0).pw_name} if os.geteuid() == 0 else {}),
    }
    sections = [*_control(places, daemon)]
    for members, autostart in ((engines, True), (workers, False)):
        for program in members:
            own = {
                "directory": _literal(program.folder or import_folder(places)),
                "environment": f'WBD_STATE_DIR="{places.root}",PYTHONUNBUFFERED="1"',
            }
            sections.append(_program(places, program, own, autostart=autostart))
    sections += _group(ENGINE_GROUP, engines, ENGINE_PRIORITY) + _group(WORKER_GROUP, workers, WORKER_PRIORITY)
    return "\n".join(sections)


def render_production(workers: Sequence[Program]) -> str:
    """
    Return the committed supervisord.conf, for servers whose database, object store and Kafka run elsewhere.

    supervisord itself reads WBD_STATE_DIR, so the file fits every host.
    """
    places = StateDir(Path("%(ENV_WBD_STATE_DIR)s"))
    sections = [
        _PRODUCTION_HEAD.format(margin_s=STOP_MARGIN_S, promised_s=promised_stop_s(workers)),
        *_control(places, _daemon(places)),
        _section("supervisorctl", {"serverurl": f"unix://{places.supervisor_socket}"}),
    ]
    for program in workers:
        sections.append(_program(places, program, {"environment": 'PYTHONUNBUFFERED="1"'}, autostart=True))
    sections += _group(WORKER_GROUP, workers, WORKER_PRIORITY)
    return "\n".join(sections)


def stop_waits_s(places: StateDir) -> dict[str, int]:
    """Return stop_wait_s of each program of the written configuration; empty when there is none."""
    parser = configparser.RawConfigParser()
    parser.read(places.supervisor_conf)
    sections = [name for name in parser.sections() if name.startswith("program:")]
    return {name.removeprefix("program:"): parser.getint(name, "stopwaitsecs") for name in sections}


def _daemon(places: StateDir) -> dict[str, str | Path]:
    return {
        "nodaemon": "true",
        "logfile": places.log_of("supervisord"),
        "logfile_maxbytes": LOG_MAX_BYTES,
        "logfile_backups": str(LOG_BACKUPS),
        "pidfile": places.run / "supervisord.pid",
        "childlogdir": places.log,
        "umask": "077",
        "identifier": "wbd",
    }


def _control(places: StateDir, daemon: dict[str, str | Path]) -> list[str]:
    """Return supervisord's own sections: a socket that only the owner may open, and the interface behind it."""
    factory = "supervisor.rpcinterface:make_main_rpcinterface"
    return [
        _section("unix_http_server", {"file": places.supervisor_socket, "chmod": "0700"}),
        _section("supervisord", daemon),
        _section("rpcinterface:supervisor", {"supervisor.rpcinterface_factory": factory}),
    ]


def _program(places: StateDir, program: Program, own: dict[str, str], *, autostart: bool) -> str:
    return _section(
        f"program:{program.name}",
        {
            "command": _literal(shlex.join(program.command)),
            **own,
            "autostart": str(autostart).lower(),
            "autorestart": str(program.restarts).lower(),
            "startsecs": str(program.startsecs),
            "startretries": str(START_RETRIES),
            "stopsignal": "TERM",
            "stopwaitsecs": str(program.stop_wait_s),
            # The whole process group: a worker's own children end with it, and none outlives it.
            "stopasgroup": "true",
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": places.log_of(program.name),
            "stdout_logfile_maxbytes": LOG_MAX_BYTES,
            "stdout_logfile_backups": str(LOG_BACKUPS),
        },
    )


def _group(name: str, members: Sequence[Program], priority: int) -> list[str]:
    programs = ",".join(program.name for program in members)
    return [_section(f"group:{name}", {"programs": programs, "priority": str(priority)})] if members else []


def _section(name: str, values: Mapping[str, str | Path]) -> str:
    return "\n".join([f"[{name}]", *(f"{key}={value}" for key, value in values.items()), ""])


def _literal(value: str | Path) -> str:
    """Return *value* as supervisord must read it: it expands %(name)s everywhere, so a literal % is doubled."""
    return str(value).replace("%", "%%")


def import_folder(places: StateDir) -> Path:
    """Return a working directory from which ``python -m wbd...`` finds this very package, installed or not."""
    folder = Path(wbd.__file__).resolve().parent.parent
    installed = {Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib")}
    return places.run if folder in installed else folder
