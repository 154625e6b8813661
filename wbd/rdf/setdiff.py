"""What two graphs do not share, as canonical N-Triples text.

The work is done in C where the extension was built (setdiff.h has the contract in full), and by difference_twin
otherwise: a set difference in Python with the same results, which is what the C code is tested against.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wbd.errors import BadInput

if TYPE_CHECKING:
    from typing_extensions import Buffer

# Distinct lines of both graphs together; places in the table of setdiff.c are 32 bits wide.
MAX_LINES: Final = 1 << 31


def difference_twin(old: Buffer, new: Buffer, /) -> tuple[bytes, bytes]:
    """Return what difference returns, by sets of lines; it copies every line and keeps the GIL."""
    before, after = _lines(old), _lines(new)
    if len(before | after) > MAX_LINES:
        raise BadInput(f"two graphs of more than {MAX_LINES} different lines; graphs set aside")
    return _text(after - before), _text(before - after)


def _lines(text: Buffer) -> set[bytes]:
    view = memoryview(text)
    if not view.c_contiguous:
        raise BufferError("a text is one piece of memory; this one has gaps")
    lines = set(view.tobytes().split(b"\n"))
    lines.discard(b"")
    return lines


def _text(lines: set[bytes]) -> bytes:
    return b"".join([line + b"\n" for line in sorted(lines)])


try:
    from wbd.rdf import _setdiff

    _difference = _setdiff.difference
except ModuleNotFoundError:
    # Not built. An extension that is there and cannot be loaded is a broken installation and raises ImportError.
    _difference = difference_twin


def difference(old: Buffer, new: Buffer, /) -> tuple[bytes, bytes]:
    r"""
    Return the lines that only *new* has and those that only *old* has.

    Lines end at \n, the last one also without; every other byte is content. Empty lines are no lines, and a line that
    comes again counts once. Nothing else may write to the texts meanwhile. Above 64 KiB the GIL is released.

    Returns:
        Added and removed, each line once and ended by \n, in ascending order of their bytes.

    Raises:
        BadInput: more than MAX_LINES distinct lines in both texts together.
        MemoryError: no room for the table, which takes 40 to 96 bytes a distinct line.
    """
    return _difference(old, new)
