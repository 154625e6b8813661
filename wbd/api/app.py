"""The HTTP API of the group: health of the group and of each worker, and the metrics of all processes.

GET /                         the paths below
GET /workers                  every worker of the table
GET /workers/{name}/health    one worker's own report
GET /health                   the group; 503 when an essential worker does not work
GET /metrics                  all processes in the Prometheus text format
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from wbd.group.reports import group_metrics, group_report, worker_report
from wbd.runtime.clock import Clock, SystemClock, iso
from wbd.runtime.report import Status, Verdict
from wbd.runtime.table import WORKERS

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PATHS = {
    "/health": "health of the group; 503 when an essential worker does not work",
    "/workers": "every worker of the group",
    "/workers/{name}/health": "health of one worker; 503 when it does not run or does not answer",
    "/metrics": "metrics of all processes in the Prometheus text format",
}
Handler = Callable[[Request], Awaitable[Response]]


def create_app(run_dir: Path, worker_name: str = "api", clock: Clock | None = None) -> Starlette:
    """Return the ASGI application; each request asks the health sockets below *run_dir*."""
    clock = clock or SystemClock()
    started_mono_s = clock.mono_s()

    async def index(_request: Request) -> Response:
        return _json({"paths": _PATHS})

    async def health(_request: Request) -> Response:
        group = await run_in_threadpool(group_report, run_dir)
        body = {
            "timestamp": iso(clock.now()),
            "uptime_seconds": round(clock.mono_s() - started_mono_s, 3),
            "worker_name": worker_name,
            **group.to_json(),
        }
        return _json(body, 503 if group.status == Verdict.UNHEALTHY else 200)

    async def workers(_request: Request) -> Response:
        return _json([{"name": w.name, "summary": w.summary, "essential": w.essential} for w in WORKERS])

    async def one_worker(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in {worker.name for worker in WORKERS}:
            known = ", ".join(worker.name for worker in WORKERS)
            raise HTTPException(404, f"worker {name[:100]!r} unknown; there are: {known}")
        report = await run_in_threadpool(worker_report, run_dir, name)
        return _json(report.to_json(), 503 if report.status in (Status.STOPPED, Status.UNRESPONSIVE) else 200)

    async def metrics(_request: Request) -> Response:
        return Response(await run_in_threadpool(group_metrics, run_dir), media_type=_METRICS_TYPE)

    async def refused(_request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        detail = error.detail if isinstance(error, HTTPException) else "internal error; see the log of the api worker"
        return _json({"error": detail}, status)

    return Starlette(
        routes=[
            Route("/", index),
            Route("/health", health),
            Route("/workers", workers),
            Route("/workers/{name}/health", one_worker),
            Route("/metrics", metrics),
        ],
        exception_handlers={HTTPException: refused, Exception: refused},
    )


def _json(body: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(body, option=orjson.OPT_INDENT_2) + b"\n", status, media_type="application/json")
