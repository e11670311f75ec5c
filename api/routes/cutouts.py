"""Many cutouts in one request, with the rights that its client has at the archive.

Nothing is kept about a request: whoever sends it again, until nothing is queued any more, gets what was made since. So
the archive decides each time who may see what.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, jsonify, request

from api.context import context
from api.responses.cutout_archive import tar_of
from api.routes.thumbnails import BASENAME_MAX, ThumbnailRequest, read_options
from api.security import body_limits
from api.security.auth import authorization_for_archive
from api.security.shares import limited_client
from mezcal.errors import BadRecipe, BrokerDown, Busy, Failure, OriginPaused, ShareExceeded, StoreDown
from mezcal.ingest.events import parse_json

if TYPE_CHECKING:
    from mezcal.origin.archive import FrameRecord
    from mezcal.recipe import Thumbnail, ThumbnailOptions
    from mezcal.recipe.cutout import RgbFrames

cutouts = Blueprint("cutouts", __name__)

ITEMS_MAX = 1_000
BODY_MAX = 1 << 20  # bytes
ARCHIVE_THREADS = 8  # that ask the archive for frames
LOOKUP_SECONDS = 120.0  # for which a place is held while the archive is asked
RETRY_SECONDS = 2
TAR = "application/x-tar"
STATES = ("ready", "queued", "waiting", "failed")

FrameName = int | str


@dataclass(frozen=True, slots=True)
class AskedCutout:
    """One item of a request: the frame that it names, and what is drawn of it."""

    frame: FrameName
    options: ThumbnailOptions
    rgb: RgbFrames | None = None


@dataclass(frozen=True, slots=True)
class FoundCutout:
    """The state of one item as JSON, and its recipe, None if the archive shows no such frame.

    The state is `ready` with the URL, `queued`, `waiting` until others are made, or `failed` with the reason.
    """

    state: dict[str, Any]
    recipe: Thumbnail | None = None


@dataclass
class CutoutStates:
    """Finds the state of each item. Once the client has its share of the queue, no further job is started."""

    authorization: str | None
    records: dict[FrameName, FrameRecord | Failure]
    _composites: dict[tuple[FrameName, str, RgbFrames | None], ThumbnailRequest] = field(default_factory=dict)
    _is_full: bool = False

    def find(self, asked: AskedCutout) -> FoundCutout:
        """Return the state of *asked*. Starts its job if there is none.

        Raises `BrokerDown`, `StoreDown` and `OriginPaused`: the request is to be repeated then.
        """
        try:
            wanted = self._request(asked)
            return FoundCutout({"frame": asked.frame, **self._state(wanted)}, wanted.recipe)
        except (BrokerDown, StoreDown, OriginPaused):
            raise
        except Failure as failure:
            reason = {"status": failure.status, "detail": failure.detail}
            return FoundCutout({"frame": asked.frame, "state": "failed", **reason})

    def _request(self, asked: AskedCutout) -> ThumbnailRequest:
        record = self.records[asked.frame]
        if isinstance(record, Failure):
            raise record
        if not asked.options.color:
            return ThumbnailRequest.of_record(record, asked.options, None, self.authorization)
        of_frame = (
            asked.frame,
            asked.options.look,
            asked.rgb,
        )  # the archive is asked once for the three frames of a composite
        if of_frame not in self._composites:
            wanted = ThumbnailRequest.of_record(record, asked.options, asked.rgb, self.authorization)
            self._composites[of_frame] = wanted
        return self._composites[of_frame].with_options(asked.options)

    def _state(self, wanted: ThumbnailRequest) -> dict[str, Any]:
        if context().store.find(wanted.recipe) is not None:
            return {"state": "ready", **wanted.as_json()}
        if self._is_full:
            return {"state": "waiting"}
        try:
            job = wanted.start()
        except (BrokerDown, StoreDown, OriginPaused):
            raise
        except (Busy, ShareExceeded):  # the queue is full, or the client has its share
            self._is_full = True
            return {"state": "waiting"}
        return {"state": "queued", "job": job.recipe.key}


@cutouts.post("/cutouts")
def many() -> Response:
    """Return the state of each cutout, and start what is not there. With `Accept: application/x-tar`, a tar of all."""
    asked = _read()
    authorization = authorization_for_archive()
    with context().waiting_places.hold(limited_client(), LOOKUP_SECONDS):
        states = CutoutStates(authorization, _find_frames({each.frame for each in asked}, authorization))
        found = _find_by_frame(states, asked)
    response = _response(found)
    response.headers["Cache-Control"] = "private, no-store"
    return response


def _find_by_frame(states: CutoutStates, asked: list[AskedCutout]) -> list[FoundCutout]:
    """Return the states of *asked*, in its order. Jobs of one frame are queued together: they share a download."""
    first = {each.frame: number for number, each in reversed(list(enumerate(asked)))}
    numbers = sorted(range(len(asked)), key=lambda number: first[asked[number].frame])
    found = {number: states.find(asked[number]) for number in numbers}
    return [found[number] for number in range(len(asked))]


def _response(found: list[FoundCutout]) -> Response:
    """Return 202 with all states while some are not ready; then 200, and a tar if the client asked for one."""
    counts = {name: sum(each.state["state"] == name for each in found) for name in STATES}
    answer = {**counts, "cutouts": [each.state for each in found]}
    is_complete = not counts["queued"] + counts["waiting"]
    if is_complete and request.accept_mimetypes.best_match(["application/json", TAR]) == TAR:
        made = [(number, each.recipe) for number, each in enumerate(found) if each.state["state"] == "ready"]
        return Response(tar_of(made, answer, context().store), mimetype=TAR)
    response = jsonify(answer)
    if not is_complete:
        response.status_code = HTTPStatus.ACCEPTED
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


def _read() -> list[AskedCutout]:
    """Return what the body asks for. Raises `BadRecipe` with the number of the item that is not valid."""
    with body_limits.of_stranger(body_limits.cutout_lists):
        body_limits.check(BODY_MAX)
        document = parse_json(body_limits.whole())
    items = document.get("cutouts") if isinstance(document, dict) else None
    if not isinstance(items, list) or not items:
        raise BadRecipe('the body must be an object with a list: {"cutouts": [{"frame": 1, "ra": 10, "dec": 2, ..}]}')
    if len(items) > ITEMS_MAX:
        raise BadRecipe(f"cutouts has {len(items):,} items: it may have {ITEMS_MAX:,}. Send the others afterwards")
    shared = {name: value for name, value in document.items() if name != "cutouts"}
    return [_read_item(number, item, shared) for number, item in enumerate(items)]


def _read_item(number: int, item: Any, shared: dict[str, Any]) -> AskedCutout:
    try:
        return _asked({**shared, **item} if isinstance(item, dict) else {})
    except BadRecipe as failure:
        raise BadRecipe(f"cutouts[{number}]: {failure.detail}") from failure


def _asked(given: dict[str, Any]) -> AskedCutout:
    frame = given.pop("frame", None)
    is_name = isinstance(frame, str) and 0 < len(frame) <= BASENAME_MAX and frame.isprintable()
    is_number = isinstance(frame, int) and not isinstance(frame, bool) and 0 <= frame < 1 << 63
    if not (is_name or is_number):
        raise BadRecipe("frame is missing: it may be a frame's id, a number, or its basename, a text")
    if any(not isinstance(value, str | int | float) and value is not None for value in given.values()):
        raise BadRecipe("each parameter must be a text, a number, true or false")
    options, rgb = read_options(given)
    if options.cutout is None:
        raise BadRecipe("the position is missing: it may be ra and dec, or x and y, with size")
    return AskedCutout(frame, options, rgb)


def _find_frames(names: set[FrameName], authorization: str | None) -> dict[FrameName, FrameRecord | Failure]:
    """Return the archive's record of each frame, or why there is none. The archive is asked once for each."""
    archive = context().archive

    def find(name: FrameName) -> FrameRecord | Failure:
        look_up = (
            partial(archive.find_frame, name) if isinstance(name, int) else partial(archive.find_by_basename, name)
        )
        try:
            return look_up(authorization)
        except Failure as failure:
            return failure

    with ThreadPoolExecutor(ARCHIVE_THREADS) as pool:
        return dict(zip(names, pool.map(find, names), strict=True))
