"""The contract between those who ask for derivatives and those who make them."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redis import RedisError

from mezcal.errors import BrokerDown, Busy, Failure, StillWorking
from mezcal.jobs.bulk.batches import KNOWN_SECONDS, Batch, Batches, Posted
from mezcal.jobs.bulk.chunks import Chunks
from mezcal.jobs.origin_guard import OriginGuard, resting
from mezcal.jobs.state import pages
from mezcal.jobs.state.keys import JobState, Keys, Lane
from mezcal.jobs.state.records import Claim, JobPolicy, Message, Record, failure_of
from mezcal.jobs.state.table import JobTable
from mezcal.jobs.transport.celery_pipe import ASKER_SECONDS, MAKE, SPREAD, CeleryPipe, celery_app, connect
from mezcal.jobs.transport.listener import Listener
from mezcal.recipe import from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mezcal.recipe import Mezzanine, Recipe
    from mezcal.settings import Settings

__all__ = [
    "MAKE",
    "SPREAD",
    "Batch",
    "Batches",
    "Chunks",
    "Claim",
    "Job",
    "JobPolicy",
    "JobState",
    "JobTable",
    "Jobs",
    "Keys",
    "Lane",
    "Message",
    "OriginGuard",
    "Posted",
    "Record",
]


TICKET_SECONDS = 47 * 3600  # the archive signs for 48 hours
SPREAD_AT_ONCE = 20  # chunks whose message is sent at once; the others' turn comes as the lane has room


class Jobs:
    """What an asker needs: start or join a job, wait for it, look at it, forget it."""

    def __init__(self, table: JobTable, pipe: CeleryPipe, listener: Listener) -> None:
        self.table = table
        self.pipe = pipe
        self.listener = listener
        self.chunks = Chunks(table.redis, table.keys)
        self.batches = Batches(table, self.chunks)
        self.gate = OriginGuard(table)

    @classmethod
    def of(cls, settings: Settings) -> Jobs:
        """The jobs of the installation that *settings* describe; connects when first used."""
        table = JobTable(connect(settings), Keys(settings.key_prefix), JobPolicy.of(settings))
        pipe = CeleryPipe(celery_app(settings, ASKER_SECONDS))
        return cls(table, pipe, Listener(table, settings.waiters_max))

    def ask(self, recipe: Recipe, lane: Lane = Lane.INTERACTIVE) -> Job:
        """Start *recipe*'s job or join it; raises the failure it is remembered to have ended in."""
        with _reached("the queue cannot be reached, and the derivative is not cached"):
            verdict, told = self.table.ensure(recipe, lane)
        if verdict == "failed":
            raise _of_job(failure_of(told), recipe)
        if verdict == "resting":
            raise resting(int(told or 0) / 1000)
        if verdict == "full":
            raise Busy(f"{self.table.terms.queue_max:,} jobs are queued already")
        if verdict == "publish":
            self.pipe.send(recipe.as_json(), lane, recipe.label)
        return Job(self, recipe, joined=verdict == "joined")

    def hand_over(self, recipe: Recipe, ticket: Mapping[str, str]) -> None:
        """Leave the signed URLs by which a worker may fetch *recipe*'s frames, by frame id; before it is asked for.

        They are in no message, log or job record, and gone after `TICKET_SECONDS`.
        """
        with _reached("the queue cannot be reached, and the derivative is not cached"):
            self.table.redis.set(self.table.keys.ticket(recipe.key), json.dumps(ticket), ex=TICKET_SECONDS)

    def forget(self, recipe: Recipe) -> None:
        """Drop *recipe*'s job and its remembered failure; one that runs will publish nothing."""
        with _reached("the queue cannot be reached, so a running job could not be stopped"):
            self.table.forget(recipe.key)

    def pages(self, recipe: Mezzanine) -> list[Mezzanine]:
        """The mezzanines of single pages of *recipe*'s master that somebody asked for within a year."""
        with _reached("the queue cannot be reached"):
            return pages.known([recipe], self.table.keys, self.table.redis)[0]

    def changed(self, recipe: Recipe, lane: Lane = Lane.BULK) -> None:
        """Have *recipe* made anew from its changed master; the old derivative is served until then.

        Whatever runs for it is fenced off, so what is stored in the end is no older than this call.
        """
        with _reached("the queue cannot be reached, so the change is not noted"):
            verdict, lane = self.table.change(recipe, lane)
        if verdict == "full":
            raise Busy(f"{self.table.terms.queue_max:,} jobs are queued already")
        if verdict == "publish":
            self.pipe.send(recipe.as_json(), lane, recipe.label)

    def spread(self, recipes: Iterable[Recipe], *, changed: bool = False) -> int:
        """Have *recipes* made in bulk, *changed* or new; how many. Workers queue them as the bulk lane has room."""
        kind = "changed" if changed else "wanted"
        return self.post((kind, "recipe", recipe.as_json()) for recipe in recipes).items

    def post(self, items: Iterable[Any], delivery: str | None = None, seconds: int = KNOWN_SECONDS) -> Posted:
        """Leave *items* (`events.Event`) for the workers, as a batch; those of one *delivery* once in *seconds*."""
        with _reached("the queue cannot be reached, so nothing was noted"):
            posted = self.batches.post(items, delivery, seconds)
        with suppress(BrokerDown):  # it is noted: the workers look for chunks whose messages are missing
            self.pipe.spread_all(posted.chunks[:SPREAD_AT_ONCE])
        return posted

    def retry(self, key: str, lane: Lane = Lane.BULK) -> bool:
        """Try a failed, quarantined or put-off job again; False where there is none."""
        with _reached("the queue cannot be reached"):
            message = self.table.retry(key, lane)
        if message is not None:
            self.pipe.send(message.recipe, message.lane, from_json(message.recipe).label)
        return message is not None

    def forget_failure(self, key: str) -> bool:
        """Forget a failed or quarantined job, so that the next asker starts it anew; False where there is none."""
        with _reached("the queue cannot be reached"):
            record = self.table.read(key)
            failed = record is not None and record.state in {JobState.FAILED, JobState.QUARANTINED}
            return failed and self.table.forget(key)

    def failures(self, most: int = 100) -> list[Record]:
        """Failed and quarantined jobs, those remembered longest first."""
        with _reached("the queue cannot be reached"):
            return self.table.failures(most)


