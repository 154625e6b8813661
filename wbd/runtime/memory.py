"""Tune Python's garbage collector for a process that creates many objects, few of them in reference cycles."""

from __future__ import annotations

import gc

# New objects between two collections of the youngest generation. The JSON of one large entity has 30,000 objects, all
# of them in use, and Python's default of 700 would examine them again and again.
_YOUNG_OBJECTS = 50_000


def collect_seldom() -> None:
    """
    Make collections rare, and exclude existing objects (modules, code, settings) from all of them.

    Objects outside reference cycles are freed at once as before. A repeat is harmless.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 50)
