"""Counts and log lines of hits that Flask does not see: those of nginx, and those of `api.server.hits`."""

from __future__ import annotations

import json
import os
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_to_bytes

from mezcal.errors import Failure
from mezcal.recipe import Mezzanine
from mezcal.telemetry.logs import escape_control, utc_time
from mezcal.telemetry.metrics import metrics
from mezcal.telemetry.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mezcal.settings import Settings

KIND = "mezzanine"  # the only kind of derivative that is found by its path alone
IMAGES, NAMED, NAMED_END = "/images/", "/mezzanine/", ".jpg"


class HitLine(NamedTuple):
    """What the log line of a hit says.

    *at* is in seconds since 1970, *path* as the client sent it, *ms* the milliseconds until the answer, None where
    they were not measured.
    """

    at: float
    method: str
    path: str
    status: str
    bytes: int | str
    outcome: str
    server: str
    request_id: str
    trace_id: str
    ms: float | None = None

    def as_json(self) -> str:
        """Return the line as JSON. Written by hand: nginx may serve twenty thousand hits a second."""
        trace = f'"trace_id": "{self.trace_id}", ' if self.trace_id else ""
        ms = "" if self.ms is None else f'"ms": {self.ms:.1f}, '
        return (
            f'{{"time": "{_utc_time(int(self.at * 1000))}", "level": "INFO", "event": "request", "part": "api", '
            f'"request_id": "{self.request_id}", {trace}"method": "{self.method}", {_path_and_key(self.path)}, '
            f'"status": {self.status}, {ms}"bytes": {self.bytes}, "outcome": "{self.outcome}", "kind": "{KIND}", '
            f'"server": "{self.server}"}}\n'
        )

    def for_people(self) -> str:
        """Return the line for people."""
        ms = "" if self.ms is None else f"{self.ms:.0f} ms "
        return (
            f"{_time_for_people(int(self.at * 1000))} INFO    {self.method} {_escaped(self.path)} {self.status} "
            f"{self.outcome} {ms}{self.bytes} B request_id={self.request_id}\n"
        )


class HitLog:
    """Writes lines to standard error, many at once, without the cost of `logging`."""

    def __init__(self, settings: Settings) -> None:
        self._format = HitLine.as_json if settings.log_format == "json" else HitLine.for_people
        self._redactor = Redactor.of(settings)

    def write(self, lines: Iterable[HitLine]) -> None:
        """Write *lines*. Waits for a slow reader; where the reader has left, the lines are lost."""
        text = self._redactor.hide_known("".join(map(self._format, lines))).encode("ascii", "backslashreplace")
        try:
            while text:
                text = text[os.write(sys.stderr.fileno(), text) :]
        except OSError:
            return


def hit_log(settings: Settings) -> HitLog | None:
    """Return the log of hits, None unless `ACCESS_LOG` asks for lines of hits."""
    return HitLog(settings) if settings.access_log == "all" else None


def count_hits(outcome: str, status: str, server: str, number: int, size: int) -> None:
    """Count *number* answers that sent *size* bytes together."""
    metrics().requests.labels(KIND, outcome, status, server).inc(number)
    metrics().sent_bytes.labels(KIND, outcome, server).inc(size)


def source_of(path: str) -> str | None:
    """Return the path of the master that the URL path *path* names, encoded as *path* is; None if it names none."""
    if path.startswith(IMAGES):
        return path[len(IMAGES) :]
    if path.startswith(NAMED) and path.endswith(NAMED_END):
        return path[len(NAMED) : -len(NAMED_END)]
    return None


@lru_cache(1024)
def recipe_of(path: str) -> Mezzanine | None:
    """Return the mezzanine that the percent-encoded URL path *path* names, None if it names none."""
    source = source_of(path)
    try:
        return Mezzanine.parse(unquote_to_bytes(source).decode()) if source else None
    except (Failure, UnicodeError):
        return None


@lru_cache(1024)
def _path_and_key(path: str) -> str:
    recipe = recipe_of(path)
    key = f', "key": "{recipe.key}"' if recipe else ""
    return f'"path": {json.dumps(path)}{key}'


@lru_cache(1024)
def _escaped(path: str) -> str:
    return escape_control(path)


@lru_cache(1024)
def _utc_time(milliseconds: int) -> str:
    return utc_time(milliseconds / 1000)


@lru_cache(1024)
def _time_for_people(milliseconds: int) -> str:
    at = utc_time(milliseconds / 1000)
    return f"{at[:10]} {at[11:23]}"
