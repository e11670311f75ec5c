"""What becomes known of the hits that the event loop answers. It has no time for labels: plain numbers, and notes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from api.responses.images import STALE
from api.server.hit_log import HitLog, Ids
from mezcal.telemetry.metrics import metrics

if TYPE_CHECKING:
    from mezcal.settings import Settings
    from mezcal.store import Opened

EVERY = 1.0  # seconds after which the numbers are handed on; a kill loses the hits of so long
KIND, SERVER = "mezzanine", "loop"  # the only kind that the loop looks up
STALE_FIELD = f"Cache-Status: {STALE}".encode()


class Tally:
    """Counts for one event loop; no other thread touches it. With ACCESS_LOG=all each hit gets a line, too."""

    __slots__ = ("_due", "_ids", "_lines", "hit_bytes", "hits", "stale", "stale_bytes")

    def __init__(self, settings: Settings | None) -> None:
        self.hits = self.hit_bytes = self.stale = self.stale_bytes = 0
        self._due = 0.0
        self._ids = Ids()
        self._lines: HitLog | None = None
        if settings is not None and settings.access_log == "all":
            self._lines = HitLog(settings)
            self._lines.start()

    def hit(self, request: bytes, fields: bytes, opened: Opened | None) -> bytes:
        """Note that *request* is answered with *fields* and *opened*; its id."""
        request_id = self._ids.of(request)
        size = opened.stored.size if opened else 0  # of a HEAD, or sent by the server in front
        stale = fields.startswith(STALE_FIELD)
        if stale:
            self.stale += 1
            self.stale_bytes += size
        else:
            self.hits += 1
            self.hit_bytes += size
        if self._lines is not None:
            self._lines.note(request, request_id, size, stale)
        return request_id

    def end(self) -> None:
        """Hand on everything: the process ends."""
        self.hand_on()
        if self._lines is not None:
            self._lines.write()

    def hand_on_if_due(self) -> None:
        """Add the numbers to the metrics, unless it was done a moment ago."""
        if (self.hits or self.stale) and time.monotonic() >= self._due:
            self.hand_on()

    def hand_on(self) -> None:
        """Add the numbers to the metrics."""
        self._due = time.monotonic() + EVERY
        for outcome, count, size in (("hit", self.hits, self.hit_bytes), ("stale", self.stale, self.stale_bytes)):
            if count:
                metrics().requests.labels(KIND, outcome, "200", SERVER).inc(count)
                metrics().sent_bytes.labels(KIND, outcome, SERVER).inc(size)
        self.hits = self.hit_bytes = self.stale = self.stale_bytes = 0


def refused(status: int) -> None:
    """Count a request that was no request."""
    metrics().requests.labels("other", "error", str(status), SERVER).inc()
