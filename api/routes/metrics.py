"""`/metrics` for Prometheus: for this machine only, or with METRICS_TOKEN."""

from __future__ import annotations

from flask import Blueprint, Response

from api.context import context
from api.security.auth import require_metrics_access
from mezcal.telemetry.exposition import CONTENT_TYPE, metrics_text

metrics = Blueprint("metrics", __name__)


@metrics.get("/metrics")
def prometheus() -> Response:
    """Return all metrics in Prometheus' text format."""
    require_metrics_access()
    response = Response(metrics_text(context().gauges), content_type=CONTENT_TYPE)
    response.headers["Cache-Control"] = "no-store"
    return response
