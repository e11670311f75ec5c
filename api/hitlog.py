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
from typing import TYPE_CHECKING

from mezcal.telemetry.logs import moment, visible
from mezcal.telemetry.masks import Mask
from mezcal.telemetry.metrics import metrics
from mezcal.telemetry.trace import TRACEPARENT

if TYPE_CHECKING:
    from mezcal.recipe import Recipe
    from mezcal.settings import Settings

EVERY = 0.25  # seconds
MOST = 50_000  # hits that nobody has taken the lines of; more are counted and dropped
GIVEN_ID = re.compile(rb"\r\nx-request-id:[ \t]*([A-Za-z0-9._:/+=@-]{1,128})[ \t]*\r\n", re.IGNORECASE)
PARENT = re.compile(rb"\r\ntraceparent:[ \t]*([0-9a-f-]{55})[ \t]*\r\n", re.IGNORECASE)

Noted = tuple[float, bytes, bytes, int, bool, "Recipe"]


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
        self._json = settings.log_format == "json"
        self._mask = Mask.of(settings)
        self._noted: deque[Noted] = deque()

    def note(self, request: bytes, request_id: bytes, size: int, stale: bool, recipe: Recipe) -> None:
        """Have a line written; where they are not taken as fast as they come, count one that is missing."""
        if len(self._noted) < MOST:
            self._noted.append((time.time(), request, request_id, size, stale, recipe))
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
            some = [self._noted.popleft() for _ in range(min(len(self._noted), 500))]
            text = self._mask.known("".join(map(self._line, some))).encode("ascii", "backslashreplace")
            try:
                while text:
                    text = text[os.write(sys.stderr.fileno(), text) :]
            except OSError:  # whoever read the logs has left
                return

    def _line(self, noted: Noted) -> str:
        when, request, request_id, size, stale, recipe = noted
        method, path = request[: request.index(b"\r\n")].decode("latin-1").split(" ")[:2]
        outcome, trace = "stale" if stale else "hit", PARENT.search(request) if b"arent:" in request else None
        if not self._json:
            at = _moment(int(when * 1000))
            shown = visible(path)
            told = f"{method} {shown} 200 {outcome} {size} B request_id={request_id.decode()}"
            return f"{at[:10]} {at[11:23]} INFO    {told}\n"
        told = f', "trace_id": "{_trace_id(trace[1])}"' if trace else ""
        return (
            f'{{"time": "{_moment(int(when * 1000))}", "level": "INFO", "event": "request", "part": "api", '
            f'"request_id": "{request_id.decode()}"{told}, "method": "{method}", "path": {_quoted(path)}, '
            f'"status": 200, "bytes": {size}, "outcome": "{outcome}", "kind": "mezzanine", '
            f'"server": "loop", "key": "{_key(recipe)}"}}\n'
        )


@lru_cache(1024)
def _quoted(path: str) -> str:
    return json.dumps(path)


@lru_cache(1024)
def _key(recipe: Recipe) -> str:
    return recipe.key


@lru_cache(64)
def _moment(milliseconds: int) -> str:
    return moment(milliseconds / 1000)


def _trace_id(parent: bytes) -> str:
    return parent[3:35].decode() if TRACEPARENT.fullmatch(parent.decode()) else ""
