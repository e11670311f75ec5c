"""The log line and the metrics of each request that the application answers."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from flask import g, request

from api.context import context
from api.responses.images import HIT, JOINED, MISS, STALE
from mezcal.errors import Failure, ShareExceeded, StillWorking
from mezcal.recipe import MEDIA_TYPES, PATH_MAX
from mezcal.telemetry import tracing
from mezcal.telemetry.metrics import metrics
from mezcal.telemetry.spans import begin_request

if TYPE_CHECKING:
    from flask import Flask, Response

    from mezcal.recipe import Recipe

log = logging.getLogger(__name__)

OUTCOMES = {HIT: "hit", STALE: "stale", MISS: "miss", JOINED: "join"}  # by Cache-Status
HITS = {"hit", "stale"}
PROBES = {"/healthz", "/readyz", "/metrics"}  # requested every few seconds, so logged only at the level DEBUG
PATH_LENGTH_MAX = PATH_MAX + 32  # characters; enough for every path that names a master
DELIVERY_OUTCOMES = {
    202: "accepted",
    401: "refused",
    403: "refused",
    413: "too-large",
    503: "unavailable",
}  # by status
IMAGE_TYPES = frozenset(MEDIA_TYPES.values())
KINDS = {"images": "mezzanine", "thumbnails": "thumbnail"}  # by blueprint, unless the path tells it


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """An event or a list in *format*. *outcome* is None if the status of the response implies it."""

    format: str
    outcome: str | None = None
    items: int = 0


def register(app: Flask) -> None:
    """Record the requests of *app*. Call it before other hooks are registered: then it sees the final response."""
    app.before_request(_begin)
    app.after_request(_record)
    app.teardown_request(_end)


def note_failure(failure: Failure) -> None:
    """Note that the response to this request is *failure*."""
    g.failure = failure


def note_cache_status(status: str) -> None:
    """Note the `Cache-Status` of a response that does not have this header."""
    g.cache_status = status


def note_recipe(recipe: Recipe) -> None:
    """Note the recipe of a request."""
    g.key, g.kind = recipe.key, recipe.profile_name


def note_event(format_: str, outcome: str | None = None, items: int = 0) -> None:
    """Note that this request brings an event or a list. The last call counts."""
    g.event = ReceivedEvent(format_, outcome, items)


def _begin() -> None:
    g.began = time.perf_counter()
    parent = request.headers.get("traceparent")
    g.span = None if request.path in PROBES else begin_request(f"{request.method} {request.endpoint}", parent)
    if g.span is not None:
        parent = g.span.traceparent
    tracing.set_current(tracing.Trace.of(request.headers.get("X-Request-ID"), parent))
    metrics().active_requests.inc()


def _record(response: Response) -> Response:
    seconds = time.perf_counter() - g.began
    kind, outcome = g.get("kind") or KINDS.get(request.blueprint or "", "other"), outcome_of(response)
    size = g.get("sent") or response.content_length or 0 if request.method == "GET" else 0
    _count(response, kind, outcome, seconds, size)
    if is_logged(outcome):
        level = logging.DEBUG if request.path in PROBES and response.status_code == 200 else logging.INFO
        log.log(level, "request", extra={"fields": _fields(response, kind, outcome, seconds, size)})
    _end_span(response, outcome, size)
    response.headers["X-Content-Type-Options"] = "nosniff"
    trace = tracing.current()
    if trace is not None:
        response.headers["X-Request-ID"] = trace.request_id
    return response


def _end_span(response: Response, outcome: str, size: int) -> None:
    """End the span of this request. Names of attributes are OpenTelemetry's, or begin with `mezcal`."""
    span, failure = g.pop("span", None), g.get("failure")
    if span is None:
        return
    attributes = {
        "http.request.method": request.method,
        "url.path": request.path[:PATH_LENGTH_MAX],
        "http.response.status_code": response.status_code,
        "http.response.body.size": size,
        "mezcal.outcome": outcome,
        "mezcal.key": _key(),
        "error.type": failure.slug if failure else None,
    }
    span.end(attributes, failure.slug if failure and response.status_code >= 500 else None)


def _count(response: Response, kind: str, outcome: str, seconds: float, size: int) -> None:
    counters = metrics()
    counters.requests.labels(kind, outcome, str(response.status_code), "api").inc()
    counters.request_seconds.labels(kind, outcome).observe(seconds)
    if response.mimetype in IMAGE_TYPES:
        counters.sent_bytes.labels(kind, outcome, "api").inc(size)
    if failure := g.get("failure"):
        counters.request_failures.labels(failure.slug).inc()
    if "event" in g:
        _count_delivery(response.status_code, g.event)


def _count_delivery(status: int, event: ReceivedEvent) -> None:
    otherwise = "failed" if status >= 500 else "malformed"
    outcome = event.outcome or DELIVERY_OUTCOMES.get(status, otherwise)
    metrics().deliveries.labels(event.format, outcome).inc()
    if status == 202:
        metrics().delivered_items.labels(event.format).inc(event.items)


def is_logged(outcome: str) -> bool:
    """Return True if ACCESS_LOG asks for a line for requests with this *outcome*."""
    access_log = context().settings.access_log
    return access_log == "all" or (access_log == "misses" and outcome not in HITS)


def _fields(response: Response, kind: str, outcome: str, seconds: float, size: int) -> dict[str, Any]:
    """Return the fields of the log line. The query is left out, because it may contain a signature."""
    failure = g.get("failure")
    return {
        "method": request.method,
        "path": request.path[:PATH_LENGTH_MAX],
        "status": response.status_code,
        "ms": round(seconds * 1000, 1),
        "bytes": size,
        "outcome": outcome,
        "kind": kind,
        "server": "api",
        "key": _key(),
        "failure": failure.slug if failure else None,
        "detail": failure.detail if failure and "event" in g else None,  # senders of events rarely show it to people
    }


def _key() -> str | None:
    return cast("str | None", g.get("key"))


def _end(_error: BaseException | None) -> None:
    tracing.set_current(None)  # the thread will serve other requests
    metrics().active_requests.dec()


def outcome_of(response: Response) -> str:
    """Return the outcome of the request, as `mezcal_requests_total` names it."""
    if isinstance(g.get("failure"), StillWorking):
        return "wait-expired"
    if isinstance(g.get("failure"), ShareExceeded):
        return "over-share"
    if response.status_code >= 400:
        return "error"
    if response.status_code == 202:
        return "accepted"
    return OUTCOMES.get(g.get("cache_status") or response.headers.get("Cache-Status", ""), "other")
