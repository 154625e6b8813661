"""One target under Atheris: `python -m tests.fuzz.worker NAME BUILD_FOLDER [libFuzzer's options] CORPUS`.

run.py starts it. Nothing of wbd may be imported before Atheris watches imports: only what comes later is counted.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import atheris

from tests.fuzz.native_build import KERNELS, Variant

_WATCHED = ["wbd.rdf", "wbd.revisions", "wbd.entity.ids"]


def main(name: str, folder: str, *options: str) -> None:
    watched = [*_WATCHED, "tests.fuzz.planted"]
    with atheris.instrument_imports(include=watched):
        target: Any = importlib.import_module(f"tests.fuzz.{name}")
    kernel = KERNELS.get(name)
    if kernel is not None:
        variants = [Variant(Path(folder), kernel, variant) for variant in kernel.variants]
        if name == "planted_native":
            target.library = variants[0].library
        else:
            target.builds[:] = [variant.function for variant in variants]
        for variant in variants:
            variant.count()
    atheris.Setup(["fuzz", *options], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
