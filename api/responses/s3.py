"""A derivative in a bucket as an HTTP response: sent by the API, or as a redirect to a signed URL."""

from __future__ import annotations

import time
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from flask import Response, request
from werkzeug.wsgi import wrap_file

from mezcal.errors import StillWorking

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api.responses.conditions import Span
    from api.responses.multipart import ByteRanges
    from mezcal.store import Opened
    from mezcal.store.values import RemoteDerivative

BLOCK = 1 << 18
HOUR = 3600
WEEK = 7 * 24 * HOUR  # the longest that S3 accepts


def redirected(remote: RemoteDerivative, seconds: int) -> Response:
    """Return a redirect to a signed URL, which is valid for *seconds* at least (S3_URL_SECONDS).

    A browser gets the same URL for up to an hour, so that it can use its copy. It is signed for the method of this
    request, because a bucket refuses HEAD with a signature for GET. The redirect must not be cached; the image may be.
    """
    same_url = max(1, min(seconds, HOUR, WEEK - seconds))
    since = time.time() // same_url * same_url
    response = Response(status=302)
    response.headers["Location"] = remote.presigned_url(request.method, since, min(WEEK, same_url + seconds))
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    remote.close()
    return response


def with_body(response: Response, remote: RemoteDerivative) -> Response:
    """Give *response*, which has its status and headers, the bytes that belong to them.

    Raises `Replaced` if the image was replaced or deleted meanwhile.
    """
    response.response = []
    if request.method == "GET" and response.status_code in {200, 206}:
        byte_range = response.content_range
        start, stop = byte_range.start, byte_range.stop
        span = None if start is None or stop is None else (start, stop - 1)
        file = remote.fetch(span)
        response.response = wrap_file(request.environ, file, BLOCK)
        response.direct_passthrough = True
        response.call_on_close(file.close)
    return response


def with_parts(response: Response, remote: RemoteDerivative, parts: ByteRanges) -> Response:
    """Give *response* the body with *parts*, each fetched completely by its range when it is sent.

    The first is fetched here. Raises `Replaced` if the image was replaced or deleted meanwhile. If that happens later,
    the connection ends before Content-Length: the status is sent by then.
    """
    body = parts.body(partial(_fetched, remote))
    first = [next(body), next(body)]  # the head of the first part, and its first block
    response.response = chain(first, body)
    response.call_on_close(body.close)
    return response


def _fetched(remote: RemoteDerivative, span: Span) -> Iterator[bytes]:
    start, stop = span
    with remote.fetch((start, stop - 1)) as file:
        yield from iter(partial(file.read, BLOCK), b"")


def reopened(remote: RemoteDerivative) -> Opened:
    """Open what replaced *remote*. Raises `StillWorking` if it was deleted."""
    opened = remote.reopen()
    if opened is None:
        raise StillWorking("the derivative was deleted while it was being sent: try again")
    return opened
