"""The ring's file has one publisher at a time, survives its death, and is never trusted unchecked."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import without
from wbd.errors import ConfigError, SegmentUnusable
from wbd.ids.attachment import Attachment, open_segment
from wbd.ids.segment import LAYOUT_VERSION, SEGMENT_BYTES, UP_TO, Segment
from wbd.ids.segment_file import SegmentFile

try:
    import wbd.ids._segment  # noqa: F401
except ModuleNotFoundError:
    without("the extension is not built")

# Takes the file, says so, and waits to be killed.
OWNER = """
import sys, time
from pathlib import Path
from wbd.ids.segment_file import SegmentFile
file = SegmentFile(Path(sys.argv[1]))
segment = file.acquire()
segment.publish(0, 1, 1000, 10)
print(segment.take_one(0), flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shm" / "one.ids"


@pytest.fixture
def owner(path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", OWNER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "1\n"
    yield process
    process.kill()
    process.wait()


def acquired(path: Path, **options: object) -> tuple[SegmentFile, Segment]:
    file = SegmentFile(path, **options)  # type: ignore[arg-type]
    segment = file.acquire()
    assert segment is not None
    return file, segment


def test_a_second_publisher_waits_until_the_first_is_gone_and_goes_on_with_its_ids(
    path: Path, owner: subprocess.Popen[str]
) -> None:
    file = SegmentFile(path)
    assert file.acquire() is None and file.attachment is None
    owner.kill()
    owner.wait()
    segment = file.acquire()
    assert segment is not None and file.set_aside is None
    assert segment.take_one(0) == 2, "1 was taken by the dead process"
    assert segment.publish(0, 1001, 2000, 10) and segment.look(0)["pieces"] == [(3, 2000)]
    file.release()


def test_takers_go_on_while_no_publisher_lives(path: Path, owner: subprocess.Popen[str]) -> None:
    status = path.stat()
    taker = open_segment(Attachment(str(path), status.st_dev, status.st_ino, LAYOUT_VERSION), status.st_uid)
    owner.kill()
    owner.wait()
    assert [taker.take_one(0) for _ in range(3)] == [2, 3, 4]


def test_a_clean_release_removes_the_file_and_a_kept_one_stays(path: Path) -> None:
    file, segment = acquired(path)
    assert file.is_in_place() and path.stat().st_size == SEGMENT_BYTES
    segment.publish(0, 1, 10, 1)
    file.release(keep=True)
    assert path.exists() and not file.is_in_place()
    file, segment = acquired(path)
    assert segment.take_one(0) == 1
    file.release()
    assert not path.exists()


def test_the_file_is_open_to_those_who_may_write_to_the_socket(path: Path) -> None:
    for mode, wanted, folder in ((0o600, 0o600, 0o700), (0o660, 0o660, 0o750), (0o622, 0o666, 0o755)):
        shutil.rmtree(path.parent, ignore_errors=True)
        file, _ = acquired(path, mode=mode)
        assert stat.S_IMODE(path.stat().st_mode) == wanted
        assert stat.S_IMODE(path.parent.stat().st_mode) == folder
        file.release()


def test_a_removed_or_replaced_file_is_noticed(path: Path) -> None:
    file, _ = acquired(path)
    path.rename(path.with_name("away"))
    assert not file.is_in_place()
    shutil.copy(path.with_name("away"), path)
    assert not file.is_in_place()
    file.release()
    assert path.exists(), "somebody else's file is not removed"


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"\0" * SEGMENT_BYTES, os.urandom(SEGMENT_BYTES), b"WBDIDSEG" + b"\xff" * (SEGMENT_BYTES - 8)],
    ids=["empty", "short", "zeros", "noise", "damaged"],
)
def test_a_file_that_is_no_segment_is_set_aside(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700)
    path.write_bytes(content)
    file, segment = acquired(path)
    assert segment.publish(0, 1, 10, 1) and segment.take_one(0) == 1
    assert (file.set_aside is None) == (content == b""), "an empty file is one that a dead process began"
    if content:
        assert path.with_name("one.ids.set-aside").read_bytes() == content
    file.release()


