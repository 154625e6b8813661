"""Metrics of one worker process, in the Prometheus text format.

Each process has a registry of its own and serves it on its health socket; the API joins all of them and adds the name
of the worker as a label. No multiprocess mode and no shared files are needed.
"""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

# From a cached read to a slow query. The defaults of Prometheus start at 5 ms, too coarse for a diff of 0.3 ms.
_SECONDS = (0.0002, 0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)


class Metrics:
    """The registry of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        """Return a counter whose name ends in _total; with *labels*, call .labels(...) on it."""
        return Counter(name, text, tuple(labels), registry=self._registry)

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        """Return a gauge; with *labels*, call .labels(...) on it."""
        return Gauge(name, text, tuple(labels), registry=self._registry)

    def histogram(
        self, name: str, text: str, labels: Sequence[str] = (), buckets: Sequence[float] = _SECONDS
    ) -> Histogram:
        """Return a histogram; its unit is seconds unless its name ends in another one."""
        return Histogram(name, text, tuple(labels), registry=self._registry, buckets=tuple(buckets))

    def text(self) -> bytes:
        """Return every metric in the Prometheus text format."""
        return generate_latest(self._registry)
