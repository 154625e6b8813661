"""A fault that the fuzzer has to find, so that a run without a crash means something.

Oracle: bytes that begin in FAUL fail. Each byte is behind a branch of its own; to guess all at once takes four billion
tries.
"""

from __future__ import annotations

MAX_INPUT_BYTES = 64
SEEDS = (b"????????",)


def check(data: bytes) -> None:
    if data[:1] == b"F" and data[1:2] == b"A" and data[2:3] == b"U" and data[3:4] == b"L":
        raise AssertionError("planted fault")
