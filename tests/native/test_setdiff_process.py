"""What the extension does to the process: no leak, no held buffer, other threads run meanwhile."""

from __future__ import annotations

import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.native.conftest import NATIVE_DIR, ROOT, grown_bytes
from tests.native.test_setdiff import Difference, native
from wbd.rdf.setdiff import difference_twin

OLD = b"".join(b"<http://a.test/%d> <http://a.test/p> <http://a.test/o> .\n" % i for i in range(20_000))
NEW = b"".join(b"<http://a.test/%d> <http://a.test/p> <http://a.test/o> .\n" % i for i in range(19_999, 100, -1))


def rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(bool(NATIVE_DIR), reason="a sanitizer keeps freed memory for a while")
def test_many_calls_take_no_more_memory_than_a_few() -> None:
    """One leaked table of these texts is over 1 MB, so 100 of them would be seen."""
    difference = native()
    for _ in range(20):
        difference(OLD, NEW)
    before = rss_bytes()
    for _ in range(100):
        difference(OLD, NEW)
        difference(NEW, b"")
    assert rss_bytes() - before < 20_000_000


def test_results_errors_and_arguments_are_let_go() -> None:
    difference = native()
    old, new = b"".join((b"a\n", b"b\n")), bytearray(b"b\nc\n")

    def calls() -> None:
        for _ in range(1000):
            difference(old, new)
            with pytest.raises(TypeError):
                difference(old, 7)
            with pytest.raises(TypeError):
                difference("", new)

    counts = sys.getrefcount(old), sys.getrefcount(new)
    # One byte a call would be 1,000.
    assert grown_bytes(calls) < 1000
    assert (sys.getrefcount(old), sys.getrefcount(new)) == counts
    new.append(0)


def saw_inside(difference: Difference) -> bool:
    """
    Tell whether another thread ran while the call was under way.

    The interpreter is told not to switch threads by itself, so the other one runs only when the call lets go.
    """
    state, seen, go = ["before"], [], threading.Lock()
    go.acquire()

    def watch() -> None:
        with go:
            seen.append(state[0])

    looker = threading.Thread(target=watch)
    looker.start()
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)
    try:
        go.release()
        state[0] = "inside"
        difference(OLD, NEW)
        state[0] = "after"
    finally:
        sys.setswitchinterval(interval_s)
    looker.join()
    return seen == ["inside"]


def test_other_threads_run_while_large_texts_are_compared() -> None:
    difference = native()
    deadline_mono_s = time.monotonic() + 60
    while not saw_inside(difference):
        assert time.monotonic() < deadline_mono_s, "no other thread ran during any call"
    # The check itself: the twin does not let go.
    assert not any(saw_inside(difference_twin) for _ in range(5))


def test_threads_that_compare_at_the_same_time_do_not_disturb_each_other() -> None:
    difference = native()
    expected = difference_twin(OLD, NEW)
    results: list[bool] = []

    def compare() -> None:
        results.extend(difference(OLD, NEW) == expected for _ in range(10))

    threads = [threading.Thread(target=compare) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 40


def test_a_text_that_changes_meanwhile_does_no_harm_to_memory() -> None:
    """Which result comes out is not promised; that one does, and that nothing else is touched, is."""
    difference = native()
    text = bytearray(OLD)
    done = threading.Event()

    def disturb() -> None:
        step = 0
        while not done.is_set():
            step = (step + 7919) % len(text)
            text[step] = 10 if step % 3 else 65

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        for _ in range(30):
            added, removed = difference(text, NEW)
            assert len(added) <= len(NEW) + 1 and len(removed) <= len(text) + 1
    finally:
        done.set()
        thread.join()


def test_the_library_works_without_the_extension() -> None:
    code = """
import sys
sys.modules["wbd.rdf._setdiff"] = None
from wbd.rdf import setdiff
from wbd.rdf import graph_diff
assert setdiff._difference is setdiff.difference_twin
assert setdiff.difference(b"a\\nb\\n", b"b\\nc") == (b"c\\n", b"a\\n")
assert graph_diff.diff_ntriples(b"a\\nb\\n", b"b\\nc") == graph_diff.RdfDiff(["c"], ["a"])
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
