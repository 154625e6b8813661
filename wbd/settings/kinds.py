"""The kinds of values that settings take, each with its check, and the addresses that several settings make up."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin
from urllib.parse import unquote, urlsplit

from annotated_types import Ge, Le, MaxLen
from croniter import croniter
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic.fields import FieldInfo


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """Address of a database: either a Unix socket, or host and port."""

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
    """Address of an object store: ``file:///absolute/folder``, or ``s3://`` with an endpoint and keys."""

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


def database_from_url(url: str) -> DatabaseAddress:
    """
    Read mysql://user:password@host:port/database.

    Raises:
        ValueError: the reason why it is not allowed. The message quotes nothing of the URL: the text in the place of
            the port may be the rest of a password that contains a slash.
    """
    allowed = "allowed: mysql://user:password@host:port/database, in user and password / @ : # ? as %2F %40 %3A %23 %3F"
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(f"no host; {allowed}") from None
    try:
        port = 3306 if parts.port is None else parts.port
    except ValueError:
        port = 0
    if parts.scheme not in {"mysql", "mariadb", "vitess"}:
        raise ValueError(f"no mysql:// at its beginning; {allowed}")
    if port == 0:
        raise ValueError(f"the port is not a number from 1 to 65535; {allowed}")
    database = unquote(parts.path.lstrip("/"))
    for part, value in (("host", parts.hostname), ("user", parts.username), ("database", database)):
        if not value:
            raise ValueError(f"no {part}; {allowed}")
    return DatabaseAddress(
        database=database,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        host=parts.hostname,
        port=port,
    )


def allowed_values(info: FieldInfo) -> str:
    """Describe the values that pydantic allows for a setting; "" for a setting that a validator of this file checks."""
    low = next((item.ge for item in info.metadata if isinstance(item, Ge)), None)
    high = next((item.le for item in info.metadata if isinstance(item, Le)), None)
    longest = next((item.max_length for item in info.metadata if isinstance(item, MaxLen)), None)
    if get_origin(info.annotation) is Literal:
        return f"allowed: {', '.join(get_args(info.annotation))}"
    if info.annotation is bool:
        return "allowed: true or false"
    if info.annotation is int:
        return f"allowed: a whole number from {low} " + ("on" if high is None else f"to {high}")
    if info.annotation is float:
        return "allowed: seconds over 0, or with a unit: 500ms, 5s, 2m, 1h"
    return f"allowed: at most {longest} characters" if longest else ""


def _database_url(value: SecretStr) -> SecretStr:
    database_from_url(value.get_secret_value())
    return value


def _seconds(value: object) -> object:
    """Read ``5``, ``"5s"``, ``"500ms"``, ``"2m"`` or ``"1h"`` as seconds."""
    if isinstance(value, str) and (match := re.fullmatch(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(ms|s|m|h)\s*", value)):
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
    if isinstance(value, str):
        # Never as a decimal number: 77 would be taken for 0115.
        if not re.fullmatch(r"(0o?)?[0-7]{3}", value):
            raise ValueError("allowed: an octal mode from 0000 to 0777, such as 0660")
        return int(value, 8)
    return value


def _version(value: str) -> str:
    if not re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", value):
        raise ValueError("allowed: three numbers, such as 2.0.0")
    return value


def folder(value: Path) -> Path:
    """Return the absolute path of a folder, with ``~`` expanded and links left as they are."""
    try:
        return value.expanduser().absolute()
    except RuntimeError:
        raise ValueError("allowed: a path; ~ stands for the home folder of a user that exists") from None


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
Version = Annotated[str, AfterValidator(_version)]
Folder = Annotated[Path, AfterValidator(folder)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
Brokers = Annotated[str, AfterValidator(_brokers)]
Mode = Annotated[int, BeforeValidator(_octal), Field(ge=0, le=0o777)]
Port = Annotated[int, Field(ge=1, le=65535)]
