"""Thumbnails of a science archive's frames over HTTP, with the interface of OCS thumbnail-service.

Each request first asks the archive for every frame that the thumbnail needs, with the Authorization of its client. So a
cached thumbnail is given only to clients that could have it made.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, current_app, jsonify, redirect, request, url_for
from werkzeug.exceptions import NotFound

from api.archive_answers import ArchiveAnswers, Question
from api.context import context
from api.request_log import note_cache_status, note_recipe
from api.responses import html
from api.responses.images import HIT, JOINED, MISS, send
from api.responses.jobs import accepted
from api.responses.preferences import RequestOptions, disconnect_check
from api.routes.images import announce_applied
from api.security.auth import authorization_for_archive
from api.security.hosts import base_url
from api.security.shares import limited_client
from mezcal.errors import BadRecipe, TicketExpired
from mezcal.jobs import Lane
from mezcal.origin.archive import check_suitable, make_recipe, put_together, select_frames
from mezcal.recipe import OF_FRAMES, ThumbnailOptions
from mezcal.recipe.cutout import check_names, parse_named, read_note, without_ignored
from mezcal.store import SignsUrls

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from werkzeug.wrappers import Response as AnyResponse

    from api.security.signed_urls import Signer
    from mezcal.jobs import Job
    from mezcal.origin.archive import FrameFinder, FrameRecord
    from mezcal.recipe import Thumbnail
    from mezcal.recipe.cutout import NamedFrames

    FindFrame = Callable[[str | None], FrameRecord]  # asks the archive with an Authorization header

thumbnails = Blueprint("thumbnails", __name__)

ROBOTS = "User-agent: *\nDisallow: /\n"  # each request of a crawler could start a download and a conversion
BASENAME_MAX = 255
ASKING_SECONDS = 20.0  # after which the archive is asked for no further frame of one picture
FILES = {name.rpartition(".")[2]: name for name in OF_FRAMES.values()}  # by their extensions


@thumbnails.get("/<int:frame_id>/")
def by_id(frame_id: int) -> AnyResponse:
    """Return the thumbnail of the frame with this id."""
    return _thumbnail(partial(context().archive.find_frame, frame_id))


@thumbnails.get("/<basename>/")
def by_basename(basename: str) -> AnyResponse:
    """Return the thumbnail of the frame whose file has this name without its extension."""
    if basename in _own_names():
        raise NotFound
    if len(basename) > BASENAME_MAX or not basename.isprintable():
        raise BadRecipe(f"the basename has more than {BASENAME_MAX} characters or unprintable ones")
    return _thumbnail(partial(context().archive.find_by_basename, basename))


def _own_names() -> set[str]:
    """Return the first segments of mezcal's own routes: `/ops/` is a mistyped `/ops`, not a frame."""
    return {rule.rule.split("/")[1] for rule in current_app.url_map.iter_rules()}


def _thumbnail(find: FindFrame) -> AnyResponse:
    """Return the URL of the thumbnail of the frame that *find* finds. If it is not stored, wait until it is made."""
    settings = context().settings
    options, named = read_options(request.args)
    wanted = ThumbnailRequest.of(find, options, named)
    note_recipe(wanted.recipe)
    context().denier.check(wanted.recipe)
    if context().store.find(wanted.recipe) is not None:
        note_cache_status(HIT)
        return wanted.response()
    if request.method == "HEAD" and not wanted.is_redirect:
        return wanted.response()  # the headers of the JSON, for which no picture is needed
    preferences = RequestOptions.of(request)
    announce_applied(preferences)
    if preferences.respond_async:
        return accepted(wanted.start().recipe.key)
    seconds = min(preferences.wait_seconds, settings.wait_seconds)
    with context().waiting_places.hold(limited_client(), seconds):
        joined = _make(wanted, find, named, time.monotonic() + seconds)
    note_cache_status(JOINED if joined else MISS)
    return wanted.response()


def read_options(given: Mapping[str, Any]) -> tuple[ThumbnailOptions, NamedFrames | None]:
    """Return the options in *given*, and the frames of a composite or a mosaic if they are named.

    Raises `BadRecipe`, also for misspelled names.
    """
    settings = context().settings
    check_names(given)
    named = parse_named(given)
    look = settings.thumbnail_look if named is None else "robust"
    switch = {} if named is None else named.switch
    options = ThumbnailOptions.parse(
        {**without_ignored(given), **switch}, default=look, max_edge=settings.thumbnail_max_edge
    )
    return options, named


def _make(wanted: ThumbnailRequest, find: FindFrame, named: NamedFrames | None, deadline: float) -> bool:
    """Wait until the thumbnail is made. Returns True if its job existed before.

    If the URLs of the frames' files have expired, the archive is asked for new ones, once.
    """
    job = wanted.start()
    try:
        job.wait(deadline - time.monotonic(), disconnect_check(request))
    except TicketExpired:
        renewed = ThumbnailRequest.of(find, wanted.recipe.options, named)
        context().jobs.retry(renewed.recipe.key, Lane.INTERACTIVE, renewed.urls)
        renewed.start().wait(deadline - time.monotonic(), disconnect_check(request))
    return job.joined


