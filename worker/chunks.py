"""Takes chunks of bulk requests up: queues jobs, purges what was deleted, and notes what is none of ours."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Any

from mezcal.errors import BrokerDown, Failure
from mezcal.ingest.events import Event, Ignored, Kind
from mezcal.ingest.events.event import FRAME
from mezcal.ingest.frame_lists import Warming
from mezcal.ingest.purge import pages_to_renew, purge
from mezcal.jobs import Lane, Note
from mezcal.jobs.bulk.chunks import HELD_SECONDS
from mezcal.jobs.state.outages import persist
from mezcal.jobs.state.records import QueueRequest, Verdict
from mezcal.jobs.transport.celery_pipe import CHORE_SECONDS, SPREAD
from mezcal.recipe import Mezzanine
from worker.app import app, context

if TYPE_CHECKING:
    from mezcal.jobs.bulk.chunks import Chunk
    from mezcal.recipe import Recipe

log = logging.getLogger(__name__)

TURN_SECONDS = HELD_SECONDS * 2 / 3  # then the rest of a chunk is left for another turn: nobody else shall take it up


@app.task(name=SPREAD, time_limit=CHORE_SECONDS)
def spread(name: str) -> int:
    """Do what the events of one chunk ask for; how many jobs were queued that were not yet.

    What cannot be done now, with the queue full or the archive or the store away, or for want of time, is left for
    the chunk's next turn: what was done is in the batch's bits by then, or does no harm twice.
    """
    ctx = context()
    chunk = persist(lambda: ctx.jobs.chunks.take(name))
    if chunk is None:
        return 0
    turn, first = ChunkRun(chunk), chunk.first
    open_places = persist(lambda: ctx.jobs.batches.open_places(chunk.batch, first, len(chunk.items)))
    for place, item in enumerate(chunk.items):
        if turn.over():
            break
        if open_places[place]:
            turn.take_up(first + place, Event(Kind(item[0]), *item[1:]))
    queued = turn.finish()
    if not turn.left:
        persist(lambda: ctx.jobs.chunks.done(name))
    return queued


class ChunkRun:
    """One pass over a chunk's events: *left* says that some could not be settled."""

    def __init__(self, chunk: Chunk) -> None:
        self.left = False
        self._chunk = chunk
        self._ctx = context()
        # of a batch that nobody knows any more no bits are set: its chunk is done in one turn or in none
        known = persist(lambda: self._ctx.jobs.batches.known(chunk.batch))
        self._ends = time.monotonic() + TURN_SECONDS if known else math.inf
        self._orders: list[QueueRequest] = []
        self._masters: list[Mezzanine] = []  # new or changed ones
        self._notes: list[Note] = []

    def over(self) -> bool:
        """Whether it has had its time, and settled anything in it: what has to wait holds up nobody for ever."""
        over = time.monotonic() > self._ends and bool(self._orders or self._notes)
        self.left |= over
        return over

    def take_up(self, place: int, event: Event) -> None:
        """Do what *event* asks for, or leave it."""
        try:
            if event.by == FRAME:
                self._frame(place, event)
            else:
                self._master(place, event.kind, self._ctx.masters.recipe(event))
        except Ignored as reason:
            self._notes.append(Note(place, "ignored", _about(event), str(reason)))
        except Failure as failure:
            if failure.retryable:
                log.warning("%s has to wait: %s", _about(event), failure.detail)
                self.left = True
            else:
                self._notes.append(Note(place, "failed", _about(event), f"{failure.slug}: {failure.detail}"))

    def finish(self) -> int:
        """Queue what is to be made, and note the rest; how many jobs were queued."""
        jobs, batch = self._ctx.jobs, self._chunk.batch
        self._renew_pages()
        orders = self._orders
        results = persist(lambda: jobs.table.queue(orders, Lane.BULK, batch))
        self.left |= any(result.verdict is Verdict.FULL for result in results)
        wanted: dict[Lane, list[dict[str, Any]]] = {lane: [] for lane in Lane}
        for order, result in zip(orders, results, strict=True):
            if result.verdict is Verdict.PUBLISH:
                wanted[result.lane].append(order.recipe.as_json())
        try:
            for lane, recipes in wanted.items():
                jobs.pipe.send_all(recipes, lane)
        except BrokerDown as error:  # the reaper sends what was not
            log.warning("some messages are sent later: %s", error)
        persist(lambda: jobs.batches.note(batch, self._notes))
        return sum(map(len, wanted.values()))

    def _master(self, place: int, kind: Kind, recipe: Recipe) -> None:
        if kind is Kind.DELETED:
            purge(recipe, self._ctx.jobs, self._ctx.store)
            self._notes.append(Note(place, "deleted"))
            return
        fresh = kind is not Kind.WANTED
        self._orders.append(QueueRequest(recipe, fresh, kind is Kind.CHANGED, place))
        if fresh and isinstance(recipe, Mezzanine) and recipe.page is None:
            self._masters.append(recipe)

    def _renew_pages(self) -> None:
        """Order the stored pages of all masters of this turn; if the store or Redis
        is away now, the whole turn is to be taken again.
        """
        jobs, store = self._ctx.jobs, self._ctx.store
        asked_for = persist(lambda: jobs.pages_of_each(self._masters))
        for master, asked in zip(self._masters, asked_for, strict=True):
            stored = pages_to_renew(master, asked, jobs, store)
            self._orders += [QueueRequest(page, master_changed=True, remake=True, counted=False) for page in stored]

    def _frame(self, place: int, event: Event) -> None:
        """A frame's named sizes. A changed frame has other keys, so what was made of the old one is shown to nobody;
        neither is what was made of a deleted one, for the archive is asked first each time.
        """
        if event.kind is Kind.DELETED:
            raise Ignored("the archive is asked before a thumbnail is shown: nothing of a deleted frame is")
        text = str(event.name)
        if isinstance(event.name, bool) or not (text.isascii() and text.isdigit() and 0 < len(text) < 19):
            raise Ignored("a frame is named by its id, a whole number")
        ctx = self._ctx
        missing, sizes = Warming(ctx.settings, ctx.jobs, ctx.store).missing(int(text))
        self._orders += [QueueRequest(recipe) for recipe in missing]
        self._notes.append(Note(place, "done", ended=sizes - len(missing), derivatives=sizes))


def _about(event: Event) -> str:
    return "/".join(map(str, event.name)) if isinstance(event.name, list) else str(event.name)
