"""The home page, and what tells machines and people how the service is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify, redirect, request, url_for
from werkzeug.exceptions import NotFound

from api import openapi
from api.context import context
from api.responses import pages
from api.security.auth import may_read
from mezcal.checks import Severity
from mezcal.errors import BrokerDown, kinds
from mezcal.jobs import Lane
from mezcal.recipe import Mezzanine, from_json
from mezcal.sample import FOLDER

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as AnyResponse


ops = Blueprint("ops", __name__)


@ops.get("/")
def home() -> AnyResponse:
    """The form of old, what was made last, and how full and how busy the service is."""
    may_read()
    if "url" in request.args:
        return redirect(url_for("images.image", source=_path_of(request.args["url"])))
    return pages.response(pages.home([_tile(recipe) for recipe in _shown()], _cache_use(), _queue(), _base_shown()))


@ops.get("/healthz")
def alive() -> Response:
    """The process answers; that is all."""
    return jsonify(status="ok")


@ops.get("/readyz")
def ready() -> tuple[Response, int]:
    """Whether a miss could be made: broker and store, each `ok` or what is wrong, and the seconds that each look
    took; 503 if one is not.
    """
    found = context().readiness.now()
    sound = all(finding.level is Severity.OK for finding in found.values())
    said = {name: finding.detail for name, finding in found.items()}
    took = {name: round(finding.seconds, 4) for name, finding in found.items()}
    response = jsonify(status="ok" if sound else "unavailable", **said, seconds=took)
    response.headers["Cache-Control"] = "no-store"
    return response, 200 if sound else 503


@ops.get("/openapi.json")
def described() -> Response:
    """What the service answers, as OpenAPI 3.1."""
    return jsonify(openapi.document(archive=bool(context().settings.archive_api_url)))


@ops.get("/problems/<slug>")
def problem(slug: str) -> Response:
    """What a problem's `type` points to: its meaning in one sentence."""
    kind = {kind.slug: kind for kind in kinds()}.get(slug)
    if kind is None:
        raise NotFound("there is no problem of this name")
    return jsonify(type=slug, title=kind.title, status=kind.status, meaning=(kind.__doc__ or "").strip())


def _base_shown() -> str:
    """The repository's base URL; empty for a folder: nobody needs to know this machine's."""
    base = context().origin.base_url
    return "" if base.startswith("file:") else base


def _path_of(url: str) -> str:
    path = context().origin.path_of(url)
    if path is None:
        known = _base_shown()
        raise NotFound(f"the URL does not begin with {known}" if known else "the URL is none of the repository's")
    return Mezzanine.parse(path).path


def _shown() -> list[Mezzanine]:
    """What was made last, and then what the origin has, where it can tell."""
    try:
        recent = context().jobs.recent.newest(pages.TILES_MAX)
    except BrokerDown:
        recent = []
    chosen = [recipe for recipe in map(from_json, recent) if isinstance(recipe, Mezzanine)]
    chosen += [Mezzanine.parse(path) for path in context().origin.listing(pages.TILES_MAX)]
    return list(dict.fromkeys(chosen))[: pages.TILES_MAX]


def _tile(recipe: Mezzanine) -> pages.Tile:
    stored, sidecar = context().store.find(recipe), context().store.sidecar(recipe)
    return pages.Tile(
        path=recipe.label,
        href=url_for("images.image", source=recipe.path, page=recipe.page),
        width=sidecar.width if sidecar else None,
        height=sidecar.height if sidecar else None,
        cached=stored is not None,
        bytes=stored.size if stored else None,
        sample=context().settings.repo_base_url == FOLDER.as_uri(),
    )


def _cache_use() -> pages.CacheUse:
    use = context().store.usage()
    return pages.CacheUse(
        derivatives=use.derivatives if use else None,
        bytes=use.bytes if use else None,
        free_bytes=context().store.free_bytes(),
    )


def _queue() -> pages.QueueState | None:
    try:
        depths = context().jobs.depths()
    except BrokerDown:
        return None
    queued = {str(lane): depths[lane] for lane in Lane}
    return pages.QueueState(queued, running=depths["running"], failed=depths["failed"])
