"""A stored derivative as an HTTP response: the one place that says what an image's headers are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flask import Response, request
from werkzeug.http import http_date
from werkzeug.wsgi import wrap_file

from api.context import here

if TYPE_CHECKING:
    from mezcal.store import Opened, Stored

BLOCK = 1 << 18  # bytes read at a time where sendfile cannot be used
ONE_RANGE = re.compile(r"bytes=(\d+-\d*|-\d+)")
HIT = "mezcal; hit"


def image_headers(stored: Stored, max_age: int, *, private: bool = False) -> list[tuple[str, str]]:
    """The headers of a whole image. Loris looks the type up as it stands, so nothing may follow it."""
    return [
        ("Content-Type", "image/jpeg"),
        ("Content-Length", str(stored.size)),
        ("ETag", stored.etag),
        ("Last-Modified", http_date(stored.modified)),
        ("Accept-Ranges", "bytes"),
        ("Cache-Control", f"{'private' if private else 'public'}, max-age={max_age}"),
        ("X-Content-Type-Options", "nosniff"),
    ]


def send(opened: Opened, cache_status: str = HIT) -> Response:
    """*opened* as 200, 206, 304 or 416, as RFC 9110 and this request's conditions have it."""
    settings = here().settings
    _ignore_strange_ranges()
    body = wrap_file(request.environ, opened.file, BLOCK)
    response = Response(body, direct_passthrough=True)
    response.headers["Cache-Status"] = cache_status
    private = bool(settings.read_tokens)
    for name, value in image_headers(opened.stored, settings.http_max_age, private=private):
        response.headers[name] = value
    response.call_on_close(opened.file.close)
    response.make_conditional(request.environ, accept_ranges=True, complete_length=opened.stored.size)
    return response


def _ignore_strange_ranges() -> None:
    """RFC 9110, 14.2: a Range that is not understood, or asks for several parts, may be ignored."""
    asked = request.environ.get("HTTP_RANGE")
    if asked is not None and not ONE_RANGE.fullmatch(asked.strip()):
        del request.environ["HTTP_RANGE"]
