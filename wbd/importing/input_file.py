"""Read a file or a pipe, compressed or not, as lines of bounded length with their places.

The first bytes tell the compression, never the name. Memory stays within the line limit plus a few hundred kilobytes,
whatever the file holds, because the output of a decompressor is taken in bounded pieces.
"""

from __future__ import annotations

import bz2
import io
import os
import select
import stat
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, cast

import zstandard

from wbd.errors import BadInput

_CHUNK_BYTES = 256 * 1024
# zstandard bounds its window but not its output: a block of 128 KiB can come from 4 bytes of input, so the input
# goes in by small pieces, each of which gives at most 32 MiB.
_ZSTD_PIECE_BYTES = 1024
# Enough of an over-long line to recognise it.
_KEPT_OF_LONG_LINE_BYTES = 4096

_GZIP = b"\x1f\x8b"
_BZIP2 = b"BZh"
_ZSTD = b"\x28\xb5\x2f\xfd"
_NOT_READ = {
    b"\xfd7zXZ\0": "xz; decompress it first: xz -dc FILE | wbd import -",
    b"PK\x03\x04": "zip; unpack it first: unzip -p FILE | wbd import -",
    b"7z\xbc\xaf": "7z; unpack it first: 7z x -so FILE | wbd import -",
    b"\x04\x22\x4d\x18": "lz4; decompress it first: lz4 -dc FILE | wbd import -",
    b"\xff\xfe": "UTF-16; convert it first: iconv -f UTF-16 -t UTF-8 FILE | wbd import -",
    b"\xfe\xff": "UTF-16; convert it first: iconv -f UTF-16 -t UTF-8 FILE | wbd import -",
}
_UTF8_MARK = b"\xef\xbb\xbf"

# Longest time until a read from a silent pipe notices that it should stop.
_STOP_CHECK_S = 0.2

Read = Callable[[], bytes]


class ReadStopped(Exception):
    """The caller asked to stop while the input was silent."""


class DamagedInput(BadInput):
    """Compressed data that is damaged or ends too early; everything before it was read, nothing after it."""


@dataclass(frozen=True, slots=True)
class TextLine:
    """One line without its end; *offset* counts uncompressed bytes from 0, *number* lines from 1."""

    number: int
    offset: int
    text: bytes
    length_bytes: int
    trouble: BadInput | None = None

    @property
    def too_long(self) -> bool:
        """Whether the line is over the limit, so that text is only its beginning."""
        return self.length_bytes > len(self.text)


