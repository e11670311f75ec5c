"""Jobs over HTTP: where one stands, which have failed, and another try."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, jsonify, request, url_for
from werkzeug.exceptions import BadRequest, NotFound

from api.context import context
from api.dashboard.estimate import Estimate
from api.request_log import note_event
from api.routes import batches
from api.routes.webhooks import accepted
from api.security.auth import is_operator, may_change, may_read
from mezcal.jobs.bulk.batches import PREFIX
from mezcal.recipe import Mezzanine, from_json

if TYPE_CHECKING:
    from mezcal.jobs import Record
    from mezcal.recipe import Recipe

jobs = Blueprint("jobs", __name__)
LISTED_MOST = 1000
LIST = "list"  # how a bulk request is counted, beside the formats of events
ID = re.compile(rf"[0-9a-f]{{32}}|{PREFIX}[0-9a-f]{{24}}")  # what is none names nothing in Redis, or something else


@jobs.get("/jobs")
def failed() -> Response:
    """The failed and quarantined jobs (`?state=failed`), those remembered longest first, at most `?limit=`."""
    may_read()
    if request.args.get("state") != "failed":
        raise BadRequest("only failed jobs are listed: ask for /jobs?state=failed")
    most = request.args.get("limit", 100, int)
    found = context().jobs.failures(min(max(most, 1), LISTED_MOST))
    response = jsonify(jobs=[described(record) for record in found])
    response.headers["Cache-Control"] = "no-store"
    return response


@jobs.post("/jobs")
def bulk() -> Response:
    """Have the listed masters made, if they are not cached; 202 and the batch that tells how far it is."""
    note_event(LIST)
    may_change()
    return accepted(LIST, context().jobs.post(batches.listed()))


@jobs.get("/jobs/<key>")
def job(key: str) -> Response:
    """Where the job or batch stands; 404 when it is neither wanted nor remembered. Its ETag makes polling cheap."""
    may_read()
    if not ID.fullmatch(key):
        raise NotFound("no such job: an id is 32 hex digits, a batch's `batch-` and 24")
    if key.startswith(PREFIX):
        return batches.batch(key, described)
    record = context().jobs.read(key)
    if record is None:
        raise NotFound("no such job: it was never asked for, or ended a while ago")
    response = jsonify(described(record, Estimate.of(context().jobs, record)))
    response.headers["Cache-Control"] = "no-cache"  # kept, but asked about each time
    response.vary.add("Authorization")
    response.add_etag()
    response.make_conditional(request)
    return response


@jobs.post("/jobs/<key>/retry")
def retry(key: str) -> Response:
    """Try a failed or quarantined job again, as if it had not been tried; 404 where there is none."""
    may_change()
    if not ID.fullmatch(key) or not context().jobs.retry(key):
        raise NotFound("no failed job of this id: it was forgotten, or goes on already")
    response = Response(status=202)
    response.headers["Location"] = url_for("jobs.job", key=key)
    response.headers["Cache-Control"] = "no-store"
    return response


def address(recipe: Recipe) -> str | None:
    """The URL path of a mezzanine; a thumbnail has none that would be good for whoever sees the job."""
    if not isinstance(recipe, Mezzanine):
        return None
    return url_for("images.image", source=recipe.path, page=recipe.page)


def described(record: Record, outlook: Estimate | None = None) -> dict[str, Any]:
    """A job as JSON; times are seconds since 1970. *outlook* says what lies before it, where that was asked.

    Which worker had it, `host:pid`, is shown to those alone who may change state: it names machines behind ours.
    """
    recipe = from_json(record.recipe)
    image, told = address(recipe), record.as_json()
    if not is_operator():
        told["history"] = [{name: past[name] for name in past if name != "worker"} for past in told["history"]]
    return {
        **told,
        "image": image,
        "links": {"self": url_for("jobs.job", key=record.key), "image": image},
        **(outlook.as_json() if outlook else {}),
    }
