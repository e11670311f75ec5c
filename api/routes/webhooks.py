"""Events of repositories over HTTP: checked, parsed and left for the workers as a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import NotFound

from api.context import context
from api.request_log import note_event
from api.routes import batches
from api.security import body_limits
from api.security.auth import read_authorized_event
from mezcal.errors import Unauthorized
from mezcal.ingest.events import READERS, read

if TYPE_CHECKING:
    from api.security.webhook_signatures import Signed
    from mezcal.ingest.events import Delivery

webhooks = Blueprint("webhooks", __name__)


@webhooks.post("/webhooks/<format_name>")
def event(format_name: str) -> Response:
    """Receive an event in the format *format_name*. Returns 202 and its batch, or 200 if there is nothing to do."""
    if format_name not in READERS:
        raise NotFound(f"there is no such format: use one of {', '.join(READERS)}")
    note_event(format_name)
    body_limits.check(context().settings.webhook_max_bytes)
    body, signed = read_authorized_event(body_limits.whole)
    headers = {name.lower(): value for name, value in request.headers}
    if signed and format_name == "cloudevents" and "ce-specversion" in headers:
        raise Unauthorized("a signature does not cover `ce-` headers: use structured mode, or a token")
    delivery = read(format_name, body, headers)
    if not delivery.events:
        return _nothing_to_do(format_name, delivery)
    known_by = _identity(format_name, delivery, signed)
    return batches.accepted(format_name, context().jobs.post(delivery.events, known_by))


def _identity(format_name: str, delivery: Delivery, signed: Signed | None) -> str | None:
    """Return the id by which the same delivery is recognized if it comes again, None if it has none."""
    if signed:
        return f"signed\n{signed.id}"
    return f"{format_name}\n{delivery.id}" if delivery.id else None


def _nothing_to_do(format_name: str, delivery: Delivery) -> Response:
    note_event(format_name, "ignored")
    response = jsonify(items=0, note=delivery.note or "the list is empty")
    response.headers["Cache-Control"] = "no-store"
    return response
