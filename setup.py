"""The native code; everything else about the package is in pyproject.toml.

Warnings are errors where CI is set. WBD_NO_EXTENSIONS=1 builds without a compiler: the Python twins do the work then.
"""

from __future__ import annotations

import os
import sysconfig

from setuptools import Extension, setup

FLAGS = [
    "-std=c11",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wshadow",
    # Python's own headers do not pass -Wconversion; as a system's they need not.
    "-isystem",
    sysconfig.get_path("include"),
]
if os.environ.get("CI", "").lower() in ("1", "true"):
    FLAGS.append("-Werror")

EXTENSIONS = [
    Extension(
        "wbd.ids._segment",
        sources=[
            "wbd/ids/_segment.c",
            "wbd/ids/_taker.c",
            "wbd/ids/_pump.c",
            "wbd/ids/pump.c",
            "wbd/ids/segment.c",
            "wbd/ids/segment_layout.c",
            "wbd/ids/segment_publisher.c",
        ],
        depends=[
            "wbd/ids/_segment.h",
            "wbd/ids/segment.h",
            "wbd/ids/segment_word.h",
            "wbd/ids/decimal.h",
            "wbd/ids/pump.h",
        ],
        extra_compile_args=FLAGS,
    ),
    Extension(
        "wbd.rdf._setdiff",
        sources=["wbd/rdf/_setdiff.c", "wbd/rdf/setdiff.c"],
        depends=["wbd/rdf/setdiff.h"],
        extra_compile_args=FLAGS,
    ),
    Extension(
        "wbd.diff._spans",
        sources=["wbd/diff/_spans.c", "wbd/diff/spans.c"],
        depends=["wbd/diff/spans.h"],
        extra_compile_args=FLAGS,
    ),
    Extension(
        "wbd.rdf._turtle",
        sources=["wbd/rdf/_turtle.c", "wbd/rdf/turtle.c"],
        depends=["wbd/rdf/turtle.h"],
        extra_compile_args=FLAGS,
    ),
]

setup(ext_modules=[] if os.environ.get("WBD_NO_EXTENSIONS") else EXTENSIONS)
