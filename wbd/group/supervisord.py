"""The supervisord configuration of a stack: one program per worker, engines in a group of their own.

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
from collections.abc import Iterable, Sequence
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


def render(places: StateDir, workers: Sequence[Program], engines: Sequence[Program]) -> str:
    """
    Return the configuration of a stack whose workers are started by ``wbd up`` once the engines are ready.

    Engines start by themselves, so that they are back first after supervisord restarted them.
    """
    sections = [
        _section("unix_http_server", {"file": places.supervisor_socket, "chmod": "0700"}),
        _section(
            "supervisord",
            {
                "nodaemon": "true",
                # What supervisord has to say is in its own log; its stdout belongs to whoever started it.
                "silent": "true",
                "logfile": places.log_of("supervisord"),
                "logfile_maxbytes": LOG_MAX_BYTES,
                "logfile_backups": str(LOG_BACKUPS),
                "pidfile": places.run / "supervisord.pid",
                "childlogdir": places.log,
                "directory": places.run,
                "umask": "077",
                "identifier": "wbd",
                # Stated, or supervisord warns whenever root runs it.
                **({"user": pwd.getpwuid(0).pw_name} if os.geteuid() == 0 else {}),
            },
        ),
        _section(
            "rpcinterface:supervisor",
            {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
        ),
    ]
    for program in engines:
        sections.append(_program(places, program, autostart=True))
    for program in workers:
        sections.append(_program(places, program, autostart=False))
    for name, members, priority in (
        (ENGINE_GROUP, engines, ENGINE_PRIORITY),
        (WORKER_GROUP, workers, WORKER_PRIORITY),
    ):
        if members:
            programs = ",".join(program.name for program in members)
            sections.append(_section(f"group:{name}", {"programs": programs, "priority": str(priority)}))
    return "\n".join(sections)


def stop_waits_s(places: StateDir) -> dict[str, int]:
    """Return stop_wait_s of each program of the written configuration; empty when there is none."""
    parser = configparser.RawConfigParser()
    parser.read(places.supervisor_conf)
    sections = [name for name in parser.sections() if name.startswith("program:")]
    return {name.removeprefix("program:"): parser.getint(name, "stopwaitsecs") for name in sections}


def _program(places: StateDir, program: Program, *, autostart: bool) -> str:
    return _section(
        f"program:{program.name}",
        {
            "command": shlex.join(program.command),
            "directory": program.folder or import_folder(places),
            "environment": f'WBD_STATE_DIR="{places.root}",PYTHONUNBUFFERED="1"',
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


def _section(name: str, values: dict[str, str | Path]) -> str:
    # supervisord expands %(name)s everywhere, so a % that means itself is doubled.
    lines = [f"{key}={str(value).replace('%', '%%')}" for key, value in values.items()]
    return "\n".join([f"[{name}]", *lines, ""])


def import_folder(places: StateDir) -> Path:
    """Return a working directory from which ``python -m wbd...`` finds this very package, installed or not."""
    folder = Path(wbd.__file__).resolve().parent.parent
    installed = {Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib")}
    return places.run if folder in installed else folder
