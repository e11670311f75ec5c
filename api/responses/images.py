"""A stored derivative as an HTTP response: the one place that says what an image's headers are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from flask import Response, request
from werkzeug.http import http_date
from werkzeug.wsgi import wrap_file

from api.context import context
from api.responses.s3 import newer, redirected, with_body
from mezcal.store.s3 import Distant, Replaced

if TYPE_CHECKING:
    from pathlib import Path

    from mezcal.settings import Settings
    from mezcal.store import Opened, Stored

BLOCK = 1 << 18  # bytes read at a time where sendfile cannot be used
ONE_RANGE = re.compile(r"bytes=(\d+-\d*|-\d+)")
HIT = "mezcal; hit"  # Cache-Status, RFC 9211
STALE = "mezcal; hit; detail=stale"
MISS = "mezcal; fwd=miss"
JOINED = "mezcal; fwd=miss; collapsed"


@dataclass(frozen=True, slots=True)
class ImageHeaders:
    """How images are sent: what `Cache-Control` says, and whether the server in front sends them for us.

    *header* names the file to that server: `X-Accel-Redirect` by a URL under *prefix*, `X-Sendfile` by its path.
    """

    cache_control: str
    root: Path
    header: str | None = None
    prefix: str = "/"

    @classmethod
    def of(cls, settings: Settings) -> ImageHeaders:
        """The manner that *settings* ask for."""
        header, prefix = settings.sendfile_header, settings.sendfile_prefix
        return cls(settings.image_cache_control, settings.cache_dir, header, prefix)

    def headers(self, stored: Stored) -> list[tuple[str, str]]:
        """The headers of a whole image. Loris looks the type up as it stands, so nothing may follow it."""
        return [
            ("Content-Type", "image/jpeg"),
            *self._of_body(stored),
            ("Cache-Control", self.cache_control),
            ("X-Content-Type-Options", "nosniff"),
        ]

    def _of_body(self, stored: Stored) -> list[tuple[str, str]]:
        """What describes the bytes; where another server sends them it says that itself, from the same file."""
        match self.header:
            case None:
                size, modified = str(stored.size), http_date(stored.modified)
                return [
                    ("Content-Length", size),
                    ("ETag", stored.etag),
                    ("Last-Modified", modified),
                    ("Accept-Ranges", "bytes"),
                ]
            case "X-Accel-Redirect":
                place = self.prefix + quote(str(stored.path.relative_to(self.root)))
            case _:
                place = quote(str(stored.path))  # mod_xsendfile and lighttpd decode it
        return [(self.header, place), ("Content-Length", "0")]


def send(opened: Opened, cache_status: str = HIT) -> Response:
    """*opened* as 200, 206, 304 or 416, as RFC 9110 and this request's conditions have it."""
    manner = ImageHeaders.of(context().settings)
    distant = opened.file if isinstance(opened.file, Distant) else None
    if distant is not None and context().settings.s3_serve == "redirect":
        response = redirected(distant)
        response.headers["Cache-Status"] = cache_status
        return response
    if manner.header is not None:  # the server in front judges the conditions
        opened.file.close()
        return Response(status=200, headers=[("Cache-Status", cache_status), *manner.headers(opened.stored)])
    _ignore_strange_ranges()
    body = wrap_file(request.environ, opened.file, BLOCK) if distant is None else ()
    response = Response(body, direct_passthrough=True)
    for name, value in [("Cache-Status", cache_status), *manner.headers(opened.stored)]:
        response.headers[name] = value
    response.call_on_close(opened.file.close)
    response.make_conditional(request.environ, accept_ranges=True, complete_length=opened.stored.size)
    if distant is None:
        _leave_ranges_to_sendfile(response, opened)
        return response
    try:
        return with_body(response, distant)
    except Replaced:
        return send(newer(distant), cache_status)


def _leave_ranges_to_sendfile(response: Response, opened: Opened) -> None:
    """The server sends from where the file stands, as much as Content-Length says, if it gave us its wrapper."""
    part = response.content_range
    if response.status_code == 206 and part.start is not None and "wsgi.file_wrapper" in request.environ:
        opened.file.seek(part.start)
        response.response = wrap_file(request.environ, opened.file, BLOCK)


def _ignore_strange_ranges() -> None:
    """RFC 9110, 14.2: a Range that is not understood, or asks for several parts, may be ignored."""
    asked = request.environ.get("HTTP_RANGE")
    if asked is not None and not ONE_RANGE.fullmatch(asked.strip()):
        del request.environ["HTTP_RANGE"]
