"""The reports of the id worker as Prometheus metrics, brought up to date at each step."""

from __future__ import annotations

import math

from wbd.ids.refill import SupplyReport
from wbd.runtime.metrics import Metrics


class IdMetrics:
    """Counters and gauges of one process, from what Refiller.report() returns."""

    def __init__(self, metrics: Metrics) -> None:
        label = ("entity_type",)
        self._counters = {
            "taken": metrics.counter("wbd_ids_taken_total", "Ids given out.", label),
            "refills": metrics.counter("wbd_ids_refills_total", "Ranges reserved.", label),
            "contention": metrics.counter("wbd_ids_contention_total", "Lost races for a range.", label),
            "take_contention": metrics.counter("wbd_ids_take_contention_total", "Lost races for an id.", label),
        }
        self._left = metrics.gauge("wbd_ids_left", "Ids reserved here and not given out.", label)
        self._supply = metrics.gauge(
            "wbd_ids_supply_seconds", "How long the ids left last at the present rate; +Inf when none are taken.", label
        )
        self._seen: dict[tuple[str, str], int] = {}

    def stand_by(self) -> None:
        """Leave the gauges to the process that serves."""
        self._left.clear()
        self._supply.clear()

    def begin(self, report: dict[str, SupplyReport]) -> None:
        """Leave out what a ring that was taken over has counted already."""
        self._seen = {
            (entity_type, name): getattr(now, name) for entity_type, now in report.items() for name in self._counters
        }

    def update(self, report: dict[str, SupplyReport]) -> None:
        """Add the increase since the last report."""
        for entity_type, now in report.items():
            self._left.labels(entity_type).set(now.left)
            self._supply.labels(entity_type).set(math.inf if now.supply_s is None else now.supply_s)
            for name, counter in self._counters.items():
                # Counts of a ring in use by others are read one after the other, so one may be behind for a moment.
                count, seen = getattr(now, name), self._seen.get((entity_type, name), 0)
                counter.labels(entity_type).inc(max(0, count - seen))
                self._seen[entity_type, name] = max(count, seen)
