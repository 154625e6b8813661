"""Stop a stack in order, and end the processes that outlived an earlier one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wbd.errors import DependencyUnavailable
from wbd.group.control import GroupNotRunning, Supervisor
from wbd.group.processes import wait_for_exit
from wbd.group.supervisord import (
    ENGINE_GROUP,
    WORKER_GROUP,
    group_stop_s,
    stop_waits_s,
    worker_programs,
)
from wbd.settings.state_dir import StateDir
from wbd.stack.exclusive import StackBusy, exclusive, uninterrupted
from wbd.stack.options import Echo, StackOptions
from wbd.stack.orphans import end_orphans, find_orphans


def down(options: StackOptions, *, echo: Echo) -> bool:
    """
    Stop workers, then engines, then supervisord, then the processes of an earlier stack. Harmless when nothing runs.

    Returns:
        Whether anything ran.

    Raises:
        StackBusy: another ``wbd up`` or ``wbd down`` is at work.
    """
    places = StateDir.at(options.state_dir)
    if not places.run.is_dir():
        return False
    with exclusive(places, wait_s=10.0):
        return stop_stack(places, echo)


def outlived(options: StackOptions) -> list[int]:
    """Return the pids of all processes of a stack; they outlived their supervisord when none answers."""
    return find_orphans(StateDir.at(options.state_dir))


def clear_the_way(places: StateDir, echo: Echo) -> None:
    """Refuse while a stack runs; end the processes that are left of one that was killed."""
    if Supervisor(places).is_running():
        if not starting_mark(places).exists():
            raise StackBusy(f"already running in {places.root}; look with: wbd status, stop it with: wbd down")
        echo("an earlier `wbd up` ended half way; stopping what it left")
        stop_stack(places, echo)
    elif ended := end_orphans(places):
        echo(_outlived_text(ended))
    places.stack_json.unlink(missing_ok=True)


def stop_stack(places: StateDir, echo: Echo) -> bool:
    """Stop everything in order, or by signal when that fails; return whether anything ran."""
    with uninterrupted():
        ran = False
        try:
            supervisor = Supervisor(places)
            pid = supervisor.pid()
            ran = True
            waits_s = stop_waits_s(places) or {program.name: program.stop_wait_s for program in worker_programs()}
            for group in (WORKER_GROUP, ENGINE_GROUP):
                if members := [row.name for row in supervisor.processes() if row.group == group]:
                    echo(f"stopping {', '.join(members)}")
                    _stop_group(supervisor, group, group_stop_s(waits_s.get(name, 0) for name in members))
            supervisor.shutdown()
            wait_for_exit(pid, SUPERVISORD_STOP_S)
        except GroupNotRunning:
            pass  # there is none, or it died meanwhile: /proc shows the processes that are left
        except DependencyUnavailable as error:
            echo(f"{error}; ending by signal")
        if ended := end_orphans(places):
            echo(f"ended {len(ended)} processes that had not stopped in order" if ran else _outlived_text(ended))
            ran = True
        places.stack_json.unlink(missing_ok=True)
        starting_mark(places).unlink(missing_ok=True)
        if ran:
            echo("stopped")
        return ran


def _stop_group(supervisor: Supervisor, group: str, timeout_s: float) -> None:
    def all_down() -> bool:
        return all(row.state.is_down for row in supervisor.processes() if row.group == group)

    supervisor.stop_group(group)
    supervisor.wait_for(all_down, timeout_s, f"group {group} to stop")


def down_s(places: StateDir) -> float:
    """Return how long a ``wbd down`` that is under way may take."""
    return 2 * group_stop_s(stop_waits_s(places).values()) + SUPERVISORD_STOP_S


def _outlived_text(ended: Sequence[int]) -> str:
    return f"ended {len(ended)} processes that had outlived their supervisord"


def starting_mark(places: StateDir) -> Path:
    """Return the file that marks an ``up`` under way; it stays behind only when that was killed."""
    return places.run / "starting"


SUPERVISORD_STOP_S = 15.0
