"""Many cutouts in one request, with the rights that its client has at the archive.

Nothing is kept about a request: whoever sends it again, until nothing is queued any more, gets what was made since. So
the archive decides each time who may see what.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, jsonify, request

from api.archive_answers import ArchiveAnswers, Question
from api.context import context
from api.responses.advice import shown_detail
from api.responses.cutout_archive import ARCHIVES, members_of
from api.responses.preferences import disconnect_check
from api.routes.thumbnails import BASENAME_MAX, ThumbnailRequest, read_options
from api.security import body_limits
from api.security.auth import authorization_for_archive
from api.security.shares import limited_client
from mezcal.errors import BadRecipe, BrokerDown, Busy, Failure, OriginPaused, ShareExceeded, StillWorking, StoreDown
from mezcal.ingest.events import parse_json
from mezcal.origin.archive import check_suitable

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.recipe import Thumbnail, ThumbnailOptions
    from mezcal.recipe.cutout import NamedFrames

cutouts = Blueprint("cutouts", __name__)

ITEMS_MAX = 1_000
FRAMES_MAX = 4_000  # that the archive is asked for: their records are held together
BODY_MAX = 1 << 20  # bytes
ASKING_SECONDS = 60.0  # after which the archive is asked nothing more
LOOKUP_SECONDS = ASKING_SECONDS + 30  # for which a place is held: the archive may take so long for its last answers
RETRY_SECONDS = 2
STATES = ("ready", "queued", "waiting", "failed")

FrameName = int | str


@dataclass(frozen=True, slots=True)
class AskedCutout:
    """One item of a request: the frame that it names, further ones, and what is drawn of them."""

    frame: FrameName
    options: ThumbnailOptions
    named: NamedFrames | None = None

    @property
    def frames(self) -> tuple[FrameName, ...]:
        """All frames that the archive is asked for."""
        return (self.frame, *(() if self.named is None else self.named.ids))


@dataclass(frozen=True, slots=True)
class FoundCutout:
    """The state of one item as JSON, and its recipe if it is ready.

    The state is `ready` with the URL, `queued`, `waiting` until others are made, or `failed` with the reason.
    """

    state: dict[str, Any]
    recipe: Thumbnail | None = None


@dataclass
class CutoutStates:
    """Finds the state of each item, by the *answers* of the archive."""

    authorization: str | None
    answers: ArchiveAnswers
    _composites: dict[tuple[FrameName, str, NamedFrames | None], ThumbnailRequest | Failure] = field(
        default_factory=dict
    )

    def ask_archive(self, items: list[AskedCutout], gone: Callable[[], bool]) -> None:
        """Ask the archive for the frames of *items*, and then for the requests whose frames make composites.

        What it is not asked for in time, or because the client has left, is `waiting`.
        """
        deadline = time.monotonic() + ASKING_SECONDS
        self.answers.ask((Question.of_frame(name) for each in items for name in each.frames), deadline, gone)
        composed = {each.frame: each for each in items if each.options.color and each.named is None}
        requests = filter(None, map(self._request_of, composed))
        self.answers.ask((Question("request", name) for name in requests), deadline, gone)

    def _request_of(self, name: FrameName) -> str | None:
        """Return the request of a frame, None if no composite can be made of it: `find` says why."""
        try:
            frame = self.answers.find(name)
            check_suitable(frame, context().settings, color=True)
        except Failure:
            return None
        return frame.text("request_id")

    def find(self, asked: AskedCutout) -> FoundCutout:
        """Return the state of *asked*. Starts its job if there is none.

        Raises `BrokerDown`, `StoreDown` and `OriginPaused`: the request is to be repeated then.
        """
        try:
            wanted = self._request(asked)
            state = _state(wanted)
            is_ready = state["state"] == "ready"
            return FoundCutout({"frame": asked.frame, **state}, wanted.recipe if is_ready else None)
        except (BrokerDown, StoreDown, OriginPaused):
            raise
        except (Busy, ShareExceeded):  # the archive was not asked, the queue is full, or the client has its share
            return FoundCutout({"frame": asked.frame, "state": "waiting"})
        except Failure as failure:
            reason = {"status": failure.status, "detail": shown_detail(failure)}
            return FoundCutout({"frame": asked.frame, "state": "failed", **reason})

    def _request(self, asked: AskedCutout) -> ThumbnailRequest:
        if not asked.options.color:
            return self._select(asked)
        key = asked.frame, asked.options.look, asked.named
        if key not in self._composites:  # to select three of a request's thousands of frames takes its time
            try:
                self._composites[key] = self._select(asked)
            except Failure as failure:
                self._composites[key] = failure
        selected = self._composites[key]
        if isinstance(selected, Failure):
            raise selected
        return selected.with_options(asked.options)

    def _select(self, asked: AskedCutout) -> ThumbnailRequest:
        frame = self.answers.find(asked.frame)
        return ThumbnailRequest.of_record(frame, asked.options, asked.named, self.authorization, self.answers)


def _state(wanted: ThumbnailRequest) -> dict[str, Any]:
    """Return the state of an item. Also a client with its share of the queue joins the jobs that there are."""
    context().denier.check(wanted.recipe)
    if context().store.find(wanted.recipe) is not None:
        return {"state": "ready", **wanted.as_json()}
    return {"state": "queued", "job": wanted.start().recipe.key}


@cutouts.post("/cutouts")
def many() -> Response:
    """Return the state of each cutout, and start what is not there. With `Accept: application/x-tar`, a tar of all."""
    asked = _read()
    authorization, gone = authorization_for_archive(), disconnect_check(request)
    with context().waiting_places.hold(limited_client(), LOOKUP_SECONDS):
        states = CutoutStates(authorization, ArchiveAnswers(context().archive, authorization))
        states.ask_archive(asked, gone)
        if gone():
            raise StillWorking("the client has left: nothing was queued")
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
    """Return 202 with all states while some are not ready; then 200, and a tar or zip if the client asked for one."""
    counts = {name: sum(each.state["state"] == name for each in found) for name in STATES}
    answer = {**counts, "cutouts": [each.state for each in found]}
    is_complete = not counts["queued"] + counts["waiting"]
    wanted = request.accept_mimetypes.best_match(["application/json", *ARCHIVES])
    if is_complete and wanted in ARCHIVES:
        made = [(number, each.recipe) for number, each in enumerate(found) if each.recipe is not None]
        name, pack = ARCHIVES[wanted]
        response = Response(pack(members_of(made, answer, context().store)), mimetype=wanted)
        response.headers.set("Content-Disposition", "attachment", filename=name)
        return response
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
    asked = [_read_item(number, item, shared) for number, item in enumerate(items)]
    if len({name for each in asked for name in each.frames}) > FRAMES_MAX:
        raise BadRecipe(f"the cutouts name more than {FRAMES_MAX:,} frames: send some of them afterwards")
    return asked


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
    options, named = read_options(given)
    if options.cutout is None:
        raise BadRecipe("the position is missing: it may be ra and dec, or x and y, with size")
    return AskedCutout(frame, options, named)
