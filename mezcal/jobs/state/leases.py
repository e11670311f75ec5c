"""A worker's hold on a running job: renewed while the worker lives, checked before anything is published."""

from __future__ import annotations

import logging
import random
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from redis import RedisError

from mezcal.errors import Superseded, TimedOut
from mezcal.jobs.state.keys import Lane
from mezcal.jobs.state.outages import persist

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mezcal.errors import Failure
    from mezcal.jobs.state.records import Claim
    from mezcal.jobs.state.table import JobTable

log = logging.getLogger(__name__)

SUPERSEDED = "the job was forgotten or given to another worker"


class Lease:
    """The lease on one claimed job; *beside* is renewed with it, where something else hangs on it."""

    def __init__(self, table: JobTable, claim: Claim) -> None:
        self.claim = claim
        self.beside: Callable[[], None] | None = None
        self._table = table
        self._over = threading.Event()
        self._lost = False
        self._ends = time.monotonic() + table.terms.time_limit

    @contextmanager
    def kept(self) -> Iterator[Lease]:
        """Renew the lease from a thread until the block ends."""
        keeper = threading.Thread(target=self._keep, name="lease", daemon=True)
        keeper.start()
        try:
            yield self
        finally:
            self._over.set()
            keeper.join()

    def _keep(self) -> None:
        while not self._lost and not self._over.wait(self._table.terms.lease / 3):
            beside = self.beside
            try:
                self._lost = not self._table.renew(self.claim)
                if beside is not None:
                    beside()
            except RedisError as error:
                log.warning("the lease on %s could not be renewed: %s", self.claim.key, error)

    def abandon_if_lost(self) -> None:
        """Raise `Superseded` where the last renewal was refused, `TimedOut` where the job has had its time.

        It asks nobody, so call it often.
        """
        if self._lost:
            raise Superseded(SUPERSEDED)
        if time.monotonic() > self._ends:
            raise TimedOut(f"it took longer than {self._table.terms.time_limit:g} s")

    def check(self) -> None:
        """Raise `Superseded` unless the job is still ours at this moment."""
        if not persist(lambda: self._table.renew(self.claim)):
            raise Superseded(SUPERSEDED)

    def finish(self) -> None:
        """Report the derivative as stored."""
        persist(lambda: self._table.finish(self.claim))

    def defer(self, seconds: float) -> None:
        """Give the job back for *seconds*: nothing was tried."""
        persist(lambda: self._table.defer(self.claim, seconds))

    def fail(self, failure: Failure) -> float | None:
        """Report *failure*; one that may pass puts a bulk job off, for nobody would ask for it again.

        The seconds until it is tried again, None where this was the end.
        """
        again = self.claim.attempt < self._table.terms.max_attempts
        if failure.retryable and again and self.claim.lane is Lane.BULK:
            seconds = back_off(self.claim.attempt, self._table.terms.retry)
            persist(lambda: self._table.put_off(self.claim, failure, seconds))
            return seconds
        persist(lambda: self._table.fail(self.claim, failure))
        return None


def back_off(attempt: int, first: float) -> float:
    """Seconds from the *attempt*th failure to the next try: *first*, doubled each time, a half more or less."""
    return first * 2.0 ** (attempt - 1) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
