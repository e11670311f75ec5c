"""Failures as HTTP responses (RFC 9457): the only place that makes them, as JSON or, for browsers, as a page."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from flask import Response, request, url_for
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import BadRequest, HTTPException, InternalServerError

from api.request_log import note_failure
from api.responses import html
from api.responses.advice import Advice, requested_path, shown_detail
from mezcal.errors import Failure, OutOfMemory, Retention, StillWorking, Unauthorized, Unavailable, is_out_of_memory

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.wrappers import Response as AnyResponse

log = logging.getLogger(__name__)
JSON_TYPE = "application/problem+json"
SHORTAGE = "mezcal has no memory, thread or open file left for this request: try again in a moment"
REPLACED = ". A replaced file is noticed within a minute of a request"
BEARER = 'Bearer realm="mezcal"'
LOGIN = f'{BEARER}, Basic realm="mezcal"'  # SNS and Java's clients send a login only after such a challenge


def register(app: Flask) -> None:
    """Make the response of every exception that a view of *app* raises."""
    app.register_error_handler(Failure, _from_failure)
    app.register_error_handler(HTTPException, _from_http_exception)
    app.register_error_handler(ParseException, _from_malformed_body)
    app.register_error_handler(Exception, _from_bug)


def _from_failure(failure: Failure) -> Response:
    note_failure(failure)
    kind = url_for("reference.problem", slug=failure.slug)
    replaced = REPLACED if failure.job and failure.retention is Retention.LASTING else ""
    problem = ProblemDetails(
        failure.status,
        failure.title,
        shown_detail(failure).rstrip(".") + replaced,
        kind,
        failure.job,
        _retry_hint(failure),
        advice=Advice.of(failure, failure.job, requested_path()),
    )
    response = problem.response()
    if isinstance(failure, Unavailable):
        response.headers["Retry-After"] = str(failure.retry_after)
    if isinstance(failure, Unauthorized):
        response.headers["WWW-Authenticate"] = LOGIN if request.blueprint == "webhooks" else BEARER
    return response


def _retry_hint(failure: Failure) -> RetryHint | None:
    """Return when to try again. Only the page of a running job reloads itself: forgotten tabs must not add load."""
    if not isinstance(failure, Unavailable):
        return None
    job = url_for("jobs.job", key=failure.job) if failure.job else None
    return RetryHint(failure.retry_after, reload=isinstance(failure, StillWorking), job=job)


def _from_http_exception(error: HTTPException) -> Response:
    plain = error.get_response()
    if plain.status_code < 400:
        return _redirect(plain)
    heading = "Page not found" if error is request.routing_exception and plain.status_code == 404 else None
    response = ProblemDetails(plain.status_code, error.name, _detail(error, plain), heading=heading).response()
    for name in ("Allow", "Content-Range", "Retry-After", "WWW-Authenticate"):
        if name in plain.headers:
            response.headers[name] = plain.headers[name]
    return response


def _detail(error: HTTPException, plain: AnyResponse) -> str:
    """Return a text that names the error and the correct form. The framework's texts have neither."""
    if error.description and error.description != type(error).description:
        return error.description
    match plain.status_code:
        case 404:
            return "there is no such route: images are at /images/<path>, and /openapi.json describes all routes"
        case 405:
            allowed = plain.headers.get("Allow", "another method")
            return f"{request.method} is not allowed here: use {allowed}"
        case 413:
            return f"the body is larger than {request.max_content_length or 0:,} bytes"
    return error.description or error.name


def _redirect(plain: AnyResponse) -> Response:
    """Return a redirect without a host: a client can send any `Host`, and a cache would store it for others."""
    target = urlsplit(plain.headers["Location"])
    response = Response(status=plain.status_code)
    response.headers["Location"] = urlunsplit(("", "", target.path, target.query, ""))
    response.headers["Cache-Control"] = "no-store"
    return response


def _from_malformed_body(error: ParseException) -> Response:
    """Return 400: the chunked body is malformed, which gunicorn notices only when a view reads it."""
    return _from_http_exception(BadRequest(f"the body does not match its headers: {error}"))


def _from_bug(error: Exception) -> Response:
    if is_out_of_memory(error):
        log.warning("a request could not be answered: %s", str(error) or type(error).__name__)
        return _from_failure(OutOfMemory(SHORTAGE))
    log.error("a request failed with an unexpected error", exc_info=error)
    return _from_http_exception(InternalServerError("mezcal failed; the details are in its log"))


@dataclass(frozen=True, slots=True)
class RetryHint:
    """When to try again: after *seconds*. With *reload* the page does it itself, because a job is running.

    *job* is the URL path of that job, which the page polls more often than it reloads itself.
    """

    seconds: int
    reload: bool = False
    job: str | None = None


@dataclass(frozen=True, slots=True)
class ProblemDetails:
    """The fields of RFC 9457; *kind* is its `type`.

    For `about:blank`, the title is the phrase of the status (RFC 9457, 4.2.1); *heading* is shown instead on the page.
    """

    status: int
    title: str
    detail: str
    kind: str = "about:blank"
    job: str | None = None
    retry: RetryHint | None = None
    heading: str | None = None
    advice: Advice | None = None

    @property
    def page_title(self) -> str:
        """The title that the page shows."""
        return self.heading or self.title

    def response(self) -> Response:
        """Return JSON, or a page for browsers. It must not be cached: some caches would keep it as the image."""
        accepted = request.accept_mimetypes.best_match([JSON_TYPE, "application/json", "text/html"])
        response = (self._page() if accepted == "text/html" else None) or self._json()
        response.headers["Cache-Control"] = "no-store"
        response.vary.add("Accept")
        return response

    def _page(self) -> Response | None:
        """Return the page, None if its template cannot be read for want of a descriptor."""
        with suppress(OSError):
            return html.response(self.html(request.path, request.script_root), self.status)
        return None

    def html(self, instance: str, root: str = "") -> str:
        """Return the page. *instance* is the path of the request, *root* the prefix at which the service is mounted."""
        return html.render("error.html", problem=self, instance=instance, root=root)

    def _json(self) -> Response:
        fields: dict[str, Any] = {"type": self.kind, "title": self.title, "status": self.status}
        fields |= {"detail": self.detail, "instance": request.path} | ({"job": self.job} if self.job else {})
        fields |= self.advice.as_json() if self.advice else {}
        if request.blueprint == "thumbnails":
            fields["message"] = self.detail  # the field that clients of thumbnail-service read
        return Response(json.dumps(fields), self.status, content_type=JSON_TYPE)
