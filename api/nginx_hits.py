"""What one thread of one API process does for the hits that nginx serves by itself, as its log file tells of them.

Counts them, writes their lines (ACCESS_LOG=all), and has those that are old compared with their masters
(REVALIDATE_AFTER).
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from api.hit_lines import HitLine, count_hits, hit_log
from mezcal.errors import Failure
from mezcal.recipe import MEZZANINE
from mezcal.runtime.nginx.hit_file import HitFile
from mezcal.telemetry.tracing import TRACEPARENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api.context import ApiContext

log = logging.getLogger(__name__)

EVERY = 1.0  # seconds
# The profile is missing in lines of an nginx.conf that was written before there were profiles.
COUNTED = re.compile(r"^(\d{3}) (\d+)(?: ([a-z0-9_-]+))?(?: |$)", re.MULTILINE)
PROFILE = re.compile(r"[a-z0-9_-]+")
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
        self._log = hit_log(context.settings)
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
        for block in self._file.new_lines():
            text = block.decode("latin-1")
            _count(text)
            if self._log is not None:
                self._log.write(_hits(text))
            if self._context.settings.checks_hits:
                self._revalidate_old({hit.path for hit in _hits(text)})

    def _revalidate_old(self, paths: set[str]) -> None:
        for recipe in filter(None, map(self._context.image_urls.decoded, paths)):
            with suppress(Failure):
                stored = self._context.store.find(recipe)
                if stored is not None:
                    self._context.freshness.is_stale(stored, recipe)


def _count(text: str) -> None:
    """Count the hits of *text*, lines in either format."""
    numbers, sizes = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for (status, size, profile), number in Counter(COUNTED.findall(text)).items():
        numbers[profile, status] += number
        sizes[profile, status] += number * int(size)
    for (profile, status), number in numbers.items():
        kind = profile or MEZZANINE.name
        count_hits(kind, _outcome(status), status, SERVER, number, sizes[profile, status])


def _hits(text: str) -> Iterator[HitLine]:
    """Yield what *text* says, lines in the long format. One by one: a list of 10,000 tuples takes twice as long."""
    for line in text.split("\n"):
        try:
            status, size, *rest = line.split(" ", 7)
            at, method, path, request_id, parent = _without_profile(rest)
            trace_id = parent[3:35] if parent != "-" and TRACEPARENT.fullmatch(parent) else ""
            yield HitLine(float(at), method, path, status, size, _outcome(status), SERVER, request_id, trace_id)
        except ValueError:  # the end of the text, or a line in another format
            continue


def _without_profile(words: list[str]) -> list[str]:
    """Return *words* from the time on. The time has a dot, and profiles have none."""
    if words and PROFILE.fullmatch(words[0]):
        return words[1:]
    return [*words[:4], " ".join(words[4:])]


def _outcome(status: str) -> str:
    return "error" if status >= "400" else "hit"
