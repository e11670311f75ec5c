"""Thumbnails of a science archive's frames over HTTP, as OCS thumbnail-service answers for them.

Whoever asks, the archive is asked first, with the asker's own Authorization and for every frame that goes into the
picture: what is cached is given to nobody who could not have it made.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, jsonify, redirect, request, url_for
from werkzeug.exceptions import NotFound

from api.context import context
from api.request_log import note_cache, note_recipe
from api.responses import pages
from api.responses.images import HIT, JOINED, MISS, send
from api.responses.preferences import RequestOptions, gone
from api.routes.images import accepted, say_what_applied
from mezcal.errors import BadRecipe, TicketExpired
from mezcal.jobs import Lane
from mezcal.origin.archive import make_recipe, select_frames
from mezcal.recipe import ThumbnailOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from werkzeug.wrappers import Response as AnyResponse

    from api.security.signed_urls import Signer
    from mezcal.jobs import Job
    from mezcal.origin.archive import FrameRecord
    from mezcal.recipe import Thumbnail

thumbnails = Blueprint("thumbnails", __name__)

ROBOTS = "User-agent: *\nDisallow: /\n"  # each look at a thumbnail may be a download and a conversion
BASENAME_MAX = 255


@thumbnails.get("/<int:frame_id>/")
def by_id(frame_id: int) -> AnyResponse:
    """The thumbnail of the frame with this id."""
    return _answer(partial(context().archive.find_frame, frame_id))


@thumbnails.get("/<basename>/")
def by_basename(basename: str) -> AnyResponse:
    """The thumbnail of the frame whose file has this name, less its extension."""
    if len(basename) > BASENAME_MAX or not basename.isprintable():
        raise BadRecipe(f"the basename is longer than {BASENAME_MAX} characters, or holds strange ones")
    return _answer(partial(context().archive.find_by_basename, basename))


def _answer(find: Callable[[str | None], FrameRecord]) -> AnyResponse:
    """Where the thumbnail is, made first if need be; *find* asks the archive as whoever it is told."""
    settings = context().settings
    look = ThumbnailOptions.parse(request.args, default=settings.thumbnail_look, max_edge=settings.thumbnail_max_edge)
    wanted = Wanted.of(find, look)
    note_recipe(wanted.recipe)
    found = context().store.find(wanted.recipe)
    if found is None:
        wish = RequestOptions.of(request)
        say_what_applied(wish)
        if wish.respond_async:
            return accepted(wanted.ask())
        joined = _made(wanted, find, time.monotonic() + min(wish.seconds, settings.wait_seconds))
        note_cache(JOINED if joined else MISS)
    else:
        note_cache(HIT)
    response: AnyResponse
    if request.args.get("image"):
        response = redirect(_url(wanted.recipe.key, request.method))
    else:
        response = jsonify(wanted.told())
    response.headers["Cache-Control"] = "private, no-cache"  # the next asker may be one who may not
    return response


def _made(wanted: Wanted, find: Callable[[str | None], FrameRecord], deadline: float) -> bool:
    """Wait until the thumbnail is made; where the files' URLs have expired, once more with new ones.

    Whether somebody had asked for it already.
    """
    job = wanted.ask()
    try:
        job.wait(deadline - time.monotonic(), gone(request))
    except TicketExpired:
        renewed = Wanted.of(find, wanted.recipe.options)
        renewed.hand_over()
        context().jobs.retry(renewed.recipe.key, Lane.INTERACTIVE)
        renewed.ask().wait(deadline - time.monotonic(), gone(request))
    return job.joined


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody asked for and may have: the named frame, the frames to draw, the recipe."""

    frame: FrameRecord
    inputs: list[FrameRecord]
    recipe: Thumbnail

    @classmethod
    def of(cls, find: Callable[[str | None], FrameRecord], look: ThumbnailOptions) -> Wanted:
        """Ask the archive, as whoever asks us; raises what it refuses."""
        who = request.headers.get("Authorization")
        frame = find(who)
        inputs = select_frames(frame, look, context().archive, context().settings, who)
        return cls(frame, inputs, make_recipe(inputs, look))

    def ask(self) -> Job:
        """Start the thumbnail's job or join it, with a ticket for the frames' files."""
        self.hand_over()
        return context().jobs.ask(self.recipe)

    def hand_over(self) -> None:
        """Leave the signed URLs for the worker."""
        context().jobs.save_ticket(self.recipe, {str(one.id): one.text("url") for one in self.inputs})

    def told(self) -> dict[str, Any]:
        """The answer: the URL, the proposal and, for a composite, how its frames were aligned."""
        told = {"url": _url(self.recipe.key), "propid": self.frame.fields.get("proposal_id")}
        if self.recipe.options.color:
            sidecar = context().store.sidecar(self.recipe)
            told["aligned"] = (sidecar.note or "" if sidecar else "").removeprefix("aligned=") or None
        return told


def _url(key: str, method: str = "GET") -> str:
    """The URL of a stored thumbnail, good for days and the same all day: the store's own where it signs any."""
    return context().store.link_key(key, method) or _signed(key)


def _signed(key: str) -> str:
    """As `_url`, here: good for a week at least."""
    base = context().settings.public_url or request.host_url
    signed = _signer().sign(key)
    path = url_for("thumbnails.stored", key=key, expires=signed.expires, signature=signed.signature)
    return base.rstrip("/") + path


def _signer() -> Signer:
    signer = context().signer
    assert signer is not None, "the application makes one where it has these routes"
    return signer


@thumbnails.get("/files/<key>.jpg")
def stored(key: str) -> Response:
    """A stored thumbnail, for whoever has its signed URL."""
    _signer().check(key, request.args.get("expires", ""), request.args.get("signature", ""))
    found = context().store.open_key(key)
    if found is None:
        raise NotFound("the thumbnail is no longer cached: ask for it again")
    response = send(found)
    response.headers["Cache-Control"] = f"private, max-age={context().settings.http_max_age}"
    return response


@thumbnails.get("/robots.txt")
def robots() -> Response:
    """Keep crawlers out."""
    return Response(ROBOTS, content_type="text/plain; charset=utf-8")


@thumbnails.get("/favicon.ico")
def favicon() -> Response:
    """The drawing that browsers ask for by this name."""
    return Response(pages.asset("favicon.svg"), mimetype="image/svg+xml")


@thumbnails.after_request
def _open_to_pages(response: Response) -> Response:
    """Pages from anywhere may read the answers; they bring the reader's own Authorization, never cookies."""
    response.headers["Access-Control-Allow-Origin"] = "*"
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Headers"] = "Authorization, Prefer"
        response.headers["Access-Control-Allow-Methods"] = "GET, HEAD, OPTIONS"
        response.headers["Access-Control-Max-Age"] = "86400"
    return response
