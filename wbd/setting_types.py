"""The kinds of values that settings take, each with what is allowed; and the addresses that they amount to."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from croniter import croniter
from pydantic import AfterValidator, BeforeValidator, Field


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """Where the database is; either a Unix socket, or host and port."""

    database: str
    user: str
    password: str = field(default="", repr=False)
    host: str | None = None
    port: int = 3306
    unix_socket: str | None = None

    def __str__(self) -> str:
        place = self.unix_socket or f"{self.host}:{self.port}"
        return f"{self.user}@{place}/{self.database}"


@dataclass(frozen=True, slots=True)
class ObjectsAddress:
    """Where objects live: ``file:///absolute/folder``, or ``s3://`` with an endpoint and keys."""

    url: str
    endpoint: str | None = None
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    region: str = "us-east-1"

    @property
    def folder(self) -> Path | None:
        """The folder of a file:// address, None for S3."""
        return Path(self.url.removeprefix("file://")) if self.url.startswith("file://") else None

    def __str__(self) -> str:
        return self.url if self.folder else f"s3 at {self.endpoint or 'aws'}"


def _seconds(value: object) -> object:
    """Read ``5``, ``"5s"``, ``"500ms"``, ``"2m"`` or ``"1h"`` as seconds."""
    if isinstance(value, str) and (match := re.fullmatch(r"\s*([0-9.]+)\s*(ms|s|m|h)\s*", value)):
        factor = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}[match[2]]
        return float(match[1]) * factor
    return value


def _cron(value: str) -> str:
    if len(value.split()) != 5 or not croniter.is_valid(value):
        raise ValueError("allowed: a cron line of five fields, such as 0 2 * * *")
    return value


def _topic(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", value):
        raise ValueError("allowed: 1 to 249 letters, digits, '.', '_' and '-'")
    return value


def _bucket(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", value):
        raise ValueError("allowed: 3 to 63 lower-case letters, digits, '.' and '-'")
    return value


def _iri(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s<>\"{}|\\^`]+", value):
        raise ValueError("allowed: an absolute http or https IRI")
    return value


def _brokers(value: str) -> str:
    if not all(re.fullmatch(r"[^\s:,]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}", part) for part in value.split(",")):
        raise ValueError("allowed: host:port, several separated by commas")
    return value


def _octal(value: object) -> object:
    return int(value, 8) if isinstance(value, str) and re.fullmatch(r"0?o?[0-7]{3,4}", value) else value


def _spans(value: str) -> str:
    if not re.fullmatch(r"(\s*\d{1,19}(\s*-\s*\d{1,19})?\s*(,|$))*", value):
        raise ValueError("allowed: numbers and spans separated by commas, such as 1-1000, 4115189")
    return value


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]
Cron = Annotated[str, AfterValidator(_cron)]
Topic = Annotated[str, AfterValidator(_topic)]
Bucket = Annotated[str, AfterValidator(_bucket)]
Iri = Annotated[str, AfterValidator(_iri)]
Spans = Annotated[str, AfterValidator(_spans)]
Brokers = Annotated[str, AfterValidator(_brokers)]
Mode = Annotated[int, BeforeValidator(_octal), Field(ge=0, le=0o777)]
Port = Annotated[int, Field(ge=1, le=65535)]
