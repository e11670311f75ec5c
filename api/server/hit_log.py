"""A line for each hit of the event loop, which only notes it: a thread writes, so a slow reader stops no hit."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from collections import deque
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_to_bytes

from mezcal.errors import Failure
from mezcal.recipe import Mezzanine
from mezcal.telemetry.logs import escape_control, utc_time
from mezcal.telemetry.metrics import metrics
from mezcal.telemetry.redaction import Redactor
from mezcal.telemetry.tracing import TRACEPARENT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mezcal.settings import Settings

EVERY = 0.25  # seconds
AT_ONCE = 500  # lines in one write
MOST = 50_000  # hits that nobody has taken the lines of; more are counted and dropped
GIVEN_ID = re.compile(rb"\r\nx-request-id:[ \t]*([A-Za-z0-9._:/+=@-]{1,128})[ \t]*\r\n", re.IGNORECASE)
PARENT = re.compile(rb"\r\ntraceparent:[ \t]*([0-9a-f-]{55})[ \t]*\r\n", re.IGNORECASE)
NAMED = re.compile(r"/(?:images/(?P<path>.+)|mezzanine/(?P<named>.+)\.jpg)")


class Line(NamedTuple):
    """What a hit's line says; *at* in seconds since 1970, *path* as it was sent."""

    at: float
    method: str
    path: str
    status: str
    bytes: int
    outcome: str
    server: str
    request_id: str
    trace_id: str

    def as_json(self) -> str:
        """The line for collectors."""
        trace = f'"trace_id": "{self.trace_id}", ' if self.trace_id else ""
        return (
            f'{{"time": "{_utc_time(int(self.at * 1000))}", "level": "INFO", "event": "request", "part": "api", '
            f'"request_id": "{self.request_id}", {trace}"method": "{self.method}", {_named(self.path)}, "status": '
            f'{self.status}, "bytes": {self.bytes}, "outcome": "{self.outcome}", "kind": "mezzanine", "server": '
            f'"{self.server}"}}\n'
        )

    def for_people(self) -> str:
        """The line for people."""
        at = _utc_time(int(self.at * 1000))
        told = f"{self.method} {escape_control(self.path)} {self.status} {self.outcome} {self.bytes} B"
        return f"{at[:10]} {at[11:23]} INFO    {told} request_id={self.request_id}\n"


class Writer:
    """Writes lines to standard error, past `logging`: there may be twenty thousand in a second."""

    def __init__(self, settings: Settings) -> None:
        self._form = Line.as_json if settings.log_format == "json" else Line.for_people
        self._mask = Redactor.of(settings)

    def write(self, lines: Iterable[Line]) -> None:
        """Write *lines*, however long the reader takes; where he has left they are gone."""
        text = self._mask.hide_known("".join(map(self._form, lines))).encode("ascii", "backslashreplace")
        try:
            while text:
                text = text[os.write(sys.stderr.fileno(), text) :]
        except OSError:
            return


class Ids:
    """Request ids for hits: the asker's, or a number behind what is this process' own."""

    def __init__(self) -> None:
        self._own = f"{os.urandom(12).hex()}%08x".encode()
        self._numbers = count(1)

    def of(self, request: bytes) -> bytes:
        """The id of *request*."""
        if b"equest" in request or b"EQUEST" in request:  # most have nothing of the kind, and a search costs more
            given = GIVEN_ID.search(request)
            if given is not None:
                return given[1]
        return self._own % next(self._numbers)


class HitLog:
    """The lines of one process' hits; `note` is the loop's, all else a thread's."""

    def __init__(self, settings: Settings) -> None:
        self._writer = Writer(settings)
        self._noted: deque[tuple[float, bytes, bytes, int, bool]] = deque()

    def note(self, request: bytes, request_id: bytes, size: int, stale: bool) -> None:
        """Have a line written; where they are not taken as fast as they come, count one that is missing."""
        if len(self._noted) < MOST:
            self._noted.append((time.time(), request, request_id, size, stale))
        else:
            metrics().lines_dropped.inc()

    def start(self) -> None:
        """Write from now on. Not before the last fork: threads do not survive one."""
        threading.Thread(target=self._write_on, name="hitlog", daemon=True).start()

    def _write_on(self) -> None:
        while True:
            time.sleep(EVERY)
            self.write()

    def write(self) -> None:
        """Write what has been noted."""
        while self._noted:
            some = [self._noted.popleft() for _ in range(min(len(self._noted), AT_ONCE))]
            self._writer.write([_line(*noted) for noted in some])


def _line(at: float, request: bytes, request_id: bytes, size: int, stale: bool) -> Line:
    method, path = request[: request.index(b"\r\n")].decode("latin-1").split(" ")[:2]
    parent = PARENT.search(request) if b"arent:" in request or b"ARENT:" in request else None
    trace_id = parent[1][3:35].decode() if parent and TRACEPARENT.fullmatch(parent[1].decode()) else ""
    return Line(at, method, path, "200", size, "stale" if stale else "hit", "loop", request_id.decode(), trace_id)


@lru_cache(1024)
def _named(path: str) -> str:
    """The path and, if it names one, the recipe's key."""
    asked = NAMED.fullmatch(path)
    told = f'"path": {json.dumps(path)}'
    try:
        quoted = (asked["path"] or asked["named"]) if asked else ""
        return f'{told}, "key": "{Mezzanine.parse(unquote_to_bytes(quoted).decode()).key}"'
    except (Failure, UnicodeError):
        return told


@lru_cache(64)
def _utc_time(milliseconds: int) -> str:
    return utc_time(milliseconds / 1000)
