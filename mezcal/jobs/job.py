"""One job as the request that waits for it sees it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mezcal.errors import BrokerDown, Failure, StillWorking
from mezcal.jobs.state.keys import JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mezcal.jobs.facade import Jobs
    from mezcal.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Job:
    """The making of one recipe; *joined* if another request had started it.

    *urls* and *client* are those of `Jobs.ask`.
    """

    jobs: Jobs
    recipe: Recipe
    joined: bool
    urls: Mapping[str, str] | None = field(default=None, repr=False)
    client: str = ""

    def wait(self, seconds: float, gone: Callable[[], bool]) -> None:
        """Return when the derivative is made. Raises the job's failure, or `StillWorking` after *seconds*.

        Redis may come and go meanwhile. *gone* returns True when the client has left: the wait ends then, the
        job continues.
        """
        deadline = time.monotonic() + seconds
        with self.jobs.listener.waiting(self.recipe.key, gone) as waiter:
            while not self._is_done():
                if not waiter.sleep(deadline):
                    raise of_job(StillWorking("the derivative is being made: ask again soon"), self.recipe)

    def _is_done(self) -> bool:
        """Return True if the derivative is made. A job that was forgotten meanwhile is started again."""
        try:
            record = self.jobs.read(self.recipe.key)
            if record is None:
                self.jobs.ask(self.recipe, urls=self.urls, client=self.client)
                return False
        except BrokerDown:
            return False
        if record.state in {JobState.FAILED, JobState.QUARANTINED}:
            raise of_job(record.failure, self.recipe)
        return record.state is JobState.DONE


def of_job(failure: Failure | None, recipe: Recipe) -> Failure:
    """Return *failure* with the key of *recipe*'s job in it."""
    failure = failure or Failure("the job failed without a reason")
    failure.job = recipe.key
    return failure
