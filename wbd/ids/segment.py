"""The ring of reserved ids (segment.h): in C where the extension is built, otherwise its twin, for one process only."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wbd.ids._segment import ALL, BLOCK, LAYOUT_VERSION, SEGMENT_BYTES, SLOTS, UP_TO, Segment, Taker
else:
    try:
        from wbd.ids._segment import ALL, BLOCK, LAYOUT_VERSION, SEGMENT_BYTES, SLOTS, UP_TO, Segment, Taker
    except ModuleNotFoundError:
        # Not built. An extension that is there and cannot be loaded is a broken installation and raises ImportError.
        from wbd.ids.segment_twin import ALL, BLOCK, LAYOUT_VERSION, SEGMENT_BYTES, SLOTS, UP_TO, Segment, Taker

__all__ = ["ALL", "BLOCK", "LAYOUT_VERSION", "SEGMENT_BYTES", "SLOTS", "UP_TO", "Segment", "Taker"]
