"""One target under Atheris: `python -m tests.fuzz.worker NAME BUILD_FOLDER [libFuzzer's options] CORPUS`.

run.py starts it. Nothing of wbd may be imported before Atheris watches imports: only what comes later is counted.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import atheris

from tests.fuzz.native_build import VARIANTS, Variant

_WATCHED = ["wbd.rdf", "wbd.revisions", "wbd.ids.entity_id"]


def main(name: str, folder: str, *options: str) -> None:
    watched = [*_WATCHED, "tests.fuzz.planted"]
    with atheris.instrument_imports(include=watched):
        target = importlib.import_module(f"tests.fuzz.{name}")
    if name in ("native_setdiff", "planted_native"):
        variants = [Variant(Path(folder), variant) for variant in VARIANTS]
        if name == "native_setdiff":
            target.builds[:] = [variant.module.difference for variant in variants]
        else:
            target.library = variants[0].library
        for variant in variants:
            variant.count()
    atheris.Setup(["fuzz", *options], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