@dataclass(frozen=True, slots=True)
class ThumbnailRequest:
    """What the client asked for and may see: the frame it named, the frames to draw, and the recipe."""

    frame: FrameRecord
    inputs: list[FrameRecord]
    recipe: Thumbnail

    @classmethod
    def of(cls, find: FindFrame, options: ThumbnailOptions, named: NamedFrames | None) -> ThumbnailRequest:
        """Ask the archive with the Authorization of this request. Raises the archive's refusal."""
        authorization, archive = authorization_for_archive(), context().archive
        frame = find(authorization)
        if named is None:
            return cls.of_record(frame, options, None, authorization, archive)
        answers = ArchiveAnswers(archive, authorization)
        questions = map(Question.of_frame, named.ids)
        answers.ask(questions, time.monotonic() + ASKING_SECONDS, disconnect_check(request))
        return cls.of_record(frame, options, named, authorization, answers)

    @classmethod
    def of_record(
        cls,
        frame: FrameRecord,
        options: ThumbnailOptions,
        named: NamedFrames | None,
        authorization: str | None,
        archive: FrameFinder,
    ) -> ThumbnailRequest:
        """Do the same with the record of the *frame* that the archive has just shown to this client.

        *named* are the frames of a composite, or further chips of a mosaic; None for those that mezcal chooses.
        *archive* finds them.
        """
        settings = context().settings
        if named is None:
            inputs = select_frames(frame, options, archive, settings, authorization)
        else:
            inputs = [archive.find_frame(number, authorization) for number in named.ids]
            inputs = put_together(frame, inputs, settings) if named.mosaic else inputs
            for each in (frame, *inputs):
                check_suitable(each, settings, color=False)
        return cls(frame, inputs, make_recipe(inputs, options))

    def with_options(self, options: ThumbnailOptions) -> ThumbnailRequest:
        """Return the same frames drawn with other *options*."""
        return ThumbnailRequest(self.frame, self.inputs, make_recipe(self.inputs, options))

    def start(self) -> Job:
        """Start the thumbnail's job, or join it."""
        return context().jobs.ask(self.recipe, urls=self.urls, client=limited_client())

    @property
    def urls(self) -> dict[str, str]:
        """The signed URLs of the frames' files, for the worker."""
        return {str(frame.id): frame.text("url") for frame in self.inputs}

    @property
    def is_redirect(self) -> bool:
        """True if the client asked for the picture itself."""
        return bool(request.args.get("image"))

    def response(self) -> AnyResponse:
        """Return a redirect to the thumbnail if the client asked for one (`image`), else JSON with its URL."""
        response: AnyResponse
        response = redirect(_url(self.recipe, request.method)) if self.is_redirect else jsonify(self.as_json())
        response.headers["Cache-Control"] = "private, no-cache"  # another client may have no right to see it
        return response

    def as_json(self) -> dict[str, Any]:
        """Return the URL and the proposal; of a composite how its frames were aligned, of a cutout what it shows."""
        fields = {"url": _url(self.recipe), "propid": self.frame.fields.get("proposal_id")}
        options = self.recipe.options
        if options.color or options.cutout is not None:
            sidecar = context().store.sidecar(self.recipe)
            aligned, cutout = read_note(sidecar.note if sidecar else None)
            fields |= {"aligned": aligned} if options.color else {}
            fields |= {} if options.cutout is None else {"cutout": cutout}
        return fields


def _url(recipe: Thumbnail, method: str = "GET") -> str:
    """Return the signed URL of a stored thumbnail: of the bucket if there is one, else of this service.

    It is valid for days, and the same all day.
    """
    store = context().store
    if isinstance(store, SignsUrls):
        return store.presigned_url(recipe.key, method, recipe.file_name)
    signed = _signer().sign(recipe.key)
    extension = recipe.file_name.rpartition(".")[2]
    return base_url() + url_for(
        "thumbnails.stored",
        key=recipe.key,
        extension=extension,
        expires=signed.expires,
        signature=signed.signature,
    )


def _signer() -> Signer:
    signer = context().signer
    assert signer is not None, "the context has one if these routes exist"
    return signer


@thumbnails.get("/files/<key>.<extension>")
def stored(key: str, extension: str) -> Response:
    """Return a stored thumbnail to a client that has its signed URL."""
    _signer().check(key, request.args.get("expires", ""), request.args.get("signature", ""))
    file_name = FILES.get(extension)
    opened = file_name and context().store.open_by_key(key, file_name)
    if not opened:
        raise NotFound("the thumbnail is no longer cached: request it again")
    return send(opened, cache_control=f"private, max-age={context().settings.http_max_age}")


@thumbnails.get("/robots.txt")
def robots() -> Response:
    """Keep crawlers out."""
    return Response(ROBOTS, content_type="text/plain; charset=utf-8")


@thumbnails.get("/favicon.ico")
def favicon() -> Response:
    """Return the icon under the name that browsers request."""
    return Response(html.asset("favicon.svg"), mimetype="image/svg+xml")


@thumbnails.after_app_request
def _allow_other_origins(response: Response) -> Response:
    """Let pages of any origin read the responses (CORS). They send an Authorization header, never cookies.

    A redirect to the same path with a slash belongs to no blueprint.
    """
    if request.blueprint not in {thumbnails.name, "cutouts"} and response.status_code != HTTPStatus.PERMANENT_REDIRECT:
        return response
    response.headers["Access-Control-Allow-Origin"] = "*"
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type, Prefer"
        response.headers["Access-Control-Allow-Methods"] = (
            "GET, HEAD, POST, OPTIONS" if request.blueprint == "cutouts" else "GET, HEAD, OPTIONS"
        )
        response.headers["Access-Control-Max-Age"] = "86400"
    return response
