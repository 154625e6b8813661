"""Read every source of settings, validate, and say where each value in force came from.

The only reader of the environment. Sources, strongest first: environment variables (any case), a settings file of
``NAME=value`` lines (``WBD_SETTINGS_FILE``, else /etc/wbd/wbd.env if it is there), the addresses that a running
``wbd up`` left in the state folder, defaults.
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
from wbd.settings.kinds import allowed_values, folder
from wbd.settings.settings import Settings
from wbd.settings.state_dir import StateDir

DEFAULT_FILE = Path("/etc/wbd/wbd.env")

# Variables with our prefix that are not settings: the settings file itself, and those of tests and of the build.
_NOT_SETTINGS = frozenset({"wbd_settings_file", "wbd_corpus", "wbd_native_dir", "wbd_no_extensions"})

# The XDG Base Directory Specification lets these variables move the default folders.
_XDG = {"wbd_state_dir": "XDG_STATE_HOME", "wbd_cache_dir": "XDG_CACHE_HOME"}


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings with the origin of each value: setting name -> 'environment KAFKA_BROKERS', 'file ...', 'default'."""

    settings: Settings
    origins: dict[str, str]


def load(environment: Mapping[str, str] | None = None, *, with_stack: bool = True) -> Loaded:
    """
    Read every source and validate.

    Args:
        environment: variables to read instead of the process' own.
        with_stack: also read the addresses that a running ``wbd up`` left in the state folder.

    Raises:
        ConfigError: naming each setting that is unknown or not allowed, its value (unless secret), the allowed values.
    """
    env = dict(os.environ if environment is None else environment)
    names = _names()
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}

    def take(given: Mapping[str, Any], origin: str) -> None:
        for name, value in given.items():
            field_name = names.get(name.lower())
            if field_name is not None and field_name not in merged and value is not None:
                merged[field_name] = value
                origins[field_name] = origin.format(name)

    _refuse_unknown_environment(env, names)
    take({key: value for key, value in env.items() if value != ""}, "environment {}")
    path = _settings_file(env)
    if path is not None:
        assignments = _assignments(path)
        _refuse_unknown(assignments, names, str(path))
        take(assignments, f"file {path}")
    take({name: Path(env[variable]) / "wbd" for name, variable in _XDG.items() if env.get(variable)}, "default")
    if with_stack:
        # The folder decides where to look, so it must be valid before the rest is.
        places = _places(merged)
        if places.has_stack():
            take(_stack(places.stack_json), f"running group ({places.stack_json})")
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        raise ConfigError(_explain(error, origins)) from None
    StateDir(settings.wbd_state_dir).check_length()
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
        ConfigError: naming the first line of another form, without its text, which may be a secret.
    """
    assignments: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8") as file:
            bindings = list(parse_stream(file))
    except (OSError, UnicodeDecodeError) as error:
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise ConfigError(f"settings file {path}: not readable ({reason})") from None
    for binding in bindings:
        if binding.error or (binding.key is not None and binding.value is None):
            text, line = binding.original
            # The parser counts blank lines before a binding as part of it.
            line += text[: len(text) - len(text.lstrip())].count("\n")
            raise ConfigError(f"settings file {path}, line {line}: not NAME=value; quotes must be closed")
        if binding.key is not None and binding.value is not None:
            assignments[binding.key] = binding.value
    return assignments


def _places(merged: Mapping[str, Any]) -> StateDir:
    given = merged.get("wbd_state_dir", Settings.model_fields["wbd_state_dir"].default)
    try:
        return StateDir(folder(Path(given)))
    except ValueError as error:
        raise ConfigError(f"wbd_state_dir {str(given)!r} not allowed; {error}") from None


def _stack(path: Path) -> dict[str, Any]:
    try:
        addresses = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not readable ({error}); run: wbd down, then wbd up") from None
    if not isinstance(addresses, dict):
        raise ConfigError(f"{path}: not a JSON object; run: wbd down, then wbd up")
    return addresses


def _refuse_unknown(names_given: Mapping[str, Any], names: Mapping[str, str], where: str) -> None:
    for given in names_given:
        if given.lower() not in names:
            raise ConfigError(f"setting {given} unknown ({where}){_suggestion(given, names)}; all: wbd config")


def _refuse_unknown_environment(env: Mapping[str, str], names: Mapping[str, str]) -> None:
    """Refuse unknown names with our prefix, and near misses of ours; the rest belong to other programs."""
    for given in env:
        low = given.lower()
        if low in names or low in _NOT_SETTINGS:
            continue
        # Two swapped letters never make another program's name; one different letter in a short name may (WORKER_IP).
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
