"""Tell Python's garbage collector what this process is like: much comes and goes, and little of it is in cycles."""

from __future__ import annotations

import gc

# Objects that are made between two looks at the young ones. The JSON of one large entity is 30,000, all of them alive;
# Python's 700 make it look at them again and again.
_YOUNG_OBJECTS = 50_000


def collect_seldom() -> None:
    """
    Make the collector look seldom, and never again at what is there already (modules, code, settings).

    Memory without cycles is freed at once, as ever. Harmless to call again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 50)
