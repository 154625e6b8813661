"""How long to wait before the next try: exponential backoff with full jitter."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """
    Delays that double from first_s to max_s.

    Each delay is drawn between half of its bound and the bound, so that the workers of a dozen hosts that lost one
    server do not come back at the same moment.
    """

    first_s: float = 0.2
    max_s: float = 15.0

    def delay_s(self, failures: int) -> float:
        """Return the wait after *failures* failures in a row, 1 or more."""
        # 2**40 steps of any first_s are over max_s; the bound keeps the power from growing without end.
        bound = min(self.max_s, self.first_s * 2 ** min(failures - 1, 40))
        return random.uniform(bound / 2, bound)
