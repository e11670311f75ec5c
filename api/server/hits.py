"""A WSGI function in front of Flask that answers plain hits: Flask's part of a hit costs ten times as much.

gunicorn needs some 190 microseconds for a request and Flask 130; this needs about 15 (`benchmarks/hits.py`).
"""

from __future__ import annotations

import time
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from werkzeug.wsgi import wrap_file

from api import create_app
from api.context import EXTENSION
from api.hit_lines import HitLine, count_hits, hit_log
from api.responses.conditions import CONDITIONS
from api.responses.digests import WANTED
from api.responses.images import BLOCK, HIT, STALE, ImageHeaders
from api.server.malformed import fault_of
from mezcal.errors import Failure
from mezcal.telemetry.metrics import metrics
from mezcal.telemetry.tracing import Trace

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from flask import Flask

    from api.context import ApiContext
    from mezcal.recipe import Mezzanine
    from mezcal.store import Opened, Stored

REMEMBERED = 1024  # paths and headers that are not computed again for each hit
BODY = ("CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING")


@cache
def application() -> Flask:
    """Return this process' application, with `Hits` in front where it may answer by itself."""
    app = create_app()
    context: ApiContext = app.extensions[EXTENSION]
    if context.settings.storage == "local" and not context.settings.read_tokens:
        app.wsgi_app = Hits(app.wsgi_app, context)  # type: ignore[method-assign]  # how Flask wants it wrapped
    return app


class Hit(NamedTuple):
    """One answered request: what was asked for, the outcome, and the bytes that were sent."""

    recipe: Mezzanine
    outcome: str
    size: int


class Hits:
    """Answers GET and HEAD of stored mezzanines as the Flask route does: headers, metrics, request id, log line.

    Costs one `open`: no lock, no Redis. Flask answers a request with a query, a body or conditions, one that wants a
    digest, and any that is not a hit.
    """

    def __init__(self, app: WSGIApplication, context: ApiContext) -> None:
        self._app = app
        self._store, self._freshness, self._hosts = context.store, context.freshness, context.hosts
        self._denier = context.denier
        self._image_headers = ImageHeaders.of(context.settings)
        self._for_flask = frozenset((*BODY, *CONDITIONS, WANTED))
        self._log = hit_log(context.settings)
        self._headers = lru_cache(REMEMBERED)(self._headers_of)
        self._recipe_at = lru_cache(REMEMBERED)(context.image_urls.of_wsgi)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer the request, or have Flask answer it."""
        began = time.perf_counter()
        recipe = self._recipe_of(environ)
        opened = self._open(recipe) if recipe else None
        if recipe is None or opened is None:
            return self._app(environ, start_response)
        trace = Trace.of(environ.get("HTTP_X_REQUEST_ID"), environ.get("HTTP_TRACEPARENT"))
        stale = self._freshness.is_stale(opened.stored, recipe)
        start_response("200 OK", [*self._headers(opened.stored, stale), ("X-Request-ID", trace.request_id)])
        wanted = environ["REQUEST_METHOD"] == "GET"
        hit = Hit(recipe, "stale" if stale else "hit", opened.stored.size if wanted else 0)
        self._record(environ, hit, trace, began)
        if wanted and self._image_headers.header is None:
            return wrap_file(environ, opened.file, BLOCK)
        opened.file.close()
        return ()

    def _recipe_of(self, environ: WSGIEnvironment) -> Mezzanine | None:
        """Return what a plain GET or HEAD asks for, None for any other request."""
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"} or environ.get("QUERY_STRING"):
            return None
        if fault_of(environ) or not self._for_flask.isdisjoint(environ):
            return None
        return self._recipe_at(environ["PATH_INFO"]) if self._hosts.allow(environ.get("HTTP_HOST")) else None

    def _open(self, recipe: Mezzanine) -> Opened | None:
        try:
            return None if self._denier.is_denied(recipe) else self._store.open(recipe)
        except Failure:
            return None  # Flask says why

    def _headers_of(self, stored: Stored, stale: bool) -> tuple[tuple[str, str], ...]:
        return ("Cache-Status", STALE if stale else HIT), *self._image_headers.headers(stored)

    def _record(self, environ: WSGIEnvironment, hit: Hit, trace: Trace, began: float) -> None:
        seconds = time.perf_counter() - began
        kind = hit.recipe.profile_name
        count_hits(kind, hit.outcome, "200", "api", 1, hit.size)
        metrics().request_seconds.labels(kind, hit.outcome).observe(seconds)
        if self._log is not None:
            method, path = environ["REQUEST_METHOD"], str(environ.get("RAW_URI") or environ["PATH_INFO"])
            ids = trace.request_id, trace.trace_id
            line = HitLine(time.time(), method, path, "200", hit.size, hit.outcome, "api", *ids, seconds * 1000)
            self._log.write([line])
