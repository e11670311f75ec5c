"""Hits counted by the event loop, which has no time for labels and locks: plain numbers, handed on once a second."""

from __future__ import annotations

import time

from mezcal.telemetry.metrics import metrics

EVERY = 1.0  # seconds; a kill loses the hits of so long
KIND, SERVER = "mezzanine", "loop"  # the only kind that the loop looks up


class Tally:
    """Counts for one event loop; no other thread touches it."""

    __slots__ = ("_due", "hit_bytes", "hits", "stale", "stale_bytes")

    def __init__(self) -> None:
        self.hits = self.hit_bytes = self.stale = self.stale_bytes = 0
        self._due = 0.0

    def hand_on_if_due(self) -> None:
        """Add the counts to the metrics, unless it was done a moment ago."""
        if (self.hits or self.stale) and time.monotonic() >= self._due:
            self.hand_on()

    def hand_on(self) -> None:
        """Add the counts to the metrics."""
        self._due = time.monotonic() + EVERY
        for outcome, count, size in (("hit", self.hits, self.hit_bytes), ("stale", self.stale, self.stale_bytes)):
            if count:
                metrics().requests.labels(KIND, outcome, "200", SERVER).inc(count)
                metrics().sent_bytes.labels(KIND, outcome, SERVER).inc(size)
        self.hits = self.hit_bytes = self.stale = self.stale_bytes = 0


def refused(status: int) -> None:
    """Count a request that was no request."""
    metrics().requests.labels("other", "error", str(status), SERVER).inc()
