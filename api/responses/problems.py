"""Failures to responses: the one place that does (RFC 9457), as JSON or, for browsers, as a page."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from flask import Response, request, url_for
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import BadRequest, HTTPException, InternalServerError

from api.request_log import note_failure
from api.responses import pages
from mezcal.errors import Failure, StillWorking, Unauthorized, Unavailable

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.wrappers import Response as AnyResponse

log = logging.getLogger(__name__)
JSON_TYPE = "application/problem+json"
LOGIN = 'Bearer realm="mezcal", Basic realm="mezcal"'  # SNS and Java's clients send a login when they are asked


def register(app: Flask) -> None:
    """Answer every failure of *app*'s views here."""
    app.register_error_handler(Failure, _of_failure)
    app.register_error_handler(HTTPException, _of_http)
    app.register_error_handler(ParseException, _of_framing)
    app.register_error_handler(Exception, _of_bug)


def _of_failure(failure: Failure) -> Response:
    note_failure(failure)
    kind = url_for("ops.problem", slug=failure.slug)
    response = Problem(failure.status, failure.title, failure.detail, kind, failure.job, _retry(failure)).response()
    if isinstance(failure, Unavailable):
        response.headers["Retry-After"] = str(failure.retry_after)
    if isinstance(failure, Unauthorized):
        response.headers["WWW-Authenticate"] = LOGIN if request.blueprint == "webhooks" else 'Bearer realm="mezcal"'
    return response


def _retry(failure: Failure) -> pages.Retry | None:
    """A page loads itself anew only while a job goes on: forgotten tabs shall not poll a broken service."""
    if not isinstance(failure, Unavailable):
        return None
    job = url_for("jobs.job", key=failure.job) if failure.job else None
    return pages.Retry(failure.retry_after, reload=isinstance(failure, StillWorking), job=job)


def _of_http(error: HTTPException) -> Response:
    plain = error.get_response()
    if plain.status_code < 400:
        return _redirect(plain)
    heading = "There is no such page" if error is request.routing_exception and plain.status_code == 404 else None
    response = Problem(plain.status_code, error.name, _detail(error, plain), heading=heading).response()
    for name in ("Allow", "Content-Range", "Retry-After", "WWW-Authenticate"):
        if name in plain.headers:
            response.headers[name] = plain.headers[name]
    return response


def _detail(error: HTTPException, plain: AnyResponse) -> str:
    """What is wrong and what would be right, where the framework's own words name neither."""
    if error.description and error.description != type(error).description:
        return error.description
    match plain.status_code:
        case 404:
            return "there is no such route: images are at /images/<path>, all else is told by /openapi.json"
        case 405:
            return f"{request.method} is not for this address: it may be {plain.headers.get('Allow', 'another')}"
        case 413:
            return f"the body has more than {request.max_content_length or 0:,} bytes"
    return error.description or error.name


def _redirect(plain: AnyResponse) -> Response:
    """A redirect that names no host: the request's `Host` is anybody's to choose, and a cache would keep it."""
    place = urlsplit(plain.headers["Location"])
    response = Response(status=plain.status_code)
    response.headers["Location"] = urlunsplit(("", "", place.path, place.query, ""))
    response.headers["Cache-Control"] = "no-store"
    return response


def _of_framing(error: ParseException) -> Response:
    """The body's chunks are none: gunicorn finds that out when it is read."""
    return _of_http(BadRequest(f"the body does not arrive as its headers say: {error}"))


def _of_bug(error: Exception) -> Response:
    log.error("a request failed in a way that nobody thought of", exc_info=error)
    return _of_http(InternalServerError("mezcal failed; its log has the details"))


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, in the words of RFC 9457; *kind* is its `type`.

    Of `about:blank` the title is the status' own phrase (RFC 9457, 4.2.1): a page may have another *heading*.
    """

    status: int
    title: str
    detail: str
    kind: str = "about:blank"
    job: str | None = None
    retry: pages.Retry | None = None
    heading: str | None = None

    def response(self) -> Response:
        """JSON, or a page for browsers. Never kept by a cache: some keep whatever they are given as the image."""
        wants = request.accept_mimetypes.best_match([JSON_TYPE, "application/json", "text/html"])
        response = self._page() if wants == "text/html" else self._json()
        response.headers["Cache-Control"] = "no-store"
        response.vary.add("Accept")
        return response

    def _page(self) -> Response:
        heading = self.heading or self.title
        page = pages.error(self.status, heading, self.detail, instance=request.path, retry=self.retry)
        return pages.response(page, self.status)

    def _json(self) -> Response:
        fields: dict[str, Any] = {"type": self.kind, "title": self.title, "status": self.status}
        fields |= {"detail": self.detail, "instance": request.path} | ({"job": self.job} if self.job else {})
        if request.blueprint == "thumbnails":
            fields["message"] = self.detail  # what the clients of thumbnail-service read
        return Response(json.dumps(fields), self.status, content_type=JSON_TYPE)
