"""Counts and log lines of hits that Flask does not see: those of nginx, and those of `api.server.hits`."""

from __future__ import annotations

import json
import os
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from api.image_urls import ImageUrls
from mezcal.recipe import MEZZANINE
from mezcal.telemetry.logs import escape_control, utc_time
from mezcal.telemetry.metrics import metrics
from mezcal.telemetry.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mezcal.settings import Settings


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

    def as_json(self, image: NamedInLog) -> str:
        """Return the line as JSON. Written by hand: nginx may serve twenty thousand hits a second."""
        trace = f'"trace_id": "{self.trace_id}", ' if self.trace_id else ""
        ms = "" if self.ms is None else f'"ms": {self.ms:.1f}, '
        return (
            f'{{"time": "{_utc_time(int(self.at * 1000))}", "level": "INFO", "event": "request", "part": "api", '
            f'"request_id": "{self.request_id}", {trace}"method": "{self.method}", {image.fields}, '
            f'"status": {self.status}, {ms}"bytes": {self.bytes}, "outcome": "{self.outcome}", "kind": "{image.kind}", '
            f'"server": "{self.server}"}}\n'
        )

    def for_people(self, _image: NamedInLog) -> str:
        """Return the line for people."""
        ms = "" if self.ms is None else f"{self.ms:.0f} ms "
        return (
            f"{_time_for_people(int(self.at * 1000))} INFO    {self.method} {_escaped(self.path)} {self.status} "
            f"{self.outcome} {ms}{self.bytes} B request_id={self.request_id}\n"
        )


class NamedInLog(NamedTuple):
    """The image of a line: its path and key as JSON *fields*, and its *kind* as metrics name it."""

    fields: str
    kind: str


class HitLog:
    """Writes lines to standard error, many at once, without the cost of `logging`."""

    def __init__(self, settings: Settings) -> None:
        self._format = HitLine.as_json if settings.log_format == "json" else HitLine.for_people
        self._redactor = Redactor.of(settings)
        self._image_urls = ImageUrls.of(settings)
        self._named = lru_cache(1024)(self._named_by)

    def write(self, lines: Iterable[HitLine]) -> None:
        """Write *lines*. Waits for a slow reader; where the reader has left, the lines are lost."""
        written = "".join(self._format(line, self._named(line.path)) for line in lines)
        text = self._redactor.hide_known(written).encode("ascii", "backslashreplace")
        try:
            while text:
                text = text[os.write(sys.stderr.fileno(), text) :]
        except OSError:
            return

    def _named_by(self, path: str) -> NamedInLog:
        recipe = self._image_urls.decoded(path)
        key = f', "key": "{recipe.key}"' if recipe else ""
        return NamedInLog(f'"path": {json.dumps(path)}{key}', recipe.profile_name if recipe else MEZZANINE.name)


def hit_log(settings: Settings) -> HitLog | None:
    """Return the log of hits, None unless `ACCESS_LOG` asks for lines of hits."""
    return HitLog(settings) if settings.access_log == "all" else None


def count_hits(kind: str, outcome: str, status: str, server: str, number: int, size: int) -> None:
    """Count *number* answers that sent *size* bytes of derivatives of one *kind* together."""
    metrics().requests.labels(kind, outcome, status, server).inc(number)
    metrics().sent_bytes.labels(kind, outcome, server).inc(size)


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