class InputFile:
    """An open input: ``with InputFile.open(path) as source: for line in source.lines(limit): ...``."""

    def __init__(
        self,
        raw: BinaryIO,
        name: str,
        *,
        owned: bool = False,
        size_bytes: int | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self.name = name
        self.size_bytes = size_bytes
        self.consumed_bytes = 0
        self.compression = "none"
        self._raw = raw
        self._owned = owned
        self._stop = stop

    @classmethod
    def open(cls, path: Path | str | BinaryIO, *, stop: threading.Event | None = None) -> InputFile:
        """
        Open a path, "-" for standard input, or a binary stream that the caller closes.

        Args:
            stop: makes a read from a silent pipe or terminal raise ReadStopped.

        Raises:
            BadInput: no such file, a folder, or not readable.
        """
        if not isinstance(path, Path | str):
            return cls(path, str(getattr(path, "name", "stream")))
        if str(path) == "-":
            # Unbuffered: select() does not know about bytes that a buffer holds.
            return cls(getattr(sys.stdin.buffer, "raw", sys.stdin.buffer), "stdin", stop=stop)
        try:
            raw = Path(path).open("rb", buffering=0)  # noqa: SIM115 closed by __exit__
        except IsADirectoryError as error:
            raise BadInput("is a folder; name the files in it", str(path)) from error
        except OSError as error:
            raise BadInput(f"not readable: {error.strerror}", str(path)) from error
        mode = os.fstat(raw.fileno())
        if stat.S_ISREG(mode.st_mode):
            return cls(cast(BinaryIO, raw), str(path), owned=True, size_bytes=mode.st_size)
        return cls(cast(BinaryIO, raw), str(path), owned=True, stop=stop)

    def __enter__(self) -> InputFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._owned:
            self._raw.close()

    def chunks(self) -> Iterator[bytes]:
        """
        Yield the uncompressed content in pieces.

        Raises:
            BadInput: a format that is not read.
            DamagedInput: compressed data is damaged or ends too early; everything before it has been yielded.
        """
        first = self._read_at_least(6)
        for magic, advice in _NOT_READ.items():
            if first.startswith(magic):
                raise BadInput(f"format not read: {advice}")
        if first.startswith(_GZIP):
            self.compression = "gzip"
            yield from self._decompress(first, _gzip_member, _GZIP)
        elif first.startswith(_BZIP2):
            self.compression = "bzip2"
            yield from self._decompress(first, _bzip2_stream, _BZIP2)
        elif _is_zstd(first):
            self.compression = "zstd"
            yield from self._decompress(first, _zstd_frame, None)
        else:
            while first:
                yield first
                first = self._read()

    def lines(self, limit_bytes: int) -> Iterator[TextLine]:
        """
        Yield every line; of a line over *limit_bytes* only the beginning, and it is never held whole in memory.

        A fault of the input itself ends the iteration: the last TextLine carries the error and the part of the line
        that was read before it.
        """
        number, offset = 1, 0
        held: list[bytes] = []
        length = 0
        at_start = True
        kept_of_long = min(_KEPT_OF_LONG_LINE_BYTES, limit_bytes)
        try:
            for chunk in self.chunks():
                position = 0
                if at_start:
                    at_start = False
                    position = len(_UTF8_MARK) if chunk.startswith(_UTF8_MARK) else 0
                    offset = position
                while True:
                    end = chunk.find(b"\n", position)
                    piece = chunk[position : end if end >= 0 else len(chunk)]
                    if length + len(piece) <= limit_bytes:
                        held.append(piece)
                    elif length <= limit_bytes:
                        held = [_beginning([*held, piece], kept_of_long)]
                    length += len(piece)
                    if end < 0:
                        break
                    yield TextLine(number, offset, b"".join(held), length)
                    offset += length + 1
                    number += 1
                    held, length = [], 0
                    position = end + 1
        except BadInput as trouble:
            yield TextLine(number, offset, b"".join(held), length, trouble)
            return
        if length:
            yield TextLine(number, offset, b"".join(held), length)

    def _read(self) -> bytes:
        while self._stop is not None and not select.select([self._raw], [], [], _STOP_CHECK_S)[0]:
            if self._stop.is_set():
                raise ReadStopped
        # read1 returns what a pipe has; read would wait for a whole chunk.
        read = getattr(self._raw, "read1", self._raw.read)
        data: bytes = read(_CHUNK_BYTES)
        self.consumed_bytes += len(data)
        return data

    def _read_at_least(self, count: int) -> bytes:
        """Read until *count* bytes are there or the input ends; a pipe may give its first bytes one by one."""
        data = b""
        while len(data) < count:
            more = self._read()
            if not more:
                break
            data += more
        return data

    def _decompress(
        self,
        first: bytes,
        one: Callable[[bytes, Read], Iterator[bytes | _Rest]],
        magic: bytes | None,
    ) -> Iterator[bytes]:
        """Yield the content of all members (gzip), streams (bzip2) or frames (zstd), one after the other."""
        data = first
        while data:
            try:
                for piece in one(data, self._read):
                    if isinstance(piece, _Rest):
                        data = piece.data
                    elif piece:
                        yield piece
            except (zlib.error, OSError, EOFError, zstandard.ZstdError) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise
                raise DamagedInput(f"{self.compression} data {error}", self._where()) from error
            if magic == _GZIP:
                # Tapes and some tools pad a gzip file with zeros, which gzip(1) ignores.
                data = data.lstrip(b"\0")
            if len(data) < 4:
                data += self._read_at_least(4)
                if magic == _GZIP:
                    data = data.lstrip(b"\0")
            if data and not (_is_zstd(data) if magic is None else data.startswith(magic)):
                raise DamagedInput(f"{self.compression} data ends, and something else follows", self._where())

    def _where(self) -> str:
        return f"around byte {self.consumed_bytes} of the compressed file"


@dataclass(frozen=True, slots=True)
class _Rest:
    """The bytes after the end of a member; the reader of the member yields them last."""

    data: bytes


def _gzip_member(data: bytes, read: Read) -> Iterator[bytes | _Rest]:
    member = zlib.decompressobj(wbits=31)
    while not member.eof:
        piece = member.decompress(data, _CHUNK_BYTES)
        data = member.unconsumed_tail
        if not piece and not data and not member.eof:
            data = read()
            if not data:
                raise EOFError("ends too early (truncated)")
        yield piece
    yield _Rest(member.unused_data)


def _bzip2_stream(data: bytes, read: Read) -> Iterator[bytes | _Rest]:
    stream = bz2.BZ2Decompressor()
    while not stream.eof:
        piece = stream.decompress(data, _CHUNK_BYTES)
        data = b""
        if not piece and not stream.eof and stream.needs_input:
            data = read()
            if not data:
                raise EOFError("ends too early (truncated)")
        yield piece
    yield _Rest(stream.unused_data)


def _zstd_frame(data: bytes, read: Read) -> Iterator[bytes | _Rest]:
    frame = zstandard.ZstdDecompressor().decompressobj()
    source = io.BytesIO(data)
    while not frame.eof:
        piece = source.read(_ZSTD_PIECE_BYTES)
        if not piece:
            data = read()
            if not data:
                raise EOFError("ends too early (truncated)")
            source = io.BytesIO(data)
            continue
        yield frame.decompress(piece)
    yield _Rest(frame.unused_data + source.read())


def _beginning(pieces: list[bytes], count: int) -> bytes:
    """Return the first *count* bytes of the pieces without joining all of them."""
    taken: list[bytes] = []
    for piece in pieces:
        taken.append(piece[: max(0, count - sum(map(len, taken)))])
        if not taken[-1]:
            break
    return b"".join(taken)


def _is_zstd(data: bytes) -> bool:
    skippable = len(data) >= 4 and 0x50 <= data[0] <= 0x5F and data[1:4] == b"\x2a\x4d\x18"
    return data.startswith(_ZSTD) or skippable
