"""Denials over HTTP: a take-down that lasts."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import NotFound

from api.context import context
from api.security import body_limits
from api.security.auth import require_write_access
from api.security.clients import current_client
from mezcal.errors import BadEvent
from mezcal.ingest.denial import REASON_MAX, TakeDown, denied_path
from mezcal.ingest.events import parse_json
from mezcal.store.denials import Denial

denials = Blueprint("denials", __name__)
BYTES_MAX = 65_536


@denials.get("/denials")
def list_denials() -> Response:
    """Return all denials that hold."""
    require_write_access()
    return _no_store(jsonify(denials=[asdict(denial) for denial in context().denier.denials.all()]))


@denials.post("/denials")
def deny() -> Response:
    """Deny a master, or a folder with all below it, and remove what was made of it."""
    require_write_access()
    body_limits.check(BYTES_MAX)
    denial = _denial(parse_json(body_limits.whole()))
    take_down = _take_down()
    take_down.deny(denial)
    take_down.wait_until_known(denial)
    response = _no_store(jsonify(asdict(denial)))
    response.status_code = 201
    return response


@denials.delete("/denials")
def lift() -> tuple[str, int]:
    """Lift the denial of the path in `?path=`; 404 if there is none."""
    require_write_access()
    if not _take_down().lift(denied_path(request.args.get("path", "")), _who()):
        raise NotFound("this path is not denied: GET /denials lists those that are")
    return "", 204


def _take_down() -> TakeDown:
    return TakeDown(context().denier.denials, context().jobs, context().store)


def _denial(given: Any) -> Denial:
    """Return the denial in a body. Raises `BadEvent` or `BadRecipe`."""
    if not isinstance(given, dict) or not isinstance(given.get("path"), str):
        raise BadEvent('the body must be JSON with a path, as {"path": "books/1/", "reason": "a request of ..."}')
    if unknown := sorted(set(given) - {"path", "reason", "until"}):
        raise BadEvent(f"the body has {unknown[0][:40]!r}: it may have path, reason and until")
    until, reason = given.get("until"), given.get("reason", "")
    is_number = isinstance(until, int | float) and not isinstance(until, bool) and math.isfinite(until)
    if until is not None and not (is_number and until > time.time()):
        raise BadEvent("until must be a time in the future, in seconds since 1970")
    if not isinstance(reason, str) or len(reason) > REASON_MAX:
        raise BadEvent(f"reason must be a text of {REASON_MAX} characters at most")
    return Denial(denied_path(given["path"]), time.time(), _who(), reason, until)


def _who() -> str:
    return f"a token from {current_client()}"


def _no_store(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response
