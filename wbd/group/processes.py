"""Find and end processes of a stack that outlived their parent, through /proc.

A process is identified by its own command line or environment, never by a pid file alone, because pids are reused.
Signals go through a pidfd, so they cannot reach a process that took over the pid in between.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

Match = Callable[[Sequence[str], Mapping[str, str]], bool]


def find_processes(matches: Match) -> list[int]:
    """Return the pids of this user's processes whose arguments and environment satisfy *matches*."""
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid() and _matches(int(entry.name), matches):
            pids.append(int(entry.name))
    return sorted(pids)


def end_processes(matches: Match, term_s: float) -> list[int]:
    """
    End every process that satisfies *matches*: SIGTERM to all, SIGKILL to those left after *term_s* seconds.

    Returns:
        The pids ended.
    """
    handles: dict[int, int] = {}
    try:
        for pid in find_processes(matches):
            with contextlib.suppress(ProcessLookupError):
                handles[pid] = os.pidfd_open(pid)
        # Check again now that the handle pins the process: the pid may have been reused before it was opened.
        for pid in [pid for pid in handles if not _matches(pid, matches)]:
            os.close(handles.pop(pid))
        for number, patience_s in ((signal.SIGTERM, term_s), (signal.SIGKILL, 10.0)):
            deadline_mono_s = time.monotonic() + patience_s
            for handle in handles.values():
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, number)
            left = [h for h in handles.values() if not _exited(h, max(0.0, deadline_mono_s - time.monotonic()))]
            if not left:
                break
        return sorted(handles)
    finally:
        for handle in handles.values():
            os.close(handle)


def wait_for_exit(pid: int, timeout_s: float) -> bool:
    """Wait until *pid* has ended; return False when *timeout_s* passed first. A zombie counts as ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return _exited(handle, timeout_s)
    finally:
        os.close(handle)


def _exited(handle: int, timeout_s: float) -> bool:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


def _matches(pid: int, matches: Match) -> bool:
    folder = Path(f"/proc/{pid}")
    try:
        if folder.stat().st_uid != os.geteuid():
            return False
        arguments = _strings(folder / "cmdline")
        pairs = (item.partition("=") for item in _strings(folder / "environ"))
        return bool(arguments) and matches(arguments, {key: value for key, _, value in pairs})
    except OSError:
        return False  # it ended meanwhile, or belongs to another user


def _strings(path: Path) -> list[str]:
    return [os.fsdecode(item) for item in path.read_bytes().split(b"\0") if item]
