"""A stored derivative as an HTTP response: the only place that sets the headers of images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from flask import Response, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.http import http_date
from werkzeug.wsgi import wrap_file

from api.context import context
from api.responses.conditions import nginx_agrees, other_server_agrees, select
from api.responses.digests import repr_digest
from api.responses.multipart import ByteRanges
from api.responses.s3 import redirected, reopened, with_body, with_parts
from mezcal.recipe import MEDIA_TYPES
from mezcal.store import Replaced

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO
    from wsgiref.types import WSGIEnvironment

    from api.responses.conditions import Selection, Span
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
    """The headers of images.

    If *header* is set, a server such as nginx sends the file instead of this one.

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

    def may_name_the_file(self, environ: WSGIEnvironment) -> bool:
        """Return True if the other server may send what *environ* asks for: it selects the same as this one."""
        if self.header == "X-Accel-Redirect":
            return nginx_agrees(environ)
        return self.header is not None and other_server_agrees(environ)

    def headers(self, stored: Stored) -> list[tuple[str, str]]:
        """Return the headers of a whole image. The type has no parameters: Loris would not recognize it with them."""
        return [
            ("Content-Type", media_type(stored)),
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


def media_type(stored: Stored) -> str:
    """Return the media type of *stored*, by the ending of its file."""
    return MEDIA_TYPES[stored.path.suffix[1:]]


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
    digest = repr_digest(request.environ, opened)
    try:
        selection = select(request.environ, opened.stored)
    except HTTPException:
        opened.file.close()
        raise
    if selection.status == 304 or image_headers.may_name_the_file(request.environ):
        opened.file.close()
        response = _without_body(image_headers, opened.stored, selection)
    else:
        try:
            response = _with_body(replace(image_headers, header=None), opened, selection)
        except Replaced:
            assert remote is not None
            return send(reopened(remote), cache_status, cache_control)
    response.headers["Cache-Status"] = cache_status
    if digest is not None and selection.status != 304:
        response.headers["Repr-Digest"] = digest
    return response


def _without_body(image_headers: ImageHeaders, stored: Stored, selection: Selection) -> Response:
    """Return 304, or the name of the file for the server that sends it, which evaluates the conditions again."""
    if selection.status == 304:
        return Response(status=304, headers=image_headers.not_modified(stored))
    spans = selection.spans or ((0, stored.size),)
    g.sent = sum(stop - start for start, stop in spans)  # for the log and the metrics
    return Response(status=200, headers=image_headers.headers(stored))


def _with_body(image_headers: ImageHeaders, opened: Opened, selection: Selection) -> Response:
    """Return the image, or parts of it, from the file or from the other server. Raises `Replaced`."""
    if len(selection.spans) > 1:
        return _with_parts(image_headers, opened, selection.spans)
    body = wrap_file(request.environ, opened.file, BLOCK) if opened.remote is None else ()
    response = Response(body, headers=image_headers.headers(opened.stored), direct_passthrough=True)
    response.call_on_close(opened.file.close)
    conditions = {"REQUEST_METHOD": request.method}
    if selection.status == 206:
        start, stop = selection.spans[0]
        conditions["HTTP_RANGE"] = f"bytes={start}-{stop - 1}"
    response.make_conditional(conditions, accept_ranges=True, complete_length=opened.stored.size)
    if opened.remote is not None:
        return with_body(response, opened.remote)
    if selection.status == 206 and "wsgi.file_wrapper" in request.environ:
        opened.file.seek(selection.spans[0][0])  # the server's sendfile sends Content-Length bytes from there
        response.response = wrap_file(request.environ, opened.file, BLOCK)
    return response


def _with_parts(image_headers: ImageHeaders, opened: Opened, spans: tuple[Span, ...]) -> Response:
    """Return several parts of the image. Raises `Replaced`."""
    parts = ByteRanges(spans, opened.stored.size, media_type(opened.stored))
    response = Response(status=206, headers=image_headers.headers(opened.stored), direct_passthrough=True)
    response.call_on_close(opened.file.close)
    response.headers["Content-Type"] = parts.content_type
    response.headers["Content-Length"] = str(parts.length)
    if request.method != "GET":
        return response
    if opened.remote is not None:
        return with_parts(response, opened.remote, parts)
    response.response = parts.body(partial(_blocks, opened.file))
    return response


def _blocks(file: BinaryIO, span: Span) -> Iterator[bytes]:
    """Yield the bytes of *span*. Raises `EOFError` if the file has fewer, which ends the connection."""
    start, stop = span
    file.seek(start)
    while start < stop:
        block = file.read(min(BLOCK, stop - start))
        if not block:
            raise EOFError("the file has become shorter")
        start += len(block)
        yield block
