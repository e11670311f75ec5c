"""What one thread of one API process does for the hits that nginx serves by itself, as its log file tells of them.

Counts them, writes their lines (ACCESS_LOG=all), and has those that are old compared with their masters
(REVALIDATE_AFTER).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from api.hit_lines import HitLine, count_hits, hit_log, recipe_of
from mezcal.errors import Failure
from mezcal.runtime.nginx.hit_file import HitFile, NginxHit
from mezcal.telemetry.tracing import TRACEPARENT

if TYPE_CHECKING:
    from api.context import ApiContext

log = logging.getLogger(__name__)

EVERY = 1.0  # seconds
SERVER = "nginx"


def follow_nginx(context: ApiContext) -> NginxLogReader | None:
    """Start to read nginx's log file, None where there is none. Of several API processes one reads it at a time."""
    if context.settings.nginx_hit_log is None:
        return None
    reader = NginxLogReader(HitFile(context.settings.nginx_hit_log), context)
    threading.Thread(target=reader.follow, name="nginx-log", daemon=True).start()
    return reader


class NginxLogReader:
    """Passes on what nginx has logged in *file*."""

    def __init__(self, file: HitFile, context: ApiContext) -> None:
        self._file, self._context = file, context
        self._lines = hit_log(context.settings)
        self._lock = threading.Lock()

    def follow(self) -> None:
        """Pass on new hits, every second, for ever."""
        while True:
            time.sleep(EVERY)
            self.pass_on()

    def pass_on(self) -> None:
        """Pass on new hits, unless another process reads the file."""
        with self._lock:
            try:
                if self._file.claim():
                    self._pass_on()
            except OSError as error:
                log.warning("the log of nginx's hits cannot be read: %s", error)

    def _pass_on(self) -> None:
        for text in self._file.new_lines():
            hits = [hit for line in text.decode("latin-1").splitlines() if (hit := NginxHit.parse(line)) is not None]
            _count(hits)
            if self._lines is not None:
                self._lines.write([_line(hit) for hit in hits])
            if self._context.settings.revalidate_after:
                self._revalidate_old({hit.path for hit in hits})

    def _revalidate_old(self, paths: set[str]) -> None:
        for recipe in filter(None, map(recipe_of, paths)):
            with suppress(Failure):
                stored = self._context.store.find(recipe)
                if stored is not None:
                    self._context.freshness.is_stale(stored, recipe)


def _count(hits: list[NginxHit]) -> None:
    sizes: Counter[str] = Counter()
    for hit in hits:
        sizes[hit.status] += hit.bytes
    for status, number in Counter(hit.status for hit in hits).items():
        count_hits(_outcome(status), status, SERVER, number, sizes[status])


def _outcome(status: str) -> str:
    return "error" if status >= "400" else "hit"


def _line(hit: NginxHit) -> HitLine:
    parent = hit.traceparent if TRACEPARENT.fullmatch(hit.traceparent) else ""
    answer = (hit.at, hit.method, hit.path, hit.status, hit.bytes, _outcome(hit.status), SERVER)
    return HitLine(*answer, hit.request_id, parent[3:35])
