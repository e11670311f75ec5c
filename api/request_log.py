"""What becomes known of each request that the application answers: the one place that counts them."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, cast

from flask import g, request

from api.context import context
from api.responses.images import HIT, JOINED, MISS, STALE
from mezcal.errors import Failure, StillWorking
from mezcal.recipe import PATH_MAX, Mezzanine
from mezcal.telemetry import tracing
from mezcal.telemetry.metrics import metrics

if TYPE_CHECKING:
    from flask import Flask, Response

    from mezcal.recipe import Recipe

log = logging.getLogger(__name__)

OUTCOMES = {HIT: "hit", STALE: "stale", MISS: "miss", JOINED: "join"}
PROBES = {"/healthz", "/readyz", "/metrics"}  # asked for every few seconds; their lines only under DEBUG
HITS = {"hit", "stale"}
PATH_SHOWN = PATH_MAX + 32  # characters: every path that names a master is shown whole
EVENTS = {202: "accepted", 401: "refused", 403: "refused", 413: "too-large", 503: "unavailable"}  # by status
KINDS = {"images": "mezzanine", "thumbnails": "thumbnail"}  # by blueprint


def register(app: Flask) -> None:
    """Count the requests of *app*. Called before anything else asks to see them, so it sees their answers last."""
    app.before_request(_begin)
    app.after_request(_answered)
    app.teardown_request(_end)


def note_failure(failure: Failure) -> None:
    """The request is answered with *failure*."""
    g.failure = failure


def note_cache(status: str) -> None:
    """Where the answer comes from, as in `Cache-Status`, for answers that do not say so."""
    g.cache_status = status


def note_recipe(recipe: Recipe) -> None:
    """What the request is for, where its path does not tell."""
    g.key = recipe.key


def note_event(form: str, outcome: str | None = None, items: int = 0) -> None:
    """The request brings an event or a list; *outcome* where the answer's status will not tell it."""
    g.event = (form, outcome, items)


def _begin() -> None:
    g.began = time.perf_counter()
    tracing.set_current(tracing.Trace.of(request.headers.get("X-Request-ID"), request.headers.get("traceparent")))
    metrics().active_requests.inc()


def _answered(response: Response) -> Response:
    seconds, counted = time.perf_counter() - g.began, metrics()
    kind, outcome = KINDS.get(request.blueprint or "", "other"), outcome_of(response)
    size = response.content_length or 0 if request.method == "GET" else 0
    counted.requests.labels(kind, outcome, str(response.status_code), "thread").inc()
    counted.request_seconds.labels(kind, outcome).observe(seconds)
    if response.mimetype == "image/jpeg":
        counted.sent_bytes.labels(kind, outcome, "thread").inc(size)
    if failure := g.get("failure"):
        counted.request_failures.labels(failure.slug).inc()
    if "event" in g:
        _delivered(response.status_code, *g.event)
    if logged(outcome):
        level = logging.DEBUG if request.path in PROBES and response.status_code == 200 else logging.INFO
        log.log(level, "request", extra={"fields": _line(response, kind, outcome, seconds, size)})
    response.headers["X-Content-Type-Options"] = "nosniff"  # whatever it is, it is what it says
    current = tracing.current()
    if current is not None:
        response.headers["X-Request-ID"] = current.request_id
    return response


def _delivered(status: int, form: str, outcome: str | None, items: int) -> None:
    counted, otherwise = metrics(), "failed" if status >= 500 else "malformed"
    counted.deliveries.labels(form, outcome or EVENTS.get(status, otherwise)).inc()
    if status == 202:
        counted.delivered_items.labels(form).inc(items)


def logged(outcome: str) -> bool:
    """Whether a request that ended so gets a line."""
    wanted = context().settings.access_log
    return wanted == "all" or (wanted == "misses" and outcome not in HITS)


def _line(response: Response, kind: str, outcome: str, seconds: float, size: int) -> dict[str, Any]:
    """The fields of the request's line. Never the query: it may hold a signature."""
    failure = g.get("failure")
    return {
        "method": request.method,
        "path": request.path[:PATH_SHOWN],
        "status": response.status_code,
        "ms": round(seconds * 1000, 1),
        "bytes": size,
        "outcome": outcome,
        "kind": kind,
        "server": "thread",
        "key": _key(),
        "failure": failure.slug if failure else None,
        "detail": failure.detail if failure and "event" in g else None,  # a producer shows it to nobody
    }


def _key() -> str | None:
    if "key" in g or request.blueprint != "images":
        return cast("str | None", g.get("key"))
    try:
        return Mezzanine.parse((request.view_args or {}).get("source", ""), request.args.get("page")).key
    except Failure:
        return None


def _end(_error: BaseException | None) -> None:
    tracing.set_current(None)  # the thread goes on to other work
    metrics().active_requests.dec()


def outcome_of(response: Response) -> str:
    """One word for what the asker got."""
    if isinstance(g.get("failure"), StillWorking):
        return "wait-expired"
    if response.status_code >= 400:
        return "error"
    if response.status_code == 202:
        return "accepted"
    return OUTCOMES.get(g.get("cache_status") or response.headers.get("Cache-Status", ""), "other")
