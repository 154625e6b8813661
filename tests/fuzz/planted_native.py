"""A read behind a piece of memory, in C: AddressSanitizer has to notice it.

Oracle: the sanitizer.
"""

from __future__ import annotations

import ctypes

MAX_INPUT_BYTES = 64
SEEDS = (b"?",)

library: ctypes.CDLL | None = None
"""A build with sanitizers and coverage.c in it; the fuzzer puts it here."""


def check(data: bytes) -> None:
    if data[:1] == b"!" and library is not None:
        library.fuzz_planted_fault(ctypes.c_size_t(len(data)))
