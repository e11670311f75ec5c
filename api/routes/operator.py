"""The operator's page: the state of the installation, and forms that retry what failed."""

from __future__ import annotations

import re

from flask import Blueprint, Response, request, url_for
from werkzeug.exceptions import NotFound, TooManyRequests

from api.context import context
from api.dashboard import job_overview
from api.dashboard.estimate import Estimate
from api.dashboard.folder_view import FolderView
from api.dashboard.job_page import JobPage
from api.dashboard.operator_page import OperatorPage, sign_in_html
from api.responses import html
from api.responses.readable_text import sentence
from api.security import body_limits, sessions
from api.security.auth import too_many_wrong_tokens
from api.security.clients import current_client
from mezcal.downstream.report import retry_all
from mezcal.errors import Unauthorized

operator = Blueprint("operator", __name__)
JOB = re.compile(r"[0-9a-f]{32}")
PREVIEW_SECONDS = 600  # for which a browser keeps a preview
FORM_BYTES_MAX = 16_384
FORM_FIELDS_MAX = 16


@operator.before_request
def _limit_forms() -> None:
    """Limit the size of forms: they are read before the sender is known."""
    request.max_content_length, request.max_form_parts = FORM_BYTES_MAX, FORM_FIELDS_MAX


@operator.get("/ops")
def page() -> Response:
    """Return the page to clients that may change state, and the sign-in form to others."""
    try:
        sessions.require_operator()
    except Unauthorized:
        return html.response(sign_in_html(), 401)
    return html.response(OperatorPage.of(context(), sessions.csrf_token(), _result_of_retry()).html())


@operator.post("/ops/sign-in")
def sign_in() -> Response:
    """Open a session with one of API_TOKENS. Returns 429 to a client that sends too many wrong ones."""
    client, attempts = current_client(), context().token_attempts
    with body_limits.of_stranger(body_limits.sign_ins):
        token = request.form.get("token", "")
    if not attempts.is_ignored(client) and sessions.open_session(token):
        attempts.right(client)
        return _back_to_page()
    if wait := attempts.wrong(client):
        return _too_many_wrong_tokens(too_many_wrong_tokens(wait))
    return html.response(sign_in_html("This is not one of API_TOKENS."), 401)


def _too_many_wrong_tokens(error: TooManyRequests) -> Response:
    response = html.response(sign_in_html(sentence(error.description or "")), 429)
    response.headers["Retry-After"] = str(error.retry_after)
    return response


@operator.post("/ops/sign-out")
def sign_out() -> Response:
    """End the session."""
    sessions.require_operator()
    sessions.check_csrf_token()
    sessions.close_session()
    return _back_to_page()


@operator.post("/ops/retry")
def retry() -> Response:
    """Retry one failed job (form field `job`), or the listed failed jobs of a class (form field `class`)."""
    sessions.require_operator()
    sessions.check_csrf_token()
    jobs = context().jobs
    retried = sum(jobs.retry(key) for key in _chosen())
    if "folder" in request.form:
        return _back_to(url_for("operator.browse", folder=request.form["folder"] or None, page=_page_number()))
    return _back_to_page(retried=retried)


@operator.post("/ops/downstream")
def retry_downstream() -> Response:
    """Have the hooks downstream notified at once of what waits and of what was given up."""
    sessions.require_operator()
    sessions.check_csrf_token()
    retry_all(context().jobs, context().settings)
    return _back_to(f"{url_for('operator.page')}#downstream")


@operator.get("/ops/jobs/<key>")
def job(key: str) -> Response:
    """Return the page of a job, with a form that retries it; 404 if it is unknown."""
    sessions.require_operator()
    jobs = context().jobs
    record = jobs.read(key) if JOB.fullmatch(key) else None
    if record is None:
        raise NotFound("no such job: it never existed, or it ended a while ago")
    page = JobPage.of(record, Estimate.of(jobs, record), sessions.csrf_token())
    return html.response(page.html())


@operator.get("/ops/browse")
def browse() -> Response:
    """Return a page of the folder `folder` of a folder origin: never for the public, to whom names are not known."""
    try:
        sessions.require_operator()
    except Unauthorized:
        return html.response(sign_in_html(), 401)
    view = FolderView.of(context(), request.args.get("folder", ""), _page_number(), sessions.csrf_token())
    return html.response(view.html())


def _page_number() -> int:
    number = request.values.get("page", "1")
    return int(number) if number.isascii() and number.isdigit() and 0 < len(number) < 9 and int(number) else 1


@operator.get("/ops/previews/<key>.jpg")
def preview(key: str) -> Response:
    """Return a small preview of a derivative."""
    sessions.require_operator()
    jpeg = context().jobs.recent.preview(key)
    if jpeg is None:
        raise NotFound("there is no preview of this derivative")
    response = Response(jpeg, mimetype="image/jpeg")
    response.headers["Cache-Control"] = f"private, max-age={PREVIEW_SECONDS}"
    return response


def _chosen() -> list[str]:
    """Return the keys of the failed jobs that the form names."""
    jobs, key = context().jobs, request.form.get("job")
    if key is not None:
        record = jobs.read(key) if JOB.fullmatch(key) else None
        return [key] if record and record.failure else []
    failures = jobs.failures(job_overview.FAILURES_READ)
    return [record.key for record in failures if job_overview.class_of(record) == request.form.get("class")]


def _result_of_retry() -> str | None:
    """Return what the form that was sent before this request did, as a sentence."""
    retried = request.args.get("retried", None, int)
    if retried is None or retried < 0:
        return None
    if not retried:
        return "There was nothing to retry: the failures have expired, or the jobs were queued already."
    return "1 job was queued again." if retried == 1 else f"{retried:,} jobs were queued again."


def _back_to_page(retried: int | None = None) -> Response:
    """Redirect to the page, so that reloading it does not send the form again."""
    return _back_to(url_for("operator.page", retried=retried))


def _back_to(url: str) -> Response:
    response = Response(status=303)
    response.headers["Location"] = url
    response.headers["Cache-Control"] = "no-store"
    return response
