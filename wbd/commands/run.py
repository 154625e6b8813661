"""wbd run: run one worker in the foreground."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

from wbd.runtime.process import run_worker
from wbd.runtime.table import WORKERS, worker_spec

_WORKERS = "\n".join(f"  {worker.name:16} {worker.summary}" for worker in WORKERS)


def add_arguments(commands: Any) -> None:
    """Add ``wbd run``."""
    parser = commands.add_parser(
        "run",
        help="run one worker in the foreground",
        description=f"Run one worker in the foreground, as supervisord does:\n\n{_WORKERS}",
        epilog="example: LOG_FORMAT=simple wbd run entity_diff",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="the worker")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    module = importlib.import_module(worker_spec(args.name).module)
    return run_worker(args.name, module.build, ())
