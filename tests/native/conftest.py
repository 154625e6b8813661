"""The native code under test, and a compiler to build its checks.

WBD_NATIVE_DIR names a folder with other builds of the extensions, such as those of `make native-sanitize`.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import without

ROOT = Path(__file__).parents[2]
RDF = ROOT / "wbd" / "rdf"
DIFF = ROOT / "wbd" / "diff"
IDS = ROOT / "wbd" / "ids"

MEMORY = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
WRAP = ["-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc"]
"""Lets driver.h make allocations fail."""

Compile = Callable[..., Path]


def use_other_build(name: str, folder: Path) -> None:
    """Let *name* be what *folder* has, before its package is imported: that one imports its extension at once."""
    path = folder / f"{name.rpartition('.')[2]}.so"
    assert name not in sys.modules, f"{name} was imported before the other build was asked for"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])


NATIVE_DIR = Path(os.environ["WBD_NATIVE_DIR"]).resolve() if os.environ.get("WBD_NATIVE_DIR") else None
if NATIVE_DIR:
    use_other_build("wbd.rdf._setdiff", NATIVE_DIR)
    use_other_build("wbd.diff._spans", NATIVE_DIR)
    use_other_build("wbd.rdf._turtle", NATIVE_DIR)
    use_other_build("wbd.ids._segment", NATIVE_DIR)


def origin(name: str) -> Path:
    """Return the file of the extension *name* that tests use."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        without(f"{name} is not built")
        raise AssertionError
    return Path(spec.origin)


def grown_bytes(calls: Callable[[], None]) -> int:
    """Return how much more memory is held after calls than before them; what the first ones leave does not count."""
    calls()
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    calls()
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return grown


def run(command: list[str], *, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program that is not to inherit the preloaded sanitizers of this one."""
    env = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "ASAN_OPTIONS")}
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120, env=env)


def check(program: Path, *arguments: str, stdin: str | None = None, code: int = 0) -> str:
    """Run a program that keeps its promises, or ends with *code*; return what it wrote, on stderr if it failed."""
    done = run([str(program), *arguments], stdin=stdin)
    if "unexpected memory mapping" in done.stderr:
        # The kernel's choice, not a missing part of the machine, so CI may skip it too.
        pytest.skip("ThreadSanitizer does not run on this kernel (sysctl vm.mmap_rnd_bits is above 28)")
    assert done.returncode == code, done.stdout + done.stderr[-4000:]
    return done.stderr if code else done.stdout


@pytest.fixture(scope="session")
def compile_c(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Build C files to a program, or with `-shared` to an extension module: compile_c(name, sources, flags)."""
    compiler = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
    if compiler is None:
        without("no C compiler")
    folder = tmp_path_factory.mktemp("native")

    def build(name: str, sources: list[Path], flags: list[str]) -> Path:
        warnings = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
        headers = ["-I", str(RDF), "-I", str(DIFF), "-I", str(IDS), "-isystem", sysconfig.get_path("include")]
        target = folder / name
        command = [str(compiler), "-std=c11", "-g", "-O1", *warnings, *headers, *flags]
        done = run([*command, *map(str, sources), "-o", str(target)])
        if "-fsanitize" in " ".join(flags) and "cannot find" in done.stderr:
            without(f"the compiler has no sanitizers: {done.stderr.strip()[-200:]}")
        assert done.returncode == 0, done.stderr
        return target

    return build
