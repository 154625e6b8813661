"""Other builds of the ring's extension for takers: slower inside a take, or with a planted fault.

Reads:   the C sources of wbd.ids
Writes:  one shared library a build, in the folder given
Repeats: harmless
"""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from pathlib import Path

import wbd.ids

# A taker sleeps for a moment after it has read and before it takes, so that signals and other takers come in between.
SLOW = (
    # Defined by the sources, too, but here before the first header.
    "-D_GNU_SOURCE=",
    *("-include", "unistd.h", "-include", "stdlib.h"),
    "-DSEGMENT_PAUSE()=usleep((useconds_t)(rand() % 2000))",
)
# The generation is left out of the takers' comparison; see move() in segment.c.
FAULTY = (*SLOW, "-DSEGMENT_FAULT_NO_GENERATION")


def compiler() -> str | None:
    """Return the C compiler of this machine."""
    return next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)


def build(folder: Path, name: str, flags: tuple[str, ...]) -> Path:
    """Compile wbd.ids._segment with *flags*."""
    sources = sorted(Path(wbd.ids.__path__[0]).glob("*.c"))
    target = folder / f"{name}.so"
    command = [
        str(compiler()),
        "-std=gnu11",
        "-O2",
        "-shared",
        "-fPIC",
        "-Werror=implicit-function-declaration",
        *flags,
        "-isystem",
    ]
    done = subprocess.run(
        [*command, sysconfig.get_path("include"), *map(str, sources), "-o", str(target)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return target
