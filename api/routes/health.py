"""Liveness and readiness for balancers and orchestrators."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from api.context import context
from mezcal.checks import Severity

health = Blueprint("health", __name__)


@health.get("/healthz")
def liveness() -> Response:
    """Answer, to show that the process can."""
    return jsonify(status="ok")


@health.get("/readyz")
def readiness() -> tuple[Response, int]:
    """Return what the checks of broker and store found, and their durations in seconds; 503 if one failed."""
    findings = context().readiness.findings()
    ready = all(finding.level is Severity.OK for finding in findings.values())
    details = {name: finding.detail for name, finding in findings.items()}
    seconds = {name: round(finding.seconds, 4) for name, finding in findings.items()}
    response = jsonify(status="ok" if ready else "unavailable", **details, seconds=seconds)
    response.headers["Cache-Control"] = "no-store"
    return response, 200 if ready else 503
