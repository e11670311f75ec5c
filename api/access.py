"""What becomes known of each request that the application answers: the one place that counts them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flask import g, request

from api.sending import HIT, JOINED, MISS, STALE
from mezcal.errors import StillWorking
from mezcal.telemetry import metrics

if TYPE_CHECKING:
    from flask import Flask, Response

    from mezcal.errors import Failure

OUTCOMES = {HIT: "hit", STALE: "stale", MISS: "miss", JOINED: "join"}
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


def _begin() -> None:
    g.began = time.perf_counter()
    metrics().waiting.inc()


def _answered(response: Response) -> Response:
    counted, kind, outcome = metrics(), KINDS.get(request.blueprint or "", "other"), outcome_of(response)
    size = response.content_length or 0 if request.method == "GET" else 0
    counted.requests.labels(kind, outcome, str(response.status_code), "thread").inc()
    counted.request_seconds.labels(kind, outcome).observe(time.perf_counter() - g.began)
    if response.mimetype == "image/jpeg":
        counted.sent_bytes.labels(kind, outcome, "thread").inc(size)
    if failure := g.get("failure"):
        counted.refusals.labels(failure.slug).inc()
    return response


def _end(_error: BaseException | None) -> None:
    metrics().waiting.dec()


def outcome_of(response: Response) -> str:
    """One word for what the asker got."""
    if isinstance(g.get("failure"), StillWorking):
        return "late"
    if response.status_code >= 400:
        return "error"
    if response.status_code == 202:
        return "accepted"
    return OUTCOMES.get(g.get("cache_status") or response.headers.get("Cache-Status", ""), "other")
