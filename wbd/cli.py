"""The ``wbd`` command."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from importlib import metadata

from wbd.commands import config, demo, diff_worker, group, ids, importing, rdf
from wbd.errors import ConfigError, WbdError
from wbd.runtime.group import WORKERS, worker_spec
from wbd.runtime.process import run_worker
from wbd.settings import Settings, load
from wbd.workers import dev

EXIT_TROUBLE = 2
_EXIT_INTERRUPTED = 130
# The settings without which a command of `wbd dev` cannot begin.
_SERVERS = {
    "create_buckets": (Settings.objects_address,),
    "create_tables": (Settings.database_address,),
    "create_topics": (Settings.brokers,),
    "check": (Settings.objects_address, Settings.database_address, Settings.brokers),
}
_WORKERS = "\n".join(f"  {worker.name:16} {worker.summary}" for worker in WORKERS)


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run one command.

    Returns:
        0 well, 1 as the command says, 2 trouble, 78 settings, 130 interrupted.
    """
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args))
    except ConfigError as error:
        sys.stderr.write(f"wbd: {error}\n")
        return error.exit_code
    except WbdError as error:
        sys.stderr.write(f"wbd: {error}\n")
        return EXIT_TROUBLE
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has seen enough; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wbd",
        description="The worker process group of a Wikibase backend.",
        epilog="first run: wbd up -d && wbd import dump.json.gz && wbd ids take item -n 5 && wbd status",
    )
    parser.add_argument("--version", action="version", version=f"wbd {metadata.version('wbd')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    group.add_arguments(commands)
    importing.add_arguments(commands)
    ids.add_arguments(commands)
    rdf.add_arguments(commands)
    diff_worker.add_arguments(commands)
    config.add_arguments(commands)
    demo.add_arguments(commands)
    worker = commands.add_parser(
        "run",
        help="run one worker in the foreground",
        description=f"Run one worker in the foreground, as supervisord does:\n\n{_WORKERS}",
        epilog="example: LOG_FORMAT=simple wbd run entity_diff",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    worker.add_argument("name", metavar="NAME", help="the worker")
    worker.set_defaults(run=_run_worker)
    servers = commands.add_parser(
        "dev",
        help="create or check buckets, tables and topics",
        description="Create or check the buckets, tables and topics that wbd needs. Exit code 0: all is well; 1:"
        " something is missing or wrong; 2: a server does not answer.",
        epilog="examples: wbd dev create_buckets create_tables create_topics | wbd dev check --json",
    )
    dev.add_arguments(servers)
    servers.set_defaults(run=_run_dev)
    return parser


def _run_worker(args: argparse.Namespace) -> int:
    module = importlib.import_module(worker_spec(args.name).module)
    return run_worker(args.name, module.build, ())


def _run_dev(args: argparse.Namespace) -> int:
    settings = load().settings
    # All of them before the first command does anything: half of a list of commands done is worse than none.
    for command in args.command:
        for address in _SERVERS[command]:
            address(settings)
    return dev.run(args, settings)


if __name__ == "__main__":
    sys.exit(main())
