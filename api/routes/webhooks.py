"""Events of repositories over HTTP: verified, understood, noted; the workers do what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify, request, url_for
from werkzeug.exceptions import NotFound

from api.context import context
from api.request_log import note_event
from api.security import body_limits
from api.security.auth import may_report
from mezcal.errors import Unauthorized
from mezcal.ingest.events import FORMATS, read
from mezcal.jobs.bulk.batches import KNOWN_SECONDS

if TYPE_CHECKING:
    from mezcal.jobs import Posted

webhooks = Blueprint("webhooks", __name__)


@webhooks.post("/webhooks/<form>")
def event(form: str) -> Response:
    """Note what a producer says has happened, and say by which batch; 200 where nothing follows from it."""
    if form not in FORMATS:
        raise NotFound(f"there is no such format: it may be {', '.join(FORMATS)}")
    note_event(form)
    body_limits.check(context().settings.webhook_max_bytes)
    body, signed = may_report(body_limits.whole)
    headers = {name.lower(): value for name, value in request.headers}
    if signed and form == "cloudevents" and "ce-specversion" in headers:
        raise Unauthorized("a signature covers no `ce-` headers: send the event structured, or with a token")
    delivery = read(form, body, headers)
    if not delivery.events:
        note_event(form, "ignored")
        return _told({"items": 0, "note": delivery.note or "the list is empty"}, 200)
    known, seconds = (f"signed\n{signed.id}", signed.seconds) if signed else (None, KNOWN_SECONDS)
    if known is None and delivery.id:
        known = f"{form}\n{delivery.id}"
    return accepted(form, context().jobs.post(delivery.events, known, seconds))


def accepted(form: str, posted: Posted) -> Response:
    """202 and where the batch can be looked at; 200 for what was noted before."""
    note_event(form, "duplicate" if posted.again else None, posted.items)
    place = url_for("jobs.job", key=posted.name)
    response = _told({"batch": posted.name, "items": posted.items, "again": posted.again}, 200 if posted.again else 202)
    response.headers["Location"] = place
    return response


def _told(what: dict[str, object], status: int) -> Response:
    response = jsonify(what)
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    return response
