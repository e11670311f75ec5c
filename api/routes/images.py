"""Mezzanines over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, after_this_request, request
from werkzeug.exceptions import NotFound

from api.context import context
from api.request_log import note_recipe
from api.responses.images import HIT, JOINED, MISS, STALE, send
from api.responses.jobs import accepted
from api.responses.preferences import RequestOptions, disconnect_check, is_page_view
from api.security.auth import require_read_access, require_write_access
from api.security.shares import limited_client, limited_origin
from mezcal.errors import BadRecipe, StillWorking
from mezcal.ingest.purge import purge
from mezcal.recipe import MEZZANINE, Mezzanine

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as AnyResponse

    from mezcal.recipe import Profile, Recipe
    from mezcal.store import Opened

images = Blueprint("images", __name__)
PAGE_WAIT_SECONDS = 1.5  # after which a browser that opens an image as a page is shown the progress


@images.get("/images/<source:source>")
@images.get("/mezzanine/<source:source>.jpg", endpoint="named_jpg")
def image(source: str, profile: Profile = MEZZANINE) -> Response:
    """Return the derivative of *source* in *profile*. If it is not stored, wait until a worker has made it."""
    require_read_access()
    recipe = Mezzanine.parse(source, request.args.get("page"), profile)
    note_recipe(recipe)
    context().denier.check(recipe)
    found = context().store.open(recipe)
    if found is not None:
        return send(found, STALE if context().freshness.is_stale(found.stored, recipe) else HIT)
    options = RequestOptions.of(request)
    announce_applied(options)
    client = limited_client()
    if options.respond_async:
        return accepted(context().jobs.ask(recipe, client=client).recipe.key)
    seconds = _wait_seconds(options)
    with context().waiting_places.hold(client, seconds, limited_origin(recipe.path)):
        job = context().jobs.ask(recipe, client=client)
        job.wait(seconds, disconnect_check(request))
    return send(_open_made(recipe), JOINED if job.joined else MISS)


@images.get("/derivatives/<name>/<source:file>")
def derivative(name: str, file: str) -> Response:
    """Return the derivative in the profile *name* that *file* names: a master's path with the profile's extension."""
    named = context().image_urls.in_profile(name, file)
    if named is None:
        raise NotFound(_how_to_request())
    return image(named.master, named.profile)


@images.delete("/images/<source:source>")
def delete(source: str) -> tuple[str, int]:
    """Delete the mezzanine of *source*, its job and its recorded failure.

    Without `?page=`, those of the single pages and of other profiles are deleted, too.
    """
    require_write_access()
    recipe = Mezzanine.parse(source, request.args.get("page"))
    note_recipe(recipe)
    purge(recipe, context().jobs, context().store)
    return "", 204


@images.route("/images", methods=["GET", "DELETE"])
@images.route("/mezzanine", methods=["GET"])
@images.route("/mezzanine/", methods=["GET"])
def path_missing() -> Response:
    """Refuse a request without a path."""
    raise BadRecipe("the path is missing: request /images/<path in the repository>")


@images.get("/derivatives")
@images.get("/derivatives/")
@images.get("/derivatives/<name>")
def derivative_missing(name: str = "") -> Response:  # noqa: ARG001 - whatever it is, no path follows
    """Refuse a request that names no derivative."""
    raise NotFound(_how_to_request())


def _how_to_request() -> str:
    known = ", ".join(f"{profile.name} (.{profile.extension})" for profile in context().image_urls.profiles)
    return f"there is no such derivative: request /derivatives/<profile>/<path>.<extension> with {known}"


def announce_applied(options: RequestOptions) -> None:
    """Add `Preference-Applied` to the response, whichever it will be (RFC 7240, 3)."""

    @after_this_request
    def _add_header(response: AnyResponse) -> AnyResponse:
        if options.applied:
            response.headers["Preference-Applied"] = options.applied
        return response


def _wait_seconds(options: RequestOptions) -> float:
    """Return for how many seconds the request may wait. A person is shown the progress before that."""
    limit = PAGE_WAIT_SECONDS if is_page_view(request) else context().settings.wait_seconds
    return min(options.wait_seconds, limit)


def _open_made(recipe: Recipe) -> Opened:
    """Open the derivative that was just made. Raises `StillWorking` if it was deleted at this moment."""
    found = context().store.open(recipe)
    if found is None:
        raise StillWorking("the derivative was deleted as soon as it was made: try again")
    return found
