"""A stack of MariaDB and two tiny workers, and `up` in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from tests.build.reports import report
from wbd.group.control import State, Supervisor
from wbd.group.processes import find_processes
from wbd.group.supervisord import Program
from wbd.runtime.report import Report
from wbd.settings.state_dir import StateDir
from wbd.stack.launch import up
from wbd.stack.options import StackOptions
from wbd.stack.stop import down

ROOT = Path(__file__).parents[2]
# A worker that says when it starts and stops, and whether the database still answered at its very end.
WORKER = f"""
import signal, sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from wbd.stack.mariadb import MariaDB
name, state = sys.argv[1], Path(sys.argv[2])
signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGTERM}})
(state / "run" / f"{{name}}.ready").touch()
print("started", name, flush=True)
signal.sigwait({{signal.SIGTERM}})
(state / "run" / f"{{name}}.ready").unlink()
try:
    print("stopped", name, "while", MariaDB(state).ping(5.0), flush=True)
except Exception as error:
    print("stopped", name, "without a database:", error, flush=True)
"""
# Elsewhere, so that only one test pays for a Java virtual machine; nobody connects to it.
NO_KAFKA = "127.0.0.1:9"


class TinyWorkers:
    """The caller of a stack whose workers say by a file that they are ready."""

    def __init__(self, group: Group, programs: Sequence[Program]) -> None:
        self.group = group
        self.programs = programs

    def echo(self, line: str) -> None:
        self.group.lines.append(line)

    def prepare(self) -> None:
        self.echo(f"prepare {json.loads(self.group.places.stack_json.read_text())}")

    def report(self, program: str) -> Report:
        return report(program, ready=(self.group.places.run / f"{program}.ready").exists())

    def on_ready(self) -> None:
        self.echo("on_ready")


class Group:
    """A stack of MariaDB and two tiny workers in a folder of its own."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.options = StackOptions(state_dir, kafka_brokers=NO_KAFKA)
        self.places = StateDir.at(state_dir)
        self.lines: list[str] = []
        self.script = state_dir.parent / "worker.py"
        self.script.write_text(WORKER)

    def program(self, name: str) -> Program:
        return Program(name, (sys.executable, str(self.script), name, str(self.state_dir)), startsecs=0, stop_wait_s=5)

    def ready(self, name: str) -> bool:
        return (self.places.run / f"{name}.ready").exists()

    def up(self, options: StackOptions | None = None, workers: list[Program] | None = None) -> None:
        programs = [self.program("one"), self.program("two")] if workers is None else workers
        up(options or self.options, TinyWorkers(self, programs), detach=True)

    def down(self) -> bool:
        return down(self.options, echo=self.lines.append)

    def row_state(self, name: str) -> tuple[State, int | None]:
        row = Supervisor(self.places).process(name)
        return row.state, row.pid

    def log(self, program: str) -> str:
        return self.places.log_of(program).read_text()

    def left_over(self) -> list[int]:
        """Processes of this stack that live, whoever started them."""
        return find_processes(lambda arguments, _: any(str(self.state_dir) in argument for argument in arguments))


def foreground(group: Group, prepare: str = "pass") -> subprocess.Popen[str]:
    """Run `up` in the foreground in a process of its own; its stdout has one line a step."""
    program = textwrap.dedent(
        f"""
        import sys, time
        from pathlib import Path
        from wbd.group.supervisord import Program
        from wbd.runtime.report import Report
        from wbd.stack.launch import up
        from wbd.stack.options import StackOptions
        state = Path({str(group.state_dir)!r})
        class Caller:
            programs = [Program("one", (sys.executable, {str(group.script)!r}, "one", str(state)), 0, 5)]
            def echo(self, line):
                print(line, flush=True)
            def prepare(self):
                {prepare}
            def report(self, program):
                return Report(program, "running", ready=(state / "run" / f"{{program}}.ready").exists())
            def on_ready(self):
                print("on_ready", flush=True)
        up(StackOptions(state, kafka_brokers={NO_KAFKA!r}), Caller(), detach=False)
        """
    )
    return subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )


def read_until(process: subprocess.Popen[str], text: str) -> list[str]:
    """Read lines until one holds *text*; the pipe closes when the process ends."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"{text!r} not in {lines}, stderr {process.stderr and process.stderr.read()}")
