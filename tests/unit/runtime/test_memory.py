"""The collector's settings for workers."""

from __future__ import annotations

import subprocess
import sys


def test_what_is_there_is_left_alone_and_cycles_are_still_collected() -> None:
    """In a process of its own: the settings are the process'."""
    program = """
import gc, weakref
from wbd.runtime.memory import collect_seldom
collect_seldom()
collect_seldom()
frozen, looks = gc.get_freeze_count(), gc.get_stats()[0]["collections"]
assert frozen > 1000 and gc.get_threshold()[0] > 10_000
class Node: pass
first = Node(); first.itself = first; gone = weakref.ref(first); del first
kept = [[] for _ in range(10_000)]
assert gc.get_stats()[0]["collections"] == looks, "10,000 new objects are no reason to look"
kept += [[] for _ in range(100_000)]
assert gone() is None, "a cycle is found in the end"
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
