"""Read every source of settings, validate, and say where each value in force came from.

The only reader of the environment. Sources, strongest first: environment variables (any case), a settings file of
``NAME=value`` lines (``WBD_SETTINGS_FILE``, else /etc/wbd/wbd.env if it is there), what a running ``wbd up`` left in
the state folder, defaults.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotenv.parser import parse_stream
from pydantic import AliasChoices, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from wbd.errors import ConfigError
from wbd.settings.kinds import (
    allowed_values,
)
from wbd.settings.settings import Settings, bad_state_dir, default_folder

DEFAULT_FILE = Path("/etc/wbd/wbd.env")


# Variables with our prefix that are not settings of the product: where the file is, what tests and the build read.
_NOT_SETTINGS = frozenset({"wbd_settings_file", "wbd_corpus", "wbd_native_dir", "wbd_no_extensions"})


# A Unix socket's path is at most 107 bytes and a NUL; the longest name below run/ takes 40.
_STATE_DIR_BYTES = 107 - 40


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings with the origin of each value: setting name -> 'environment KAFKA_BROKERS', 'file ...', 'default'."""

    settings: Settings
    origins: dict[str, str]


def load(environment: Mapping[str, str] | None = None, *, with_stack: bool = True) -> Loaded:
    """
    Read every source and validate.

    Args:
        environment: instead of the process' own.
        with_stack: also read what a running ``wbd up`` left in the state folder.

    Raises:
        ConfigError: naming each setting that is unknown or not allowed, its value (unless secret), what is allowed.
    """
    env = dict(os.environ if environment is None else environment)
    names = _names()
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}

    def take(found: Mapping[str, Any], origin: str) -> None:
        for given, value in found.items():
            field_name = names.get(given.lower())
            if field_name is not None and field_name not in merged and value is not None:
                merged[field_name] = value
                origins[field_name] = origin.format(given)

    _refuse_unknown_environment(env, names)
    take({key: value for key, value in env.items() if value != ""}, "environment {}")
    path = _settings_file(env)
    if path is not None:
        found = _assignments(path)
        _refuse_unknown(found, names, str(path))
        take(found, f"file {path}")
    if with_stack:
        # The folder decides where to look, so it must be valid before the rest is.
        state_dir = Path(merged.get("wbd_state_dir", default_folder("XDG_STATE_HOME", ".local/state")))
        stack_file = state_dir / "run" / "stack.json"
        try:
            stack_is_there = stack_file.is_file()
        except OSError as error:
            raise bad_state_dir(state_dir, error) from None
        if stack_is_there:
            take(_stack(stack_file), f"running group ({stack_file})")
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        raise ConfigError(_explain(error, origins)) from None
    if not settings.wbd_state_dir.is_absolute():
        settings = settings.model_copy(update={"wbd_state_dir": settings.wbd_state_dir.absolute()})
    length = len(os.fsencode(settings.wbd_state_dir))
    if length > _STATE_DIR_BYTES:
        raise ConfigError(
            f"wbd_state_dir {str(settings.wbd_state_dir)!r}: {length} bytes; allowed: at most {_STATE_DIR_BYTES}, "
            "since the path of a Unix socket is limited to 107"
        )
    return Loaded(settings, {name: origins.get(name, "default") for name in Settings.model_fields})


def environment_with(**overrides: str) -> dict[str, str]:
    """Return this process' environment with some variables set, for a child process."""
    return {**os.environ, **overrides}


def shown(settings: Settings, name: str) -> str:
    """Return a setting's value as text, a secret as ``***`` (or empty)."""
    value = getattr(settings, name)
    if isinstance(value, SecretStr):
        return "***" if value.get_secret_value() else ""
    if value is None:
        return ""
    return f"{value:04o}" if name.endswith("_mode") else str(value)


def _names() -> dict[str, str]:
    """Every accepted name in lower case -> field."""
    names: dict[str, str] = {}
    for name, info in Settings.model_fields.items():
        names[name] = name
        names.update({other.lower(): name for other in _aliases(info)})
    return names


def _aliases(info: FieldInfo) -> list[str]:
    alias = info.validation_alias
    return [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else []


def _settings_file(env: Mapping[str, str]) -> Path | None:
    given = env.get("WBD_SETTINGS_FILE")
    if not given:
        return DEFAULT_FILE if DEFAULT_FILE.is_file() else None
    if not Path(given).is_file():
        raise ConfigError(f"WBD_SETTINGS_FILE {given!r}: no such file")
    return Path(given)


def _assignments(path: Path) -> dict[str, str]:
    """
    Read the NAME=value lines of a settings file, with the quotes and comments of a shell.

    Raises:
        ConfigError: the first line that is none, without its text, which may be a secret.
    """
    found: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8") as file:
            bindings = list(parse_stream(file))
    except (OSError, UnicodeDecodeError) as error:
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise ConfigError(f"settings file {path}: not readable ({reason})") from None
    for binding in bindings:
        if binding.error or (binding.key is not None and binding.value is None):
            text, line = binding.original
            # Blank lines before it count as its own.
            line += text[: len(text) - len(text.lstrip())].count("\n")
            raise ConfigError(f"settings file {path}, line {line}: not NAME=value; quotes must be closed")
        if binding.key is not None and binding.value is not None:
            found[binding.key] = binding.value
    return found


def _stack(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not readable ({error}); run: wbd down, then wbd up") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: not a JSON object; run: wbd down, then wbd up")
    return found


def _refuse_unknown(found: Mapping[str, Any], names: Mapping[str, str], where: str) -> None:
    for given in found:
        if given.lower() not in names:
            raise ConfigError(f"setting {given} unknown ({where}){_suggestion(given, names)}; all: wbd config")


def _refuse_unknown_environment(env: Mapping[str, str], names: Mapping[str, str]) -> None:
    """The environment holds other programs' names too, so only our prefix and near misses count as ours."""
    for given in env:
        low = given.lower()
        if low in names or low in _NOT_SETTINGS:
            continue
        # Letters that changed places make no other program's name; another letter in a short name may (WORKER_IP).
        swapped = any(low[:at] + low[at + 1] + low[at] + low[at + 2 :] in names for at in range(len(low) - 1))
        if low.startswith("wbd_") or swapped or difflib.get_close_matches(low, names, n=1, cutoff=0.92):
            _refuse_unknown({given: ""}, names, "environment")


def _suggestion(given: str, names: Mapping[str, str]) -> str:
    close = difflib.get_close_matches(given.lower(), names, n=1, cutoff=0.6)
    return f"; did you mean {close[0].upper()}?" if close else ""


def _explain(error: ValidationError, origins: Mapping[str, str]) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_context=False):
        given = str(problem["loc"][0]) if problem["loc"] else "settings"
        name = _names().get(given.lower(), given)
        info = Settings.model_fields.get(name)
        secret = info is not None and "SecretStr" in str(info.annotation)
        value = "***" if secret else repr(problem["input"])
        reason = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
        if info is not None and problem["type"] != "value_error":
            reason = allowed_values(info) or reason
        link = "; " if reason.startswith("allowed:") else ": "
        lines.append(f"setting {name} = {value} not allowed{link}{reason} (from {origins.get(name, 'default')})")
    return "; ".join(lines)
