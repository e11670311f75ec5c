"""Jobs over HTTP: their states, the failed ones, retries, and lists of masters to be made."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest, NotFound

from api.context import context
from api.dashboard.estimate import Estimate
from api.dashboard.job_page import JobPage
from api.request_log import note_event
from api.responses import html
from api.responses.jobs import accepted, job_json, polled
from api.responses.preferences import prefers_page
from api.routes import batches
from api.security.auth import is_operator, require_read_access, require_write_access
from mezcal.jobs.bulk.batches import PREFIX
from mezcal.recipe import Mezzanine

if TYPE_CHECKING:
    from mezcal.jobs import Record

jobs = Blueprint("jobs", __name__)
LIST_MAX = 1000
PAGE = 100  # failed jobs that are read at once, at least
LOOKED_AT = 5 * LIST_MAX  # failed jobs, of which most may be those of frames
LIST = "list"  # the name of a list in the metrics, next to the formats of events
ID = re.compile(rf"[0-9a-f]{{32}}|{PREFIX}[0-9a-f]{{24}}")  # anything else could name another kind of key in Redis


@jobs.get("/jobs")
def failed() -> Response:
    """List failed and quarantined jobs (`?state=failed`), those recorded longest first, at most `?limit=`.

    Those of an archive's frames are listed to operators alone: the archive decides who may learn that a frame exists.
    """
    require_read_access()
    if request.args.get("state") != "failed":
        raise BadRequest("only failed jobs can be listed: use /jobs?state=failed")
    limit = request.args.get("limit", 100, int)
    limit = min(max(limit, 1), LIST_MAX)
    records = context().jobs.failures(limit) if is_operator() else _failed_masters(limit)
    response = jsonify(jobs=[job_json(record) for record in records])
    response.headers["Cache-Control"] = "no-store"
    return response


def _failed_masters(limit: int) -> list[Record]:
    """Return the failed jobs of masters, at most *limit*, out of the first `LOOKED_AT` of all."""
    found: list[Record] = []
    page = max(limit, PAGE)
    for skipped in range(0, LOOKED_AT, page):
        records = context().jobs.failures(page, skipped)
        found += [record for record in records if record.recipe.get("kind") == Mezzanine.kind]
        if not records or len(found) >= limit:
            break
    return found[:limit]


@jobs.post("/jobs")
def bulk() -> Response:
    """Make the listed derivatives unless they are cached. Returns 202 and a batch that shows the progress.

    The hook that is called `?callback=` is notified of each job's end.
    """
    note_event(LIST)
    require_write_access()
    callback = batches.callback()
    return batches.accepted(LIST, context().jobs.post(batches.read_list(), callback=callback))


@jobs.get("/jobs/<key>")
def job(key: str) -> Response:
    """Return the state of a job or a batch, of a job also as a page; 404 if it is unknown."""
    require_read_access()
    if not ID.fullmatch(key):
        raise NotFound("no such job: the id of a job is 32 hex digits, that of a batch is `batch-` and 24 hex digits")
    if key.startswith(PREFIX):
        return batches.batch(key)
    record = context().jobs.read(key)
    if record is None:
        raise NotFound("no such job: it never existed, or it ended a while ago")
    estimate = Estimate.of(context().jobs, record)
    page = prefers_page(request)
    response = html.response(JobPage.of(record, estimate).html()) if page else polled(job_json(record, estimate))
    response.vary.add("Accept")
    return response


@jobs.post("/jobs/<key>/retry")
def retry(key: str) -> Response:
    """Retry a failed or quarantined job, with its attempts counted from zero; 404 if there is none."""
    require_write_access()
    if not ID.fullmatch(key) or not context().jobs.retry(key):
        raise NotFound("no failed job has this id: its failure has expired, or it was queued again already")
    return accepted(key)
