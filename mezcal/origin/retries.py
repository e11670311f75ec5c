"""How often, and for how long, one master is asked for."""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from mezcal.errors import OriginTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.errors import Failure
    from mezcal.settings import Settings

T = TypeVar("T")
FIRST_PAUSE = 0.2  # seconds, doubled with every try; a repository that restarts behind a proxy is back in one
LONGEST_PAUSE = 20.0  # a worker that sleeps longer than its askers wait serves nobody: fail and be asked again

logger = logging.getLogger(__name__)


class Again(Exception):
    """A try failed in a way that the next one may not; *after* is the origin's own wish, in seconds."""

    def __init__(self, failure: Failure, after: float | None = None) -> None:
        super().__init__(failure.detail)
        self.failure = failure
        self.after = after


class Retries:
    """The patience for one master: ORIGIN_RETRIES over all its requests, ORIGIN_TOTAL_TIMEOUT in all."""

    def __init__(self, settings: Settings) -> None:
        self._left = settings.origin_retries
        self._pause = FIRST_PAUSE
        self._total = settings.origin_total_timeout
        self.deadline = time.monotonic() + self._total
        self.cancelled = threading.Event()

    def persist(self, attempt: Callable[[], T]) -> T:
        """What *attempt* returns, called again as long as it raises `Again` and there is patience left."""
        while True:
            try:
                return attempt()
            except Again as again:
                self._wait(again)

    def _wait(self, again: Again) -> None:
        pause = again.after if again.after is not None else self._pause * random.uniform(0.5, 1)  # noqa: S311 - jitter
        late = time.monotonic() + pause >= self.deadline
        if self._left == 0 or late or pause > LONGEST_PAUSE:
            raise again.failure
        self._left -= 1
        self._pause *= 2
        logger.info("asking the origin again in %.2f s: %s", pause, again.failure.detail)
        if self.cancelled.wait(pause):
            raise again.failure

    def time_left(self) -> float:
        """Seconds until the total time-out; `OriginTimeout` when there are none."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise self.too_late()
        return left

    def too_late(self) -> OriginTimeout:
        """The failure of a master that took longer than ORIGIN_TOTAL_TIMEOUT."""
        return OriginTimeout(f"the master did not arrive within {self._total:g} s")
