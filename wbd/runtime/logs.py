"""Structured logs on standard output: one JSON object per line, or plain lines for people.

Context that is bound once (worker, worker_id, entity_id ...) appears on every later line of that logger.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import orjson
import structlog

Log = structlog.stdlib.BoundLogger


def configure(level: str, log_format: str) -> None:
    """
    Send all logs of this process, including those of libraries, to standard output.

    Args:
        level: DEBUG, INFO, WARNING or ERROR.
        log_format: structured (JSON) or simple.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
    ]
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
        if log_format == "simple"
        else structlog.processors.JSONRenderer(serializer=_json)
    )
    rename = [] if log_format == "simple" else [structlog.processors.EventRenamer("msg")]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rename, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("botocore", "boto3", "urllib3", "asyncio", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def get_log(name: str, **context: Any) -> Log:
    """Return a logger with *context* on each of its lines."""
    log: Log = structlog.stdlib.get_logger(name)
    return log.bind(**context)


def _json(value: Any, **_: Any) -> str:
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode(errors="replace")
