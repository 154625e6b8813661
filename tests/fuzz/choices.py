"""Bytes of a fuzzer become choices, so that every input means something and a small change of it stays small."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Reads bytes from the front; behind the end everything is zero."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def more(self) -> bool:
        return self._at < len(self._data)

    def byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def number(self, limit: int) -> int:
        """Return a number below *limit*, which is at most 65,536."""
        return self.byte() % limit if limit <= 256 else (self.byte() << 8 | self.byte()) % limit

    def one(self, of: Sequence[T]) -> T:
        return of[self.number(len(of))]

    def some(self) -> bytes:
        """Return as many bytes as the next one says."""
        count = self.byte()
        piece = self._data[self._at : self._at + count]
        self._at += count
        return piece

    def text(self) -> str:
        """Return text of any characters, lone surrogates among them, as JSON can have."""
        return self.some().decode("utf-8", "surrogateescape" if self.byte() & 1 else "replace")

    def rest(self) -> bytes:
        piece = self._data[self._at :]
        self._at = len(self._data)
        return piece
