"""The conditions of a request for an image, and the range that it asks for: RFC 9110, 13 and 14."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from werkzeug.exceptions import PreconditionFailed, RequestedRangeNotSatisfiable
from werkzeug.http import parse_date

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

    from mezcal.store import Stored

CONDITIONS = (
    "HTTP_RANGE",
    "HTTP_IF_RANGE",
    "HTTP_IF_MATCH",
    "HTTP_IF_NONE_MATCH",
    "HTTP_IF_MODIFIED_SINCE",
    "HTTP_IF_UNMODIFIED_SINCE",
)
ONLY_HERE = ("HTTP_IF_MATCH", "HTTP_IF_UNMODIFIED_SINCE")  # nginx compares a date that is none, too
# One range. Several, or a malformed one, are ignored. nginx takes no number of more than 18 digits.
RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))")
TAG = re.compile(r'(W/)?("[^"]*")')


class Selection(NamedTuple):
    """What is sent of an image: all (200), the bytes from *start* up to *stop* (206), or nothing (304)."""

    status: int
    start: int = 0
    stop: int = 0


WHOLE, NOT_MODIFIED = Selection(200), Selection(304)


def select(environ: WSGIEnvironment, stored: Stored) -> Selection:
    """Return what the request asks for of *stored*.

    Raises werkzeug's `PreconditionFailed` (412) or `RequestedRangeNotSatisfiable` (416).
    """
    if not _preconditions_hold(environ, stored):
        raise PreconditionFailed("the image is not the one that If-Match or If-Unmodified-Since allows")
    if _client_has_it(environ, stored):
        return NOT_MODIFIED
    byte_range = RANGE.fullmatch(environ.get("HTTP_RANGE", "").strip())
    if byte_range is None or not _range_applies(environ, stored):
        return WHOLE
    first, last, suffix = byte_range.groups()
    start = int(first) if first else max(0, stored.size - int(suffix))
    stop = min(int(last) + 1, stored.size) if last else stored.size
    if start >= stop:
        raise RequestedRangeNotSatisfiable(stored.size)
    return Selection(206, start, stop)


def other_server_agrees(environ: WSGIEnvironment) -> bool:
    """Return True if a server that sends the file instead of this one would select the same."""
    byte_range = environ.get("HTTP_RANGE")
    plain = byte_range is None or RANGE.fullmatch(byte_range.strip()) is not None
    return plain and not any(name in environ for name in ONLY_HERE)


def _preconditions_hold(environ: WSGIEnvironment, stored: Stored) -> bool:
    tags = environ.get("HTTP_IF_MATCH")
    if tags is not None:
        return tags.strip() == "*" or ("", stored.etag) in TAG.findall(tags)
    date = _seconds(environ.get("HTTP_IF_UNMODIFIED_SINCE"))
    return date is None or stored.modified <= date


def _client_has_it(environ: WSGIEnvironment, stored: Stored) -> bool:
    tags = environ.get("HTTP_IF_NONE_MATCH")
    if tags is not None:  # the date is ignored then
        return tags.strip() == "*" or stored.etag in [tag for _, tag in TAG.findall(tags)]
    date = _seconds(environ.get("HTTP_IF_MODIFIED_SINCE"))
    return date is not None and stored.modified <= date


def _range_applies(environ: WSGIEnvironment, stored: Stored) -> bool:
    condition = environ.get("HTTP_IF_RANGE")
    return condition is None or condition.strip() == stored.etag or _seconds(condition) == stored.modified


def _seconds(date: str | None) -> float | None:
    """Return *date* in seconds since 1970, None if it is none."""
    parsed = parse_date(date)
    return None if parsed is None else parsed.timestamp()
