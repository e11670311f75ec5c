"""A worker's lease on a running job: renewed while the worker lives, and once more before a derivative is published."""

from __future__ import annotations

import logging
import random
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from redis import RedisError

from mezcal.errors import ORIGIN_AWAY, OriginKeyRefused, StoreDown, Superseded, TimedOut
from mezcal.jobs.outages import persist, raises_broker_down
from mezcal.jobs.state.keys import Lane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mezcal.errors import Failure
    from mezcal.jobs.state.records import Claim
    from mezcal.jobs.state.table import JobTable

log = logging.getLogger(__name__)

BACK_OFF_MAX = 4 * 3600.0  # seconds
OUTAGE_BACK_OFF_MAX = 40.0  # seconds, where mezcal's own parts failed, and an attempt costs little
POLL_SECONDS = 0.2
TIME_TO_STORE = 0.1  # of the job's time limit is left for the last attempt to store
CONFIRMED_SECONDS = 0.5  # a lease that was confirmed in them is not asked for once more before it is needed
LOST = "the job was forgotten or given to another worker"


class Lease:
    """The lease on one claimed job. *on_renewal* is called with each renewal, if it is set.

    The job's time limit counts from *began*, when its task did (on the monotonic clock); by default from now on.
    """

    def __init__(self, table: JobTable, claim: Claim, began: float | None = None) -> None:
        self.claim = claim
        self.on_renewal: Callable[[], None] | None = None
        self._table = table
        self._released = threading.Event()
        self._lost = False
        self._confirmed = time.monotonic()
        self._time_limit_at = (time.monotonic() if began is None else began) + table.policy.time_limit

    @contextmanager
    def kept(self) -> Iterator[Lease]:
        """Renew the lease from a thread until the block ends."""
        thread = threading.Thread(target=self._renew_periodically, name="lease", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._released.set()
            thread.join()

    def _renew_periodically(self) -> None:
        while not self._lost and not self._released.wait(self._table.policy.lease / 3):
            on_renewal = self.on_renewal
            try:
                asked = time.monotonic()
                self._lost = not self._table.renew(self.claim)
                self._confirmed = asked
                if on_renewal is not None:
                    on_renewal()
            except (RedisError, MemoryError) as error:  # the job may have used up the memory of its process
                log.warning("the lease on %s could not be renewed: %s", self.claim.key, error)

    def abandon_if_lost(self) -> None:
        """Raise `Superseded` if the last renewal was refused, `TimedOut` if the job took longer than its time limit.

        It makes no request, so call it often.
        """
        if self._lost:
            raise Superseded(LOST)
        if time.monotonic() > self._time_limit_at:
            raise TimedOut(f"it took longer than {self._table.policy.time_limit:g} s")

    def wait(self, seconds: float) -> bool:
        """Wait for *seconds*, while the store fails. Returns False if the job's time limit is too near for that.

        Raises `Superseded` as soon as it is known that the lease is lost.
        """
        ends = time.monotonic() + seconds
        if ends > self._time_limit_at - self._table.policy.time_limit * TIME_TO_STORE:
            return False
        while (left := ends - time.monotonic()) > 0:
            self.abandon_if_lost()
            time.sleep(min(left, POLL_SECONDS))
        return True

    def renew_or_raise(self) -> None:
        """Renew the lease at once, before a derivative is published.

        Raises `Superseded` if the lease is lost, `BrokerDown` if Redis cannot be reached now.
        """
        with raises_broker_down():
            self._renew()

    def await_confirmation(self) -> None:
        """Wait until Redis confirms the lease, unless it did so a moment ago. Raises `Superseded` if it is lost."""
        if time.monotonic() - self._confirmed > CONFIRMED_SECONDS:
            persist(self._renew)

    def _renew(self) -> None:
        asked = time.monotonic()
        if not self._table.renew(self.claim):
            raise Superseded(LOST)
        self._confirmed = asked

    def finish(self) -> None:
        """Record that the derivative is stored."""
        persist(lambda: self._table.finish(self.claim))

    def delay(self, seconds: float) -> None:
        """Delay the job for *seconds*. The attempt is not counted, because nothing was tried."""
        persist(lambda: self._table.delay(self.claim, seconds))

    def fail(self, failure: Failure) -> float | None:
        """Record *failure*. A bulk job is delayed if the failure may pass, because no client would ask for it again.

        A remake is delayed as often as needed: otherwise the outdated derivative would be served for ever. It is also
        delayed while the origin denies its master, sends a page for signing in, or the like. So is every bulk job if
        mezcal's own parts failed. A job that shared its time limit with others is made alone next.
        Returns the seconds until the next attempt, None if this was the last.
        """
        policy, claim = self._table.policy, self.claim
        if claim.is_companion and isinstance(failure, TimedOut):
            persist(lambda: self._table.make_alone(claim))
            return 0.0
        attempts_left = claim.remake or failure.blameless or claim.attempt < policy.max_attempts
        may_pass = failure.retryable or (claim.remake and isinstance(failure, ORIGIN_AWAY))
        if may_pass and attempts_left and claim.lane is Lane.BULK:
            seconds = back_off(claim.attempt + claim.uncounted, policy.retry, _longest_pause(failure))
            persist(lambda: self._table.delay_after(claim, failure, seconds))
            return seconds
        persist(lambda: self._table.fail(self.claim, failure))
        return None


def _longest_pause(failure: Failure) -> float:
    """Return the most seconds between two attempts that end with *failure*.

    They grow where each attempt reads the master in vain, as on a full disk, or is refused: the origin must not suffer
    for it. When it accepts the key again, the chore that probes it notices.
    """
    refused = isinstance(failure, OriginKeyRefused)
    in_vain = refused or (isinstance(failure, StoreDown) and failure.after_reading and not failure.may_pass)
    return OUTAGE_BACK_OFF_MAX if failure.blameless and not in_vain else BACK_OFF_MAX


def back_off(attempt: int, first: float, most: float = BACK_OFF_MAX) -> float:
    """Return the seconds until the next attempt: *first*, doubled each time, times a random factor of 0.5 to 1.5.

    They grow to *most* at most, times that factor.
    """
    return min(first * 2.0 ** min(attempt - 1, 30), most) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