@contextmanager
def _reached(what: str) -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise BrokerDown(what) from error


def _of_job(failure: Failure | None, recipe: Recipe) -> Failure:
    failure = failure or Failure("the job failed without a reason")
    failure.job = recipe.key
    return failure


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Job:
    """The making of one recipe, as its asker sees it."""

    jobs: Jobs
    recipe: Recipe
    joined: bool

    def wait(self, seconds: float, gone: Callable[[], bool] = _never) -> None:
        """Return when the derivative is made; raise the job's failure, or `StillWorking` after *seconds*.

        Redis may come and go meanwhile. *gone* says that nobody waits any more: the place is given up, the
        job goes on.
        """
        deadline = time.monotonic() + seconds
        with self.jobs.listener.waiting(self.recipe.key, gone) as waiter:
            while not self._settled():
                if not waiter.sleep(deadline):
                    raise _of_job(StillWorking("the derivative is being made: ask again soon"), self.recipe)

    def _settled(self) -> bool:
        """Whether the derivative is made. A job that was forgotten meanwhile is asked for anew."""
        try:
            record = self.jobs.table.read(self.recipe.key)
            if record is None:
                self.jobs.ask(self.recipe)
                return False
        except (RedisError, BrokerDown):
            return False
        if record.state in {JobState.FAILED, JobState.QUARANTINED}:
            raise _of_job(record.failure, self.recipe)
        return record.state is JobState.DONE
