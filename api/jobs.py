"""Jobs over HTTP: where one stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, jsonify, url_for
from redis import RedisError
from werkzeug.exceptions import NotFound

from api.auth import may_read
from api.context import here
from mezcal.errors import BrokerDown
from mezcal.recipe import from_json

if TYPE_CHECKING:
    from mezcal.jobs import Record

jobs = Blueprint("jobs", __name__)


@jobs.get("/jobs/<key>")
def job(key: str) -> Response:
    """Where the job stands; 404 when it is neither wanted nor remembered."""
    may_read()
    try:
        record = here().jobs.table.read(key)
    except RedisError as error:
        raise BrokerDown("the queue cannot be reached") from error
    if record is None:
        raise NotFound("no such job: it was never asked for, or ended a while ago")
    response = jsonify(described(record))
    response.headers["Cache-Control"] = "no-store"
    return response


def described(record: Record) -> dict[str, Any]:
    """A job as JSON; times are seconds since 1970."""
    recipe = from_json(record.recipe)
    return {
        "id": record.key,
        "state": record.state,
        "lane": record.lane,
        "attempts": record.attempts,
        "asked": record.asked,
        "started": record.started,
        "ended": record.ended,
        "image": url_for("images.image", source=recipe.path, page=recipe.page),
        "failure": record.failure.as_record() if record.failure else None,
    }
