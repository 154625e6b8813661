"""Write constraints.txt: the versions that this environment has of wbd[dev] and everything that it needs.

    python -m scripts.constraints

Reads:   the metadata of the packages in this environment
Writes:  constraints.txt
Repeats: harmless
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FILE = Path(__file__).parents[1] / "constraints.txt"
HEAD = """\
# Versions that the tests pass with, of wbd[dev] and everything that it needs. Written by: python -m scripts.constraints
"""


def needed(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    """Yield the requirements of an installed package, with some of its extras, that apply to this environment."""
    for text in metadata.requires(name) or []:
        requirement = Requirement(text)
        if requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in ("", *sorted(extras))
        ):
            yield requirement


def closure(name: str, extras: frozenset[str]) -> dict[str, str]:
    """Return name and version of everything that *name* needs, itself excluded."""
    found: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(name, extras)]
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        for requirement in needed(*one):
            key = canonicalize_name(requirement.name)
            found[key] = metadata.version(key)
            waiting.append((key, frozenset(requirement.extras)))
    return found


def constraints() -> str:
    """Return the text of the file."""
    lines = [f"{name}=={version}\n" for name, version in sorted(closure("wbd", frozenset({"dev"})).items())]
    return HEAD + "".join(lines)


if __name__ == "__main__":
    FILE.write_text(constraints())
    sys.exit(0)
