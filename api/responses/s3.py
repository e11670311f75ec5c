"""A derivative at an object store as an HTTP response: sent through the API, or fetched by the client itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flask import Response, request
from werkzeug.wsgi import wrap_file

from mezcal.errors import StillWorking

if TYPE_CHECKING:
    from mezcal.store import Opened
    from mezcal.store.s3 import Distant

BLOCK = 1 << 18
HOUR = 3600
LINK_SECONDS = 2 * HOUR  # from the hour's beginning on: a browser that asks again within the hour has the same URL


def redirected(distant: Distant) -> Response:
    """302 to a signed URL, of the method that was used here: a HEAD with a signature for GET is refused.

    The URL is good for an hour at least; the answer is for nobody to keep, the image is.
    """
    since = time.time() // HOUR * HOUR
    response = Response(status=302)
    response.headers["Location"] = distant.link(request.method, since, LINK_SECONDS)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    distant.close()
    return response


def with_body(response: Response, distant: Distant) -> Response:
    """*response*, whose status and headers are settled, with as much of the image as it has to have; `Replaced`
    where that is no longer there.
    """
    response.response = []
    if request.method == "GET" and response.status_code in {200, 206}:
        part = response.content_range
        span = None if part.start is None or part.stop is None else (part.start, part.stop - 1)
        file = distant.bring(span)
        response.response = wrap_file(request.environ, file, BLOCK)
        response.direct_passthrough = True
        response.call_on_close(file.close)
    return response


def newer(distant: Distant) -> Opened:
    """What took the place of *distant*; `StillWorking` if nothing did."""
    found: Opened | None = distant.again()
    if found is None:
        raise StillWorking("the derivative was removed as it was to be sent: ask again")
    return found
