"""One pass over the events of a chunk: queues jobs, purges deleted masters' derivatives, and records ignored items."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mezcal.derive import recipe_versions
from mezcal.errors import Failure, FrameMissing, FrameUnfit
from mezcal.ingest.events import Event, EventIgnored, EventKind
from mezcal.ingest.events.event import FRAME, FRAME_ID_DIGITS
from mezcal.ingest.frame_lists import FrameNotShown, FrameThumbnails
from mezcal.ingest.purge import others_to_remake, purge
from mezcal.ingest.revalidation import is_outdated
from mezcal.jobs import Note, QueueRequest, QueueResult, Verdict, persist
from mezcal.jobs.bulk.chunks import HELD_SECONDS
from mezcal.origin import MasterStatus
from mezcal.recipe import Mezzanine, profiles_of

if TYPE_CHECKING:
    from mezcal.ingest.events import MasterResolver
    from mezcal.jobs import Jobs
    from mezcal.jobs.bulk.chunks import Chunk
    from mezcal.recipe import Recipe, Thumbnail
    from mezcal.settings import Settings
    from mezcal.store import Store

log = logging.getLogger(__name__)

RUN_SECONDS = HELD_SECONDS * 2 / 3  # the rest of a chunk is left to the next run, before another worker may take it
ANNOUNCED_SECONDS = 600.0  # in which the archive has to show a frame that was announced
REMAKES = {EventKind.CHANGED, EventKind.PERHAPS_CHANGED}
CHANGES = {EventKind.CREATED, *REMAKES}
PAUSE_LEAST, PAUSE_MOST = 2.0, 60.0  # seconds before it is asked again; the pauses grow with the time since then


@dataclass(frozen=True, slots=True)
class FrameItem:
    """An item that names a frame: its thumbnails that are *missing*, of *sizes* altogether."""

    place: int
    missing: list[Thumbnail]
    sizes: int


class ChunkRun:
    """Works through *chunk*. After `run`, *incomplete* says that some items are left to the next run.

    An item is left if the queue is full, if the archive, the store or Redis cannot be reached, if the archive does not
    show an announced frame yet, or if no time is left. *pause* is for how many seconds, None if that is not known.
    """

    def __init__(self, chunk: Chunk, jobs: Jobs, store: Store, masters: MasterResolver, settings: Settings) -> None:
        self.incomplete = False
        self.pause: float | None = None
        self._age: float | None = None
        self._chunk, self._jobs, self._store = chunk, jobs, store
        self._masters = masters
        self._thumbnails = FrameThumbnails(settings, jobs, store)
        self._requests: list[QueueRequest] = []
        self._changed: list[QueueRequest] = []  # those of new or changed masters
        configured = profiles_of(settings)
        self._versions = recipe_versions(settings)
        self._profiles = [configured[name] for name in dict.fromkeys(settings.event_profiles)]
        self._entered: list[tuple[list[QueueRequest], list[QueueResult]]] = []  # whose messages are not sent yet
        self._frames: list[FrameItem] = []
        self._notes: list[Note] = []

    def run(self) -> int:
        """Do what the events ask for. Returns the number of jobs that were queued."""
        chunk, batches = self._chunk, self._jobs.batches
        # Of a batch that is no longer kept no progress is kept: its chunk is done in one run.
        self._age = persist(lambda: batches.age(chunk.batch))
        ends = time.monotonic() + RUN_SECONDS if self._age is not None else math.inf
        is_open = persist(lambda: batches.open_places(chunk.batch, chunk.first, len(chunk.items)))
        for number, item in enumerate(chunk.items):
            if time.monotonic() > ends and self._has_work():
                self.incomplete = True
                break
            if is_open[number]:
                self._take(chunk.first + number, Event(EventKind(item[0]), *item[1:]))
        queued = self._queue_masters() + self._queue_frames()
        persist(lambda: batches.note(chunk.batch, self._notes))
        return queued

    def _has_work(self) -> bool:
        """Returns True if this run settles something. Each run does, so a slow archive cannot stop a chunk for ever."""
        return bool(self._requests or self._frames or self._notes)

    def _take(self, place: int, event: Event) -> None:
        """Do what *event* asks for, or leave it to the next run."""
        try:
            if event.named_by == FRAME:
                self._frame(place, event)
            else:
                self._master(place, event.kind, self._masters.resolve(event))
        except EventIgnored as reason:
            self._notes.append(Note(place, "ignored", _name(event), str(reason)))
        except Failure as failure:
            if failure.retryable:
                log.warning("%s is left to the next run: %s", _name(event), failure.detail)
                self.incomplete = True
            else:
                self._notes.append(Note(place, "failed", _name(event), f"{failure.slug}: {failure.detail}"))

    # --- masters

    def _master(self, place: int, kind: EventKind, recipe: Recipe) -> None:
        if kind is EventKind.DELETED:
            purge(recipe, self._jobs, self._store)
            self._notes.append(Note(place, "deleted"))
            return
        if kind is EventKind.OUTDATED:
            self._remake_outdated(place, recipe)
            return
        changed, remake = kind in CHANGES, kind in REMAKES
        if changed and isinstance(recipe, Mezzanine) and recipe.is_main:
            if kind is EventKind.PERHAPS_CHANGED and self._all_are_made_of_this_master(recipe):
                self._notes.append(Note(place, "repeated"))
                return
            recipe = recipe.in_profile(self._profiles[0])
            self._changed.append(QueueRequest(recipe, changed, remake, place))
        self._requests.append(QueueRequest(recipe, changed, remake, place))

    def _remake_outdated(self, place: int, recipe: Recipe) -> None:
        """Request *recipe* again if it is outdated by the settings of this worker: those of a command may differ."""
        sidecar = self._store.sidecar(recipe)
        if (
            isinstance(recipe, Mezzanine)
            and sidecar
            and not is_outdated(sidecar, self._versions.get(recipe.profile.name))
        ):
            self._notes.append(Note(place, "repeated"))
        else:
            self._requests.append(QueueRequest(recipe, master_changed=True, remake=True, place=place))

    def _all_are_made_of_this_master(self, main: Mezzanine) -> bool:
        """Returns True if all EVENT_PROFILES are stored, and they and the other derivatives are of the origin's master.

        Only a strong entity tag says so. Raises the origin's failure: the item is left to the next run then, or fails.
        """
        wanted = list(map(main.in_profile, self._profiles))
        stored = [self._store.describe(recipe) for recipe in dict.fromkeys([*wanted, main, *self._store.others(main)])]
        if None in stored[: len(wanted)]:
            return False
        sidecars = [described.sidecar for described in stored if described]
        validators = {(sidecar.master_etag or "W/", sidecar.master_last_modified) for sidecar in sidecars if sidecar}
        if None in sidecars or any(etag.startswith("W/") for etag, _ in validators):
            return False
        with self._jobs.origin_guard.watch(main.as_json(), main.key):
            statuses = {self._masters.origin.revalidate(main.path, *each) for each in validators}
        return statuses == {MasterStatus.UNCHANGED}

    def _queue_masters(self) -> int:
        """Queue the masters' jobs, and before them those of the other derivatives of changed masters.

        The item of a master stands for all: it is left to the next run if one of them is refused. The messages are
        sent at the end, because each change closes the open downloads of its master: one serves all that are queued.
        """
        others = self._others()
        refused, queued_others = self._enter([other for _, other in others], "")
        left = {item.place for item, other in others if other.recipe.key in refused}
        requests = [request for request in self._requests if request.place not in left]
        refused_masters, queued = self._enter(requests, self._chunk.batch)
        taken = [other for item, other in others if item.place not in left and item.recipe.key not in refused_masters]
        self._enter(self._more(taken), self._chunk.batch)
        self.incomplete |= bool(refused or refused_masters)
        for entered in (self._entered[1], self._entered[0], self._entered[2]):  # the masters' own are made first
            self._jobs.send(*entered)
        return queued_others + queued

    def _others(self) -> list[tuple[QueueRequest, QueueRequest]]:
        """Returns the requests for the other derivatives of the changed masters, each behind that of its item.

        Those are the other EVENT_PROFILES, and whatever else is stored.
        """
        recipes = [item.recipe for item in self._changed if isinstance(item.recipe, Mezzanine)]
        asked_of_each = persist(lambda: self._jobs.others_of_each(recipes))
        requests = []
        for item, recipe, asked in zip(self._changed, recipes, asked_of_each, strict=True):
            wanted = list(map(recipe.in_profile, self._profiles[1:]))
            others = others_to_remake(recipe, wanted, asked, self._jobs, self._store)
            requests += [(item, item._replace(recipe=other, place=None, counted=False)) for other in others]
        return requests

    def _more(self, others: list[QueueRequest]) -> list[QueueRequest]:
        """Returns the requests that count those of EVENT_PROFILES among *others*, which are queued, as items."""
        recipes = [other.recipe for other in others if isinstance(other.recipe, Mezzanine)]
        named = [recipe for recipe in recipes if recipe.page is None and recipe.profile in self._profiles]
        return [QueueRequest(recipe, more=True) for recipe in named]

    def _enter(self, requests: list[QueueRequest], batch: str) -> tuple[set[str], int]:
        """Do as `_queue` does, but leave the messages for later."""
        results: list[QueueResult] = persist(lambda: self._jobs.enter(requests, batch)) if requests else []
        self._entered.append((requests, results))
        return _refused_and_queued(requests, results)

    # --- frames

    def _frame(self, place: int, event: Event) -> None:
        """Take a frame with all its named sizes.

        The thumbnails of a changed frame have other keys. The archive is asked before any is shown, so those of an old
        or deleted frame are never shown.
        """
        if event.kind is EventKind.DELETED:
            raise EventIgnored("the archive is asked before a thumbnail is shown: none of a deleted frame is shown")
        name, version = _frame_name(event.name)
        announced = None if event.kind is EventKind.WANTED else version
        text = str(name)
        if isinstance(name, bool) or not (text.isascii() and text.isdigit() and len(text) <= FRAME_ID_DIGITS):
            raise EventIgnored("a frame is named by its id, a whole number")
        try:
            missing, sizes = self._thumbnails.missing(int(text), announced)
        except FrameNotShown as reason:
            self._wait_for_frame(place, text, str(reason))
        except FrameUnfit as failure:
            if announced is None:
                raise
            raise EventIgnored(failure.detail) from failure
        else:
            self._frames.append(FrameItem(place, missing, sizes))

    def _wait_for_frame(self, place: int, text: str, reason: str) -> None:
        """Leave a frame to the next run, because archives announce frames a moment before they show them."""
        if self._age is None or self._age > ANNOUNCED_SECONDS:
            detail = f"{reason}, {ANNOUNCED_SECONDS / 60:.0f} minutes after the announcement"
            self._notes.append(Note(place, "failed", text, f"{FrameMissing.slug}: {detail}"))
            return
        self.incomplete = True
        self.pause = min(PAUSE_MOST, max(PAUSE_LEAST, self._age / 3))

    def _queue_frames(self) -> int:
        """Queue the missing thumbnails of each frame, and note the frame.

        In two steps, because the item of a frame is settled once for all its sizes. First all jobs are queued outside
        of the batch: a frame of which one is refused is left to the next run. Then the batch joins the jobs. A job that
        is refused now has ended since the first step.
        """
        missing = [recipe for frame in self._frames for recipe in frame.missing]
        refused, queued = self._queue([QueueRequest(recipe, counted=False) for recipe in missing], "")
        complete = [frame for frame in self._frames if refused.isdisjoint(recipe.key for recipe in frame.missing)]
        self.incomplete |= len(complete) < len(self._frames)
        members = [QueueRequest(recipe) for frame in complete for recipe in frame.missing]
        ended, queued_again = self._queue(members, self._chunk.batch)
        for frame in complete:
            jobs = sum(recipe.key not in ended for recipe in frame.missing)
            self._notes.append(Note(frame.place, "done", ended=frame.sizes - jobs, derivatives=frame.sizes))
        return queued + queued_again

    def _queue(self, requests: list[QueueRequest], batch: str) -> tuple[set[str], int]:
        """Queue *requests*. Returns the keys of those that were refused, and the number of jobs that were queued."""
        results: list[QueueResult] = persist(lambda: self._jobs.queue(requests, batch)) if requests else []
        return _refused_and_queued(requests, results)


def _refused_and_queued(requests: list[QueueRequest], results: list[QueueResult]) -> tuple[set[str], int]:
    pairs = zip(requests, results, strict=True)
    refused = {request.recipe.key for request, result in pairs if result.verdict is Verdict.FULL}
    return refused, sum(result.verdict is Verdict.PUBLISH for result in results)


def _frame_name(name: Any) -> tuple[Any, str]:
    """Returns the id of a frame, and the MD5 of its file, "" if the event has none."""
    match name:
        case [number, str(version)]:
            return number, version
    return name, ""


def _name(event: Event) -> str:
    if event.named_by == FRAME:
        return str(_frame_name(event.name)[0])
    return "/".join(map(str, event.name)) if isinstance(event.name, list) else str(event.name)
