"""Failures to responses: the one place that does (RFC 9457), as JSON or, for browsers, as a page."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from flask import Response, request, url_for
from werkzeug.exceptions import HTTPException, InternalServerError

from api import pages
from mezcal.errors import Failure, Unauthorized, Unavailable

if TYPE_CHECKING:
    from flask import Flask

log = logging.getLogger(__name__)
JSON_TYPE = "application/problem+json"


def register(app: Flask) -> None:
    """Answer every failure of *app*'s views here."""
    app.register_error_handler(Failure, _of_failure)
    app.register_error_handler(HTTPException, _of_http)
    app.register_error_handler(Exception, _of_bug)


def _of_failure(failure: Failure) -> Response:
    kind = url_for("ops.problem", slug=failure.slug)
    response = _problem(failure.status, failure.title, failure.detail, kind, failure.job)
    if isinstance(failure, Unavailable):
        response.headers["Retry-After"] = str(failure.retry_after)
    if isinstance(failure, Unauthorized):
        response.headers["WWW-Authenticate"] = 'Bearer realm="mezcal"'
    return response


def _of_http(error: HTTPException) -> Response:
    plain = error.get_response()
    if plain.status_code < 400:  # a redirect
        return Response(plain.get_data(), plain.status_code, plain.headers)
    response = _problem(plain.status_code, error.name, error.description or error.name, "about:blank")
    for name in ("Allow", "Content-Range", "Retry-After", "WWW-Authenticate"):
        if name in plain.headers:
            response.headers[name] = plain.headers[name]
    return response


def _of_bug(error: Exception) -> Response:
    log.error("a request failed in a way that nobody thought of", exc_info=error)
    return _of_http(InternalServerError("mezcal failed; its log has the details"))


def _problem(status: int, title: str, detail: str, kind: str, job: str | None = None) -> Response:
    """The response: never kept by a cache, for some keep whatever they are given as the image."""
    wants = request.accept_mimetypes.best_match([JSON_TYPE, "application/json", "text/html"])
    if wants == "text/html":
        body, content_type = pages.error(status, title, detail), "text/html; charset=utf-8"
    else:
        fields: dict[str, Any] = {"type": kind, "title": title, "status": status, "detail": detail}
        fields |= {"instance": request.path} | ({"job": job} if job else {})
        body, content_type = json.dumps(fields), JSON_TYPE
    response = Response(body, status, content_type=content_type)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.vary.add("Accept")
    return response
