"""The operator's page: what the installation does, what it cannot do, and another try for what failed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from flask import Blueprint, Response, request, url_for
from redis import RedisError
from werkzeug.exceptions import NotFound

from api.context import context
from api.dashboard import operator_page, overview
from api.responses import pages
from api.security import body_limits, sessions
from mezcal.errors import BrokerDown, Unauthorized
from mezcal.jobs import recent

if TYPE_CHECKING:
    from mezcal.jobs import Record

operator = Blueprint("operator", __name__)
PREVIEW_SECONDS = 600  # for which a browser keeps a small picture
FORM_MOST = 16_384  # bytes, of at most so many
FIELDS_MOST = 16


@operator.before_request
def _bound_forms() -> None:
    """A form is read before anybody is known: of strangers no more than a form of ours has."""
    request.max_content_length, request.max_form_parts = FORM_MOST, FIELDS_MOST


@operator.get("/ops")
def page() -> Response:
    """Everything at a glance, for whoever may change state; for others the way in."""
    try:
        session = sessions.visitor()
    except Unauthorized:
        return pages.response(operator_page.sign_in(request.script_root), 401)
    shown = operator_page.Shown.of(context(), sessions.seal(session), _told())
    answer = pages.response(operator_page.overview(shown, request.script_root))
    return answer if request.cookies.get(sessions.COOKIE) == session else sessions.remember(answer, session)


@operator.post("/ops/sign-in")
def sign_in() -> Response:
    """Open a session with one of API_TOKENS; 429 for an address that guesses."""
    address, guesses = request.remote_addr or "", context().guesses
    with body_limits.of_stranger():
        token = request.form.get("token", "")
    if wait := math.ceil(guesses.take(address)):
        return _too_often(wait)
    session = sessions.opened_by(token)
    if session is None:
        return pages.response(operator_page.sign_in(request.script_root, "That is none of this service's tokens."), 401)
    guesses.forgive(address)
    return sessions.remember(_back(), session)


def _too_often(wait: int) -> Response:
    wrong = f"Too many wrong tokens came from your address, or by your proxy. Try again in {wait} s."
    answer = pages.response(operator_page.sign_in(request.script_root, wrong), 429)
    answer.headers["Retry-After"] = str(wait)
    return answer


@operator.post("/ops/sign-out")
def sign_out() -> Response:
    """End the session."""
    sessions.visitor()
    sessions.check_seal()
    return sessions.forget(_back())


@operator.post("/ops/retry")
def retry() -> Response:
    """Try one failed job again (`job`), or those of a class that are listed (`class`)."""
    sessions.visitor()
    sessions.check_seal()
    wanted = [record for record in context().jobs.failures(overview.LOOKED_AT) if _chosen(record)]
    return _back(retried=sum(context().jobs.retry(record.key) for record in wanted))


@operator.get("/ops/previews/<key>.jpg")
def small(key: str) -> Response:
    """A small picture of a derivative."""
    sessions.visitor()
    try:
        jpeg = recent.preview(context().jobs.table, key)
    except RedisError as error:
        raise BrokerDown("the queue cannot be reached, and small pictures are kept there") from error
    if jpeg is None:
        raise NotFound("there is no small picture of it")
    response = Response(jpeg, mimetype="image/jpeg")
    response.headers["Cache-Control"] = f"private, max-age={PREVIEW_SECONDS}"
    return response


def _chosen(record: Record) -> bool:
    if "job" in request.form:
        return record.key == request.form["job"]
    return overview.class_of(record) == request.form.get("class")


def _told() -> str | None:
    """What became of the form that was sent just before, in words."""
    retried = request.args.get("retried", None, int)
    if retried is None or retried < 0:
        return None
    if not retried:
        return "Nothing to try again: what failed was forgotten, or goes on already."
    return "1 job is tried again." if retried == 1 else f"{retried:,} jobs are tried again."


def _back(retried: int | None = None) -> Response:
    """Back to the page, so that loading it again sends no form again."""
    response = Response(status=303)
    response.headers["Location"] = url_for("operator.page", retried=retried)
    response.headers["Cache-Control"] = "no-store"
    return response
