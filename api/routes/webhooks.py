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
from mezcal.ingest.events import FORMATS, read
from mezcal.jobs.bulk.batches import KNOWN_SECONDS

if TYPE_CHECKING:
    from api.security.webhook_signatures import Signed
    from mezcal.ingest.events import Delivery

webhooks = Blueprint("webhooks", __name__)


@webhooks.post("/webhooks/<form>")
def event(form: str) -> Response:
    """Receive an event in the format *form*. Returns 202 and its batch, or 200 if there is nothing to do."""
    if form not in FORMATS:
        raise NotFound(f"there is no such format: use one of {', '.join(FORMATS)}")
    note_event(form)
    body_limits.check(context().settings.webhook_max_bytes)
    body, signed = read_authorized_event(body_limits.whole)
    headers = {name.lower(): value for name, value in request.headers}
    if signed and form == "cloudevents" and "ce-specversion" in headers:
        raise Unauthorized("a signature does not cover `ce-` headers: use structured mode, or a token")
    delivery = read(form, body, headers)
    if not delivery.events:
        return _nothing_to_do(form, delivery)
    known_by, seconds = _identity(form, delivery, signed)
    return batches.accepted(form, context().jobs.post(delivery.events, known_by, seconds))


def _identity(form: str, delivery: Delivery, signed: Signed | None) -> tuple[str | None, int]:
    """Return the id by which the same delivery is recognized if it comes again, and for how many seconds."""
    if signed:
        return f"signed\n{signed.id}", signed.seconds
    return (f"{form}\n{delivery.id}" if delivery.id else None), KNOWN_SECONDS


def _nothing_to_do(form: str, delivery: Delivery) -> Response:
    note_event(form, "ignored")
    response = jsonify(items=0, note=delivery.note or "the list is empty")
    response.headers["Cache-Control"] = "no-store"
    return response
