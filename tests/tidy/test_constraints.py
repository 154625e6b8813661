"""constraints.txt names a tested version of every dependency, and each is one that pyproject.toml allows."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def pinned(text: str) -> dict[str, str]:
    """Return name and version of each line."""
    rows = [line.partition("==") for line in text.splitlines() if line and not line.startswith("#")]
    return {name: version for name, _, version in rows}


def faults(constraints: dict[str, str], requirements: list[str]) -> list[str]:
    """Return the requirements that have no version, or one that they do not allow."""
    unmet = []
    for requirement in map(Requirement, requirements):
        version = constraints.get(canonicalize_name(requirement.name))
        if version is None:
            unmet.append(f"{requirement}: no version; run: python -m scripts.constraints")
        elif not requirement.specifier.contains(version, prereleases=True):
            unmet.append(f"{requirement}: {version} is tested")
    return unmet


def test_every_dependency_has_a_tested_version_that_is_allowed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert faults(pinned((ROOT / "constraints.txt").read_text()), requirements) == []


@pytest.mark.parametrize(("requirement", "said"), [("absent>=1", "no version"), ("pytest<1", "is tested")])
def test_a_missing_or_forbidden_version_is_noticed(requirement: str, said: str) -> None:
    (fault,) = faults(pinned((ROOT / "constraints.txt").read_text()), [requirement])
    assert said in fault
