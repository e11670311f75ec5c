"""Mezzanines over HTTP: the first of the five files that tell the story."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, after_this_request, request, url_for

from api.context import context
from api.responses.images import HIT, JOINED, MISS, STALE, send
from api.responses.preferences import RequestOptions, gone, navigates
from api.security.auth import may_change, may_read
from mezcal.errors import BadRecipe, StillWorking
from mezcal.ingest.purge import purge
from mezcal.recipe import Mezzanine

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as AnyResponse

    from mezcal.jobs import Job
    from mezcal.recipe import Recipe
    from mezcal.store import Opened

images = Blueprint("images", __name__)
PEOPLE_WAIT = 1.5  # seconds before a browser is shown how far its image has come


@images.get("/images/<source:source>")
@images.get("/mezzanine/<source:source>.jpg", endpoint="named_jpg")
def image(source: str) -> Response:
    """Serve the mezzanine of *source*, waiting for a worker to make it if need be."""
    may_read()
    recipe = Mezzanine.parse(source, request.args.get("page"))
    found = context().store.open(recipe)
    if found is not None:
        return send(found, STALE if context().freshness.old(found.stored, recipe) else HIT)
    wish = RequestOptions.of(request)
    say_what_applied(wish)
    job = context().jobs.ask(recipe)
    if wish.respond_async:
        return accepted(job)
    job.wait(patience(wish), gone(request))
    return send(made(recipe), JOINED if job.joined else MISS)


@images.delete("/images/<source:source>")
def forget(source: str) -> tuple[str, int]:
    """Forget the mezzanine of *source*, its job and its remembered failure, whichever there are.

    Without `?page=` all pages of the master are forgotten, too.
    """
    may_change()
    purge(Mezzanine.parse(source, request.args.get("page")), context().jobs, context().store)
    return "", 204


@images.route("/images", methods=["GET", "DELETE"])
@images.route("/mezzanine", methods=["GET"])
@images.route("/mezzanine/", methods=["GET"])
def nameless() -> Response:
    """Say that a path is missing."""
    raise BadRecipe("the path is empty: name a master, as in /images/<path>")


def patience(wish: RequestOptions) -> float:
    """Seconds that the request may wait; a person sees the progress instead, and then the image."""
    most = PEOPLE_WAIT if navigates(request) else context().settings.wait_seconds
    return min(wish.seconds, most)


def say_what_applied(wish: RequestOptions) -> None:
    """Have `Preference-Applied` in the answer, whatever that will be (RFC 7240, 3)."""

    @after_this_request
    def _say(response: AnyResponse) -> AnyResponse:
        if wish.applied:
            response.headers["Preference-Applied"] = wish.applied
        return response


def made(recipe: Recipe) -> Opened:
    """The derivative that was just made; `StillWorking` if somebody deleted it in this very moment."""
    found = context().store.open(recipe)
    if found is None:
        raise StillWorking("the derivative was removed as soon as it was made: ask again")
    return found


def accepted(job: Job) -> Response:
    """202, for those who asked for it (RFC 7240): real IIIF servers keep a 202 as the image."""
    response = Response(status=202)
    response.headers["Location"] = url_for("jobs.job", key=job.recipe.key)
    response.headers["Cache-Control"] = "no-store"
    return response
