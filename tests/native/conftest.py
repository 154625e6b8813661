"""The native code under test, and a compiler to build its checks.

WBD_NATIVE_DIR names a folder with other builds of the extensions, such as those of `make native-sanitize`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

import wbd.rdf
from tests.conftest import without

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "wbd" / "rdf"

NATIVE_DIR = os.environ.get("WBD_NATIVE_DIR")
if NATIVE_DIR:
    wbd.rdf.__path__.insert(0, str(Path(NATIVE_DIR).resolve()))

Compile = Callable[..., Path]


def run(command: list[str], *, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program that is not to inherit the preloaded sanitizers of this one."""
    env = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "ASAN_OPTIONS")}
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120, env=env)


@pytest.fixture(scope="session")
def compile_c(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Build C files to a program, or with `-shared` to an extension module: compile_c(name, sources, flags)."""
    compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
    if compiler is None:
        without("no C compiler")
    folder = tmp_path_factory.mktemp("native")

    def build(name: str, sources: list[Path], flags: list[str]) -> Path:
        warnings = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
        headers = ["-I", str(SOURCES), "-isystem", sysconfig.get_path("include")]
        target = folder / name
        command = [str(compiler), "-std=c11", "-g", "-O1", *warnings, *headers, *flags]
        done = run([*command, *map(str, sources), "-o", str(target)])
        if "-fsanitize" in " ".join(flags) and "cannot find" in done.stderr:
            without(f"the compiler has no sanitizers: {done.stderr.strip()[-200:]}")
        assert done.returncode == 0, done.stderr
        return target

    return build
