"""Mezzanines over HTTP: the first of the five files that tell the story."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, request, url_for

from api.auth import may_change, may_read
from api.clients import Wish, gone
from api.context import here
from api.sending import HIT, JOINED, MISS, STALE, send
from mezcal.errors import BadRecipe, StillWorking
from mezcal.recipe import Mezzanine

if TYPE_CHECKING:
    from mezcal.jobs import Job
    from mezcal.recipe import Recipe
    from mezcal.store import Opened

images = Blueprint("images", __name__)


@images.get("/images/<path:source>")
@images.get("/mezzanine/<path:source>.jpg", endpoint="named_jpg")
def image(source: str) -> Response:
    """Serve the mezzanine of *source*, waiting for a worker to make it if need be."""
    may_read()
    recipe = Mezzanine.parse(source, request.args.get("page"))
    found = here().store.open(recipe)
    if found is not None:
        return send(found, STALE if here().freshness.old(found.stored, recipe) else HIT)
    wish = Wish.of(request)
    job = here().jobs.ask(recipe)
    if wish.respond_async:
        return accepted(job)
    job.wait(min(wish.seconds, here().settings.wait_seconds), gone(request))
    return send(made(recipe), JOINED if job.joined else MISS)


@images.delete("/images/<path:source>")
def forget(source: str) -> tuple[str, int]:
    """Forget the mezzanine of *source*, its job and its remembered failure, whichever there are."""
    may_change()
    recipe = Mezzanine.parse(source, request.args.get("page"))
    here().jobs.forget(recipe)  # first: a running job then publishes nothing after the deletion
    here().store.delete(recipe)
    return "", 204


@images.route("/images/", methods=["GET", "DELETE"])
@images.route("/mezzanine/", methods=["GET"])
def nameless() -> Response:
    """Say that a path is missing."""
    raise BadRecipe("the path is empty: name a master, as in /images/<path>")


def made(recipe: Recipe) -> Opened:
    """The derivative that was just made; `StillWorking` if somebody deleted it in this very moment."""
    found = here().store.open(recipe)
    if found is None:
        raise StillWorking("the derivative was removed as soon as it was made: ask again")
    return found


def accepted(job: Job) -> Response:
    """202, for those who asked for it (RFC 7240): real IIIF servers keep a 202 as the image."""
    response = Response(status=202)
    response.headers["Location"] = url_for("jobs.job", key=job.recipe.key)
    response.headers["Preference-Applied"] = "respond-async"
    response.headers["Cache-Control"] = "no-store"
    return response
