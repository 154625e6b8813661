"""Delays before a retry: exponential backoff with jitter."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """
    Delays that double from first_s to max_s.

    Each delay is drawn between half of its bound and the bound, so that workers on many hosts that lost the same server
    do not all return at the same moment.
    """

    first_s: float = 0.2
    max_s: float = 15.0

    def delay_s(self, failures: int) -> float:
        """Return the delay after *failures* consecutive failures, 1 or more."""
        # 2**40 times any first_s is over max_s; the limit keeps the power small.
        bound = min(self.max_s, self.first_s * 2 ** min(failures - 1, 40))
        return random.uniform(bound / 2, bound)
