"""The contract between those who ask for derivatives and those who make them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis import RedisError

from mezcal.errors import BrokerDown, Busy, Failure, StillWorking
from mezcal.jobs.broker import ASKER_SECONDS, MAKE, Pipe, celery_app, connect
from mezcal.jobs.keys import Keys, Lane, State
from mezcal.jobs.listener import Listener
from mezcal.jobs.table import Claim, Record, Table, Terms

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.recipe import Recipe
    from mezcal.settings import Settings

__all__ = ["MAKE", "Claim", "Job", "Jobs", "Keys", "Lane", "Record", "State", "Table", "Terms"]


class Jobs:
    """What an asker needs: start or join a job, wait for it, look at it, forget it."""

    def __init__(self, table: Table, pipe: Pipe, listener: Listener) -> None:
        self.table = table
        self.pipe = pipe
        self.listener = listener

    @classmethod
    def of(cls, settings: Settings) -> Jobs:
        """The jobs of the installation that *settings* describe; connects when first used."""
        table = Table(connect(settings), Keys(settings.key_prefix), Terms.of(settings))
        pipe = Pipe(celery_app(settings, ASKER_SECONDS))
        return cls(table, pipe, Listener(table, settings.waiters_max))

    def ask(self, recipe: Recipe, lane: Lane = Lane.INTERACTIVE) -> Job:
        """Start *recipe*'s job or join it; raises the failure it is remembered to have ended in."""
        try:
            verdict, failure = self.table.ensure(recipe, lane)
        except RedisError as error:
            raise BrokerDown("the queue cannot be reached, and the derivative is not cached") from error
        if failure is not None:
            raise _of_job(failure, recipe)
        if verdict == "full":
            raise Busy(f"{self.table.terms.queue_max:,} jobs are queued already")
        if verdict == "publish":
            self.pipe.send(recipe.as_json(), lane, recipe.label)
        return Job(self, recipe, joined=verdict == "joined")

    def forget(self, recipe: Recipe) -> None:
        """Drop *recipe*'s job and its remembered failure; one that runs will publish nothing."""
        try:
            self.table.forget(recipe.key)
        except RedisError as error:
            raise BrokerDown("the queue cannot be reached, so a running job could not be stopped") from error


def _of_job(failure: Failure, recipe: Recipe) -> Failure:
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
                if not waiter.wait(deadline - time.monotonic()):
                    raise _of_job(StillWorking("the derivative is being made: ask again soon"), self.recipe)
                if waiter.left:
                    raise StillWorking("the client has left")

    def _settled(self) -> bool:
        """Whether the derivative is made. A job that was forgotten meanwhile is asked for anew."""
        try:
            record = self.jobs.table.read(self.recipe.key)
            if record is None:
                self.jobs.ask(self.recipe)
                return False
        except (RedisError, BrokerDown):
            return False
        if record.state in {State.FAILED, State.QUARANTINED}:
            raise _of_job(record.failure or Failure("the job failed without a reason"), self.recipe)
        return record.state is State.DONE
