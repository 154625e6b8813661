"""The difference of two texts in C: `_setdiff.difference`, beside its twin in Python.

Oracle: C and Python return the same bytes for any two texts, and the way back is the same turned round. `make fuzz`
builds the C code twice under AddressSanitizer and UndefinedBehaviorSanitizer (native_build.py): as it is, and with all
but two bits of every hash cleared, so that lines meet in four slots. A read past a text is a crash then.

Input: a byte that says how the second text comes from the first one, and the texts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.fuzz.choices import Choices
from wbd.rdf import setdiff
from wbd.rdf.setdiff import difference_twin

MAX_INPUT_BYTES = 1024
SEEDS = (
    b"\x00\x05a\nb\nca\nb\nd\n",
    b"\x01\x00" + b"\n".join(b"<http://a.test/%d> <p> <o> ." % number for number in range(20)),
    b"\x02\x03a\0b\xff\xfe\n\n\r\n" + b"x" * 70 + b"\n" + b"x" * 71,
    b"\x03\x07" + bytes(range(256)),
    *(bytes([4, number]) + b"\n".join(b"%d" % (line * line % 97) for line in range(60)) for number in range(8)),
)

Difference = Callable[[Any, Any], tuple[bytes, bytes]]

builds: list[Difference] = [setdiff._difference]
"""What is under test; the fuzzer puts the builds with sanitizers here."""


def _texts(choices: Choices) -> tuple[bytes, bytes]:
    way, cut = choices.byte(), choices.byte()
    data = choices.rest()
    if way & 3 == 0:
        return data[:cut], data[cut:]
    lines = data.split(b"\n")
    one = cut % len(lines)
    match way & 3:
        case 1:
            other = [*lines[one:], *lines[:one]]
        case 2:
            other = [*lines[:one], data[: way >> 2], *lines[one + 1 :]]
        case _:
            other = [line[: (cut + number) % (len(line) + 1)] for number, line in enumerate(lines)]
    # Many times as long, so that the table grows.
    times = 1 + (way >> 6)
    return data, b"\n".join(b"%d%s" % (number, line) if number else line for number in range(times) for line in other)


def check(data: bytes) -> None:
    old, new = _texts(Choices(data))
    expected = difference_twin(old, new)
    for difference in builds:
        # Bytes objects end in a NUL that a read past the end would meet; these do not.
        native_result = difference(bytearray(old), bytearray(new))
        assert native_result == expected, f"C {native_result!r}, Python {expected!r}"
        assert difference(new, old) == expected[::-1], "the way back"
