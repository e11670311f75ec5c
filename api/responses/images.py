"""A stored derivative as an HTTP response: the only place that sets the headers of images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from flask import Response, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.http import http_date
from werkzeug.wsgi import wrap_file

from api.context import context
from api.responses.conditions import other_server_agrees, select
from api.responses.s3 import redirected, reopened, with_body
from mezcal.store import Replaced

if TYPE_CHECKING:
    from pathlib import Path

    from api.responses.conditions import Selection
    from mezcal.settings import Settings
    from mezcal.store import Opened, Stored

BLOCK = 1 << 18  # bytes read at a time if sendfile cannot be used
ACCEL_CACHE_CONTROL = "X-Mezcal-Cache-Control"  # from which nginx makes the Cache-Control of the file
HIT = "mezcal; hit"  # Cache-Status, RFC 9211
STALE = "mezcal; hit; detail=stale"
MISS = "mezcal; fwd=miss"
JOINED = "mezcal; fwd=miss; collapsed"


@dataclass(frozen=True, slots=True)
class ImageHeaders:
    """The headers of images. If *header* is set, a server such as nginx sends the file instead of this one.

    `X-Accel-Redirect` names the file by a URL path below *prefix*, `X-Sendfile` by its path below *root*. nginx copies
    a Cache-Control before it opens the file and cannot remove it if that fails, so it gets it under another name.
    """

    cache_control: str
    root: Path
    header: str | None = None
    prefix: str = "/"

    @classmethod
    def of(cls, settings: Settings, cache_control: str | None = None) -> ImageHeaders:
        """Read SENDFILE_HEADER and, unless *cache_control* is given, the settings of HTTP caching."""
        header, prefix = settings.sendfile_header, settings.sendfile_prefix
        return cls(cache_control or settings.image_cache_control, settings.cache_dir, header, prefix)

    def headers(self, stored: Stored) -> list[tuple[str, str]]:
        """Return the headers of a whole image. The type has no parameters: Loris would not recognize it with them."""
        return [
            ("Content-Type", "image/jpeg"),
            *self._file_headers(stored),
            (ACCEL_CACHE_CONTROL if self.header == "X-Accel-Redirect" else "Cache-Control", self.cache_control),
            ("X-Content-Type-Options", "nosniff"),
        ]

    def not_modified(self, stored: Stored) -> list[tuple[str, str]]:
        """Return the headers of 304."""
        return [("ETag", stored.etag), ("Cache-Control", self.cache_control)]

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


def send(opened: Opened, cache_status: str = HIT, cache_control: str | None = None) -> Response:
    """Return *opened* as 200, 206 or 304, depending on the conditions of the request (RFC 9110).

    *cache_control* replaces that of the settings. Raises werkzeug's errors for 412 and 416.
    """
    image_headers = ImageHeaders.of(context().settings, cache_control)
    remote = opened.remote
    if remote is not None and context().settings.s3_serve == "redirect":
        response = redirected(remote, context().settings.s3_url_seconds)
        response.headers["Cache-Status"] = cache_status
        return response
    try:
        selection = select(request.environ, opened.stored)
    except HTTPException:
        opened.file.close()
        raise
    if selection.status == 304 or (image_headers.header is not None and other_server_agrees(request.environ)):
        opened.file.close()
        response = _without_body(image_headers, opened.stored, selection)
    else:
        response = _with_body(replace(image_headers, header=None), opened, selection)
    response.headers["Cache-Status"] = cache_status
    if remote is None:
        return response
    try:
        return with_body(response, remote)
    except Replaced:
        return send(reopened(remote), cache_status, cache_control)


def _without_body(image_headers: ImageHeaders, stored: Stored, selection: Selection) -> Response:
    """Return 304, or the name of the file for the server that sends it, which evaluates the conditions again."""
    if selection.status == 304:
        return Response(status=304, headers=image_headers.not_modified(stored))
    g.sent = selection.stop - selection.start or stored.size  # for the log and the metrics
    return Response(status=200, headers=image_headers.headers(stored))


def _with_body(image_headers: ImageHeaders, opened: Opened, selection: Selection) -> Response:
    """Return the image, or a part of it, from the file or later from the other server."""
    body = wrap_file(request.environ, opened.file, BLOCK) if opened.remote is None else ()
    response = Response(body, headers=image_headers.headers(opened.stored), direct_passthrough=True)
    response.call_on_close(opened.file.close)
    conditions = {"REQUEST_METHOD": request.method}
    if selection.status == 206:
        conditions["HTTP_RANGE"] = f"bytes={selection.start}-{selection.stop - 1}"
    response.make_conditional(conditions, accept_ranges=True, complete_length=opened.stored.size)
    if opened.remote is None and selection.status == 206 and "wsgi.file_wrapper" in request.environ:
        opened.file.seek(selection.start)  # the server's sendfile sends Content-Length bytes from there
        response.response = wrap_file(request.environ, opened.file, BLOCK)
    return response
