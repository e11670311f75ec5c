"""A stored derivative as an HTTP response: the only place that sets the headers of images."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from flask import Response, g, request
from werkzeug.http import http_date
from werkzeug.wsgi import wrap_file

from api.context import context
from api.responses.s3 import redirected, reopened, with_body
from mezcal.store import Replaced

if TYPE_CHECKING:
    from pathlib import Path

    from mezcal.settings import Settings
    from mezcal.store import Opened, Stored

BLOCK = 1 << 18  # bytes read at a time if sendfile cannot be used
ONE_RANGE = re.compile(r"bytes=(\d+-\d*|-\d+)")
HIT = "mezcal; hit"  # Cache-Status, RFC 9211
STALE = "mezcal; hit; detail=stale"
MISS = "mezcal; fwd=miss"
JOINED = "mezcal; fwd=miss; collapsed"


@dataclass(frozen=True, slots=True)
class ImageHeaders:
    """The headers of images. If *header* is set, a server such as nginx sends the file instead of this one.

    `X-Accel-Redirect` names the file by a URL path below *prefix*, `X-Sendfile` by its path below *root*.
    """

    cache_control: str
    root: Path
    header: str | None = None
    prefix: str = "/"

    @classmethod
    def of(cls, settings: Settings) -> ImageHeaders:
        """Read SENDFILE_HEADER and the settings of HTTP caching."""
        header, prefix = settings.sendfile_header, settings.sendfile_prefix
        return cls(settings.image_cache_control, settings.cache_dir, header, prefix)

    def headers(self, stored: Stored) -> list[tuple[str, str]]:
        """Return the headers of a whole image. The type has no parameters: Loris would not recognize it with them."""
        return [
            ("Content-Type", "image/jpeg"),
            *self._file_headers(stored),
            ("Cache-Control", self.cache_control),
            ("X-Content-Type-Options", "nosniff"),
        ]

    def _file_headers(self, stored: Stored) -> list[tuple[str, str]]:
        """Return the headers that describe the file. A server that sends it adds them itself, from the same file."""
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
                location = self.prefix + quote(str(stored.path.relative_to(self.root)))
            case _:
                location = quote(str(stored.path))  # mod_xsendfile and lighttpd decode it
        return [(self.header, location), ("Content-Length", "0")]


def send(opened: Opened, cache_status: str = HIT) -> Response:
    """Return *opened* as 200, 206, 304 or 416, depending on the conditions of the request (RFC 9110)."""
    image_headers = ImageHeaders.of(context().settings)
    remote = opened.remote
    if remote is not None and context().settings.s3_serve == "redirect":
        response = redirected(remote)
        response.headers["Cache-Status"] = cache_status
        return response
    if image_headers.header is not None and not _range_is_supported():  # the other server would answer 416
        image_headers = replace(image_headers, header=None)
    if image_headers.header is not None:  # the other server evaluates the conditions
        opened.file.close()
        g.sent = opened.stored.size  # for the log and the metrics, though this response has no body
        return Response(status=200, headers=[("Cache-Status", cache_status), *image_headers.headers(opened.stored)])
    if not _range_is_supported():
        del request.environ["HTTP_RANGE"]
    body = wrap_file(request.environ, opened.file, BLOCK) if remote is None else ()
    response = Response(body, direct_passthrough=True)
    for name, value in [("Cache-Status", cache_status), *image_headers.headers(opened.stored)]:
        response.headers[name] = value
    response.call_on_close(opened.file.close)
    response.make_conditional(request.environ, accept_ranges=True, complete_length=opened.stored.size)
    if remote is None:
        _send_range_by_sendfile(response, opened)
        return response
    try:
        return with_body(response, remote)
    except Replaced:
        return send(reopened(remote), cache_status)


def _send_range_by_sendfile(response: Response, opened: Opened) -> None:
    """Position the file for the server's sendfile, which sends Content-Length bytes from there."""
    byte_range = response.content_range
    if response.status_code == 206 and byte_range.start is not None and "wsgi.file_wrapper" in request.environ:
        opened.file.seek(byte_range.start)
        response.response = wrap_file(request.environ, opened.file, BLOCK)


def _range_is_supported() -> bool:
    """Return False if `Range` is malformed or has several ranges: the whole image is sent (RFC 9110, 14.2)."""
    header = request.environ.get("HTTP_RANGE")
    return header is None or ONE_RANGE.fullmatch(header.strip()) is not None
