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
# A screen of 2560 x 1600 pixels touches at most 88 tiles of 256 pixels. nginx' configuration has the same number.
RANGES_MAX = 100
# nginx takes no number of more than 18 digits. A Range with anything else is ignored.
RANGE = re.compile(r"([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18})")
PLAIN_RANGES = re.compile(rf"bytes=(?:{RANGE.pattern})(?:, ?(?:{RANGE.pattern}))*")  # which nginx may answer
TAG = re.compile(r'(W/)?("[^"]*")')


Span = tuple[int, int]  # the bytes from the first number up to, not including, the second


class Selection(NamedTuple):
    """What is sent of an image: all (200), *spans* of its bytes (206), or nothing (304)."""

    status: int
    spans: tuple[Span, ...] = ()


WHOLE, NOT_MODIFIED = Selection(200), Selection(304)


def select(environ: WSGIEnvironment, stored: Stored) -> Selection:
    """Return what the request asks for of *stored*.

    Raises werkzeug's `PreconditionFailed` (412) or `RequestedRangeNotSatisfiable` (416).
    """
    if not _preconditions_hold(environ, stored):
        raise PreconditionFailed("the image is not the one that If-Match or If-Unmodified-Since allows")
    if _client_has_it(environ, stored):
        return NOT_MODIFIED
    ranges = _ranges(environ.get("HTTP_RANGE", ""))
    if not ranges or not _range_applies(environ, stored):
        return WHOLE
    spans = tuple(span for span in (_span(found, stored.size) for found in ranges) if span[0] < span[1])
    if not spans:
        raise RequestedRangeNotSatisfiable(stored.size)
    return WHOLE if _too_much(spans, stored.size) else Selection(206, spans)


def nginx_agrees(environ: WSGIEnvironment) -> bool:
    """Return True if nginx, which sends the file instead of this server, would select the same."""
    return _agrees(environ, PLAIN_RANGES)


def other_server_agrees(environ: WSGIEnvironment) -> bool:
    """Return True if any server that sends the file instead of this one would select the same.

    Servers differ in what they answer to several ranges, so this server answers those.
    """
    return _agrees(environ, re.compile(rf"bytes=(?:{RANGE.pattern})"))


def _agrees(environ: WSGIEnvironment, plain: re.Pattern[str]) -> bool:
    asked = environ.get("HTTP_RANGE")
    return (asked is None or plain.fullmatch(asked) is not None) and not any(name in environ for name in ONLY_HERE)


def _ranges(asked: str) -> list[re.Match[str]]:
    """Return the ranges in *asked*, none if one is malformed. A list may have empty elements (RFC 9110, 5.6.1)."""
    unit, _, listed = asked.partition("=")
    elements = [element for element in (text.strip(" \t") for text in listed.split(",")) if element]
    found = [byte_range for byte_range in map(RANGE.fullmatch, elements) if byte_range is not None]
    return found if unit == "bytes" and len(found) == len(elements) else []


def _span(byte_range: re.Match[str], size: int) -> Span:
    """Return the bytes of a file that *byte_range* names. If there are none, the numbers are not in ascending order."""
    first, last, suffix = byte_range.groups()
    start = int(first) if first else max(0, size - int(suffix))
    return start, min(int(last) + 1, size) if last else size


def _too_much(spans: tuple[Span, ...], size: int) -> bool:
    """Return True if the ranges overlap so much, or are so many, that they are ignored (RFC 9110, 14.2 and 17.15)."""
    return len(spans) > RANGES_MAX or sum(stop - start for start, stop in spans) > size


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
