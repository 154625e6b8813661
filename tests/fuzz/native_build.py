"""Builds of the C code for fuzzing: with sanitizers, and with counters of the branches that ran.

Atheris counts branches of Python only, and C built by clang. gcc's trace-pc with coverage.c behind it counts those of
C built by gcc, in counters that libFuzzer reads after each input. So the search is guided by C's branches too, and no
second compiler is needed.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
_SOURCES = {"spans": ROOT / "wbd" / "diff", "setdiff": ROOT / "wbd" / "rdf"}
_HERE = Path(__file__).parent
_SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g", "-O1"]


class Kernel(NamedTuple):
    """
    C code that a target runs.

    name: what its files in wbd/rdf begin with, without the underscore of the face.
    function: what the face offers.
    variants: name of a build -> its flags.
    """

    name: str
    function: str
    variants: Mapping[str, Sequence[str]]


_SETDIFF = Kernel("setdiff", "difference", {"plain": [], "colliding": ["-DSETDIFF_HASH_MASK=UINT64_C(3)"]})
KERNELS = {
    "native_setdiff": _SETDIFF,
    "planted_native": _SETDIFF,
    # With fewer bits the keys of a generated entity would be too many for one slot, and the entity unusual.
    "snapshots": Kernel("spans", "compare", {"plain": [], "colliding": ["-DSPANS_HASH_MASK=UINT32_C(31)"]}),
}
"""Target -> what it runs, built with sanitizers."""


def compiler() -> str:
    program = next((path for name in ("cc", "gcc") if (path := shutil.which(name))), None)
    if program is None:
        raise SystemExit("fuzz: no C compiler; apt-get install gcc libc6-dev")
    return program


def build(folder: Path, kernel: Kernel) -> None:
    """Build every variant into *folder*."""
    for variant, flags in kernel.variants.items():
        place = folder / kernel.name / variant
        place.mkdir(parents=True, exist_ok=True)
        common = [compiler(), "-std=c11", "-fPIC", *_SANITIZE, "-isystem", sysconfig.get_path("include"), *flags]
        objects = []
        own = _SOURCES[kernel.name]
        for source in (
            own / f"_{kernel.name}.c",
            *sorted(own.glob(f"{kernel.name}*.c")),
            _HERE / "coverage.c",
        ):
            traced = [] if source.parent == _HERE else ["-fsanitize-coverage=trace-pc"]
            objects.append(str(place / f"{source.stem}.o"))
            subprocess.run([*common, *traced, "-c", str(source), "-o", objects[-1]], check=True)
        # Without the sanitizers' libraries: theirs come with Atheris.
        subprocess.run([compiler(), "-shared", *objects, "-o", str(place / f"_{kernel.name}.so")], check=True)


def environment() -> dict[str, str]:
    """
    Return the environment in which such a build can be loaded.

    gcc's own AddressSanitizer brings stubs of the functions that libFuzzer counts by; Atheris has one without.
    """
    spec = importlib.util.find_spec("asan_with_fuzzer")
    assert spec is not None and spec.origin is not None
    return {
        **os.environ,
        "LD_PRELOAD": spec.origin,
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",
    }


class Variant:
    """One loaded build."""

    def __init__(self, folder: Path, kernel: Kernel, variant: str) -> None:
        path = folder / kernel.name / variant / f"_{kernel.name}.so"
        spec = importlib.util.spec_from_file_location(f"wbd.{_SOURCES[kernel.name].name}._{kernel.name}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.function: Callable[..., Any] = getattr(module, kernel.function)
        self.library = ctypes.CDLL(str(path))

    def count(self) -> None:
        """Let libFuzzer count the branches that run; before it starts."""
        self.library.fuzz_count()
