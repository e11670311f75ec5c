"""nginx's hits, counted, and with ACCESS_LOG=all written down, by one thread of one API process."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from api.server.hit_log import Line, Writer
from mezcal.runtime.nginx.hit_log import Hit, HitsFile
from mezcal.telemetry.metrics import metrics
from mezcal.telemetry.tracing import TRACEPARENT

if TYPE_CHECKING:
    from mezcal.settings import Settings

log = logging.getLogger(__name__)

EVERY = 1.0  # seconds
KIND, SERVER = "mezzanine", "nginx"  # the only kind whose path nginx can compute


def follow(settings: Settings) -> None:
    """Follow the front's file, if there is one, until this process ends; as one of several, when it is its turn."""
    if settings.front_hits_file is not None:
        told = NginxLogReader(
            HitsFile(settings.front_hits_file), Writer(settings) if settings.access_log == "all" else None
        )
        threading.Thread(target=told.follow, name="front", daemon=True).start()


class NginxLogReader:
    """Passes on what nginx has noted."""

    def __init__(self, file: HitsFile, writer: Writer | None) -> None:
        self._file, self._writer = file, writer

    def follow(self) -> None:
        """Pass on whatever comes, for ever."""
        while True:
            time.sleep(EVERY)
            try:
                if self._file.claim():
                    self.pass_on()
            except OSError as error:
                log.warning("the front's hits cannot be read: %s", error)

    def pass_on(self) -> None:
        """Pass on what is new."""
        for lines in self._file.news():
            hits = [hit for line in lines.decode("latin-1").splitlines() if (hit := Hit.of(line)) is not None]
            _count(hits)
            if self._writer is not None:
                self._writer.write([_line(hit) for hit in hits])


def _count(hits: list[Hit]) -> None:
    sizes: Counter[str] = Counter()
    for hit in hits:
        sizes[hit.status] += hit.bytes
    for status, number in Counter(hit.status for hit in hits).items():
        outcome = _outcome(status)
        metrics().requests.labels(KIND, outcome, status, SERVER).inc(number)
        metrics().sent_bytes.labels(KIND, outcome, SERVER).inc(sizes[status])


def _outcome(status: str) -> str:
    return "error" if status >= "400" else "hit"


def _line(hit: Hit) -> Line:
    parent = hit.traceparent if TRACEPARENT.fullmatch(hit.traceparent) else ""
    told = (hit.at, hit.method, hit.path, hit.status, hit.bytes, _outcome(hit.status), SERVER)
    return Line(*told, hit.request_id, parent[3:35])
