"""The ``wbd`` command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import metadata

from wbd.commands import config, demo, dev, diff_worker, entity, group, ids, importing, rdf, run
from wbd.errors import ConfigError, WbdError

EXIT_TROUBLE = 2
_EXIT_INTERRUPTED = 130


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
    entity.add_arguments(commands)
    ids.add_arguments(commands)
    rdf.add_arguments(commands)
    diff_worker.add_arguments(commands)
    config.add_arguments(commands)
    demo.add_arguments(commands)
    run.add_arguments(commands)
    dev.add_arguments(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
