"""Settings of one process: its folders, its logs, its name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from wbd.settings.kinds import Folder
from wbd.settings.state_dir import DEFAULT_STATE_DIR, StateDir
from wbd.settings.subject import Subject

DEFAULT_CACHE_DIR = Path("~/.cache/wbd")


class Process(Subject):
    """This process: its folders, its logs and its name."""

    wbd_state_dir: Folder = Field(
        DEFAULT_STATE_DIR, description="folder of sockets, logs and the embedded engines; made 0700"
    )
    wbd_cache_dir: Folder = Field(DEFAULT_CACHE_DIR, description="folder of fetched Kafka artifacts")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="least severe log line that is written"
    )
    log_format: Literal["structured", "simple"] = Field("structured", description="structured: one JSON object a line")
    environment: Literal["prod", "dev", "test"] = Field(
        "prod", description="prod, dev or test; in the log of a worker's start"
    )
    worker_id: str | None = Field(None, max_length=64, description="unique worker identifier; generated when absent")
    worker_name: str | None = Field(None, description="name in logs; the worker's own when absent")
    worker_version: str = Field("1.0.0", description="version in the log of a worker's start")
    organization_id: str | None = Field(None, description="default organization of internal API calls")

    @property
    def state_dir(self) -> Path:
        return self.wbd_state_dir

    @property
    def run_dir(self) -> Path:
        """Folder of every socket, 0700 like the state folder; made when first asked for."""
        return StateDir(self.wbd_state_dir).make_run()
