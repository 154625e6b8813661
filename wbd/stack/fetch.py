"""``python -m wbd.stack.fetch``: fetch the Kafka artifacts now instead of at the first ``wbd up``."""

from __future__ import annotations

import sys

from wbd.errors import WbdError
from wbd.settings.load import load
from wbd.stack.kafka import KafkaBroker, fetch_libraries, libraries_in


def main() -> int:
    """Return 0 when the artifacts are there; print the reason and return 1 when only the mock cluster can run."""
    cache_dir = load(with_stack=False).settings.wbd_cache_dir
    try:
        reason = KafkaBroker.why_missing(cache_dir)
        if reason is None and fetch_libraries(cache_dir):
            sys.stdout.write(f"wbd: Kafka artifacts fetched into {libraries_in(cache_dir)}\n")
    except WbdError as error:
        reason = str(error)
    if reason is not None:
        sys.stderr.write(f"wbd: no Apache Kafka: {reason}\n")
    return 0 if reason is None else 1


if __name__ == "__main__":
    sys.exit(main())
