"""How often, and for how long, one master is requested."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, TypeVar, cast

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random

from mezcal.errors import OriginFailed, OriginTimeout
from mezcal.http import Deadline, DeadlineExceeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.errors import Failure

T = TypeVar("T")
FIRST_PAUSE = 0.2  # seconds, doubled with each retry: a repository that restarts behind a proxy is soon back
LONGEST_PAUSE = 20.0  # seconds: clients do not wait longer, so the job fails now and a later request starts it again

logger = logging.getLogger(__name__)


class TransientFailure(Exception):
    """A request failed with *failure*, and the next attempt may succeed.

    *retry_after* is the pause in seconds that the origin asked for, None if it asked for none.
    """

    def __init__(self, failure: Failure, retry_after: float | None = None) -> None:
        super().__init__(failure.detail)
        self.failure = failure
        self.retry_after = retry_after


class RetryBudget:
    """The retries and the seconds allowed for one master, over all the requests that are made for it.

    Unless *repeats_timeouts*, a request whose answer did not begin in time is not repeated. Set `cancelled` to end a
    pause early; the request is not repeated then.
    """

    def __init__(self, retries: int, total_timeout: float, *, repeats_timeouts: bool = True) -> None:
        self.repeats_timeouts = repeats_timeouts
        self._retries_left = retries
        self._next_pause = FIRST_PAUSE
        self.deadline = Deadline.after(total_timeout)
        self.cancelled = threading.Event()

    def run(self, attempt: Callable[[], T]) -> T:
        """Call *attempt* until it raises no `TransientFailure` and return its result.

        Raises the `Failure` of the last attempt when no retry or no time is left, or when the origin asks for a
        pause that is too long.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(TransientFailure),
            wait=self._pause,
            stop=self._is_exhausted,
            before_sleep=self._use_retry,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except TransientFailure as transient:
            raise transient.failure from transient

    def time_left(self) -> float:
        """Return the seconds until ORIGIN_TOTAL_TIMEOUT. Raises `OriginTimeout` if there are none."""
        try:
            return self.deadline.remaining()
        except DeadlineExceeded:
            raise self.too_slow() from None

    def too_slow(self) -> OriginTimeout:
        """Return the failure of a master that took longer than ORIGIN_TOTAL_TIMEOUT."""
        return OriginTimeout(f"the master did not arrive within {self.deadline.seconds:g} s")

    def _pause(self, state: RetryCallState) -> float:
        retry_after = _failure_of(state).retry_after
        if retry_after is not None:
            return retry_after
        return wait_random(self._next_pause / 2, self._next_pause)(state)

    def _is_exhausted(self, state: RetryCallState) -> bool:
        pause = state.upcoming_sleep
        late = time.monotonic() + pause >= self.deadline.at
        return self._retries_left == 0 or late or pause > LONGEST_PAUSE

    def _use_retry(self, state: RetryCallState) -> None:
        self._retries_left -= 1
        self._next_pause *= 2
        logger.info("retrying the origin in %.2f s: %s", state.upcoming_sleep, _failure_of(state))

    def _sleep(self, seconds: float) -> None:
        if self.cancelled.wait(seconds):
            raise OriginFailed("the master is no longer needed")


def _failure_of(state: RetryCallState) -> TransientFailure:
    outcome = state.outcome
    return cast("TransientFailure", outcome.exception() if outcome is not None else None)
