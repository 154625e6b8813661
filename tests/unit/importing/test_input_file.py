"""Inputs of every compression become lines of bounded length, and damage is told with its place."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from wbd.errors import BadInput
from wbd.importing.input_file import InputFile, ReadStopped, TextLine

Compress = Callable[[bytes], bytes]
TEXT = b"".join(b'{"id":"Q%d","x":"%s"}\n' % (i, b"abc" * (i % 50)) for i in range(1, 3000))
COMPRESSIONS: dict[str, Compress] = {
    "none": lambda data: data,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
}
PACKED = [name for name in COMPRESSIONS if name != "none"]


def lines_of(data: bytes, limit_bytes: int = 1 << 20) -> list[TextLine]:
    return list(InputFile(io.BytesIO(data), "test").lines(limit_bytes))


@pytest.mark.parametrize("name", list(COMPRESSIONS))
def test_compression_is_told_by_content_not_by_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / "no-extension"
    path.write_bytes(COMPRESSIONS[name](TEXT))
    with InputFile.open(path) as source:
        assert b"".join(source.chunks()) == TEXT
        assert source.compression == name
        assert source.consumed_bytes == source.size_bytes == path.stat().st_size


@pytest.mark.parametrize("name", PACKED)
def test_several_members_or_frames_in_a_row_are_one_text(name: str) -> None:
    parts = [TEXT[start : start + 7001] for start in range(0, len(TEXT), 7001)]
    packed = b"".join(map(COMPRESSIONS[name], parts))
    assert b"".join(InputFile(io.BytesIO(packed), "test").chunks()) == TEXT


@pytest.mark.parametrize("name", PACKED)
def test_of_a_truncated_file_all_that_was_there_is_delivered_then_one_error_with_its_place(name: str) -> None:
    packed = COMPRESSIONS[name](os.urandom(300_000).hex().encode() + b"\n" + TEXT)
    lines = lines_of(packed[: len(packed) // 2])
    assert [line.trouble is not None for line in lines] == [False] * (len(lines) - 1) + [True]
    trouble = lines[-1].trouble
    assert trouble is not None
    assert "ends too early (truncated)" in str(trouble)
    assert f"byte {len(packed) // 2} of the compressed file" in trouble.place


def test_lines_before_the_damage_in_a_gzip_file_are_delivered() -> None:
    one, two = gzip.compress(b"first\nsecond\n"), bytearray(gzip.compress(b"third\n" * 100))
    two[15] ^= 0xFF
    lines = lines_of(one + bytes(two))
    assert [line.text for line in lines[:2]] == [b"first", b"second"]
    assert lines[-1].trouble is not None


@pytest.mark.parametrize("name", PACKED)
def test_something_else_after_compressed_data_is_an_error(name: str) -> None:
    lines = lines_of(COMPRESSIONS[name](b"one\n") + b"tail of another kind")
    assert lines[0].text == b"one"
    assert "something else follows" in str(lines[-1].trouble)


def test_zeros_that_pad_a_gzip_file_are_ignored() -> None:
    assert [line.text for line in lines_of(gzip.compress(b"one\n") + bytes(4096))] == [b"one"]


def test_skippable_zstd_frames_are_skipped() -> None:
    skippable = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"
    packed = skippable + COMPRESSIONS["zstd"](b"one\n") + skippable
    assert [line.text for line in lines_of(packed)] == [b"one"]


@pytest.mark.parametrize("name", PACKED)
def test_a_compressed_line_far_over_the_limit_is_skipped_and_the_next_one_read(name: str) -> None:
    packed = COMPRESSIONS[name](b"a" * 30_000_000 + b"\nnext\n")
    long, good = lines_of(packed, limit_bytes=10_000)
    assert (long.number, long.too_long, long.length_bytes, len(long.text)) == (1, True, 30_000_000, 4096)
    assert (good.number, good.offset, good.text) == (2, 30_000_001, b"next")


def test_a_line_of_100_mb_is_never_held_whole() -> None:
    """The whole reading process stays below the line's size, interpreter included."""
    code = (
        "from pathlib import Path; from wbd.importing.reader import read_entities;"
        "lines = list(read_entities('-', 1 << 20));"
        "print(len(lines), str(lines[0].rejection), lines[1].entity['id'],"
        " Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert process.stdin is not None and process.stdout is not None
    for _ in range(100):
        process.stdin.write(b"[" * 1_000_000)
    process.stdin.write(b'\n{"id":"Q1"}\n')
    process.stdin.close()
    output = process.stdout.read().decode()
    assert process.wait() == 0
    assert output.startswith("2 line of 100000000 bytes, over import_max_line_bytes 1048576; skipped Q1 ")
    assert int(output.split()[-1]) < 90_000


@pytest.mark.parametrize("limit", [1024, 5000])
def test_a_line_of_exactly_the_limit_is_taken_and_one_byte_more_is_not(limit: int) -> None:
    fits, over = lines_of(b"x" * limit + b"\n" + b"y" * (limit + 1), limit)
    assert not fits.too_long and len(fits.text) == limit
    assert over.too_long and over.length_bytes == limit + 1


def test_a_byte_order_mark_is_not_part_of_the_first_line() -> None:
    (line,) = lines_of(b"\xef\xbb\xbf{}")
    assert (line.text, line.offset) == (b"{}", 3)


@pytest.mark.parametrize(
    ("data", "word"),
    [(b"\xfd7zXZ\0 and so on", "xz"), (b"PK\x03\x04zipped", "unzip"), (b"\xff\xfe{\0}\0", "UTF-16")],
)
def test_formats_that_are_not_read_are_named_with_what_to_do(data: bytes, word: str) -> None:
    (line,) = lines_of(data)
    assert word in str(line.trouble)


def test_an_empty_file_has_no_lines() -> None:
    assert lines_of(b"") == []
    assert lines_of(gzip.compress(b"")) == []


@pytest.mark.parametrize("name", ["missing", "folder"])
def test_what_cannot_be_opened_is_an_error_with_its_path(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadInput, match=name):
        InputFile.open(tmp_path / name)


def test_a_wait_for_a_silent_pipe_ends_when_asked_to(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    # Opened for both directions, so that the reader's open does not wait for a writer.
    holder = os.open(path, os.O_RDWR)
    stop = threading.Event()
    stop.set()
    with InputFile.open(path, stop=stop) as source, pytest.raises(ReadStopped):
        next(source.chunks())
    os.close(holder)


@given(st.lists(st.binary(max_size=60).map(lambda line: line.replace(b"\n", b"")), max_size=20), st.integers(1, 64))
def test_lines_are_those_of_the_text_whatever_the_pieces(texts: list[bytes], piece_bytes: int) -> None:
    """Numbers, offsets and texts do not depend on how the input came in pieces."""

    class Trickle(io.BytesIO):
        def read1(self, size: int | None = -1) -> bytes:
            return self.read(piece_bytes)

    data = b"x\n" + b"\n".join(texts)
    lines = list(InputFile(Trickle(data), "test").lines(1 << 20))
    expected = data.split(b"\n")
    assert [line.text for line in lines] == (expected if expected[-1] else expected[:-1])
    for line in lines:
        assert data[line.offset : line.offset + line.length_bytes] == line.text
        assert line.number == data.count(b"\n", 0, line.offset) + 1