def test_a_copy_of_a_segment_is_set_aside_because_its_ids_may_be_taken_elsewhere(path: Path) -> None:
    file, segment = acquired(path)
    segment.publish(0, 1, 10, 1)
    copy = path.with_name("two.ids")
    shutil.copy(path, copy)
    other, empty = acquired(copy)
    assert empty.take_one(0) == 0 and "copy" in str(other.set_aside)
    other.release()
    file.release()


def test_a_segment_of_an_earlier_boot_is_set_aside_because_its_last_takes_may_be_lost(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.ftruncate(descriptor, SEGMENT_BYTES)
    Segment(descriptor, "another boot", create=True, publish=True).publish(0, 1, 10, 1)
    os.close(descriptor)
    file, segment = acquired(path)
    assert segment.take(0, 5, UP_TO) == [] and "boot" in str(file.set_aside)
    file.release()


def test_a_full_tmpfs_is_a_clear_error_and_leaves_no_half_a_file(path: Path) -> None:
    """In a process that has a tmpfs of its own, whose only page another file uses."""
    path.parent.mkdir(mode=0o700)
    script = (
        "import ctypes, os, sys; from pathlib import Path; from wbd.errors import SegmentUnusable\n"
        "from wbd.ids.segment_file import SegmentFile\n"
        "path = Path(sys.argv[1]); libc = ctypes.CDLL(None, use_errno=True)\n"
        "flags = os.MS_REC | os.MS_PRIVATE if hasattr(os, 'MS_REC') else 0x4000 | 0x40000\n"
        "if libc.unshare(0x20000) or libc.mount(b'none', b'/', None, flags, None): sys.exit(77)\n"
        "if libc.mount(b'none', os.fsencode(path.parent), b'tmpfs', 0, b'size=4096,mode=0700'): sys.exit(77)\n"
        "(path.parent / 'other').write_bytes(b'x' * 4096)\n"
        "try:\n    SegmentFile(path).acquire()\n"
        "except SegmentUnusable as error:\n    print(error, path.exists())\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=60)
    if done.returncode == 77:
        pytest.skip("this process may not mount a tmpfs of its own")
    assert done.stdout == f"ids_segment {path}: No space left on device False\n", done.stderr


def test_a_folder_that_others_may_write_to_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.parent.chmod(0o777)
    with pytest.raises(SegmentUnusable, match="others may write"):
        SegmentFile(path).acquire()
    assert not path.exists()


def test_a_symbolic_link_in_its_place_is_not_followed(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    path.symlink_to(path.with_name("target"))
    with pytest.raises(SegmentUnusable):
        SegmentFile(path).acquire()
    assert not path.with_name("target").exists()


def test_an_unknown_group_is_a_wrong_setting(path: Path) -> None:
    with pytest.raises(ConfigError, match="ids_socket_group 'nobody-has-this': no such group"):
        SegmentFile(path, group="nobody-has-this").acquire()


def test_a_taker_opens_only_the_file_that_the_server_named(path: Path) -> None:
    file, segment = acquired(path)
    segment.publish(0, 1, 10, 1)
    where = file.attachment
    assert where is not None
    assert open_segment(where, os.getuid()).take_one(0) == 1
    for wrong, problem in (
        (replace(where, inode=where.inode + 1), "another file"),
        (replace(where, layout=where.layout + 1), "layout"),
        (replace(where, path=str(path.with_name("none"))), "No such file"),
        (replace(where, path=str(path.parent)), "directory"),
    ):
        with pytest.raises(SegmentUnusable, match=problem):
            open_segment(wrong, os.getuid())
    with pytest.raises(SegmentUnusable, match="owned by uid"):
        open_segment(where, os.getuid() + 1)
    file.release()
