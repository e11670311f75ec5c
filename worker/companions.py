"""Several jobs from one download: docs/decisions/one-download.md."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from redis import RedisError

from mezcal.errors import BrokerDown
from mezcal.jobs import Lane
from mezcal.origin.kept_masters import KeptMasters
from mezcal.runtime.memory_wall import resident_bytes
from worker.app import app, context
from worker.stop_flag import is_stopping

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from mezcal.jobs import Claim

# The companions of one job at most. Celery replaces a process after so many tasks: it must not make jobs without end.
COMPANIONS_MAX = 100

log = logging.getLogger(__name__)


class JobChain:
    """The jobs of one task, whose message has the id *message*: *first* and its companions.

    Companions are queued jobs that are made from the same masters, which stay open until the chain ends.
    """

    def __init__(self, first: Claim, message: str) -> None:
        self.masters = KeptMasters(context().origin_of(first), keep=bool(first.source))
        self.began = time.monotonic()
        self._last, self._message = first, message

    def companions(self) -> Iterator[Claim]:
        """Claim one companion after the other, `COMPANIONS_MAX` at most, as long as the masters are open.

        There are none once the worker stops, or this process holds so much memory that Celery replaces it after the
        task.
        """
        for _ in range(COMPANIONS_MAX):
            if not self.masters.any_open or is_stopping() or holds_much_memory():
                return
            claim = self._claim_next()
            if claim is None:
                return
            self._last = claim
            yield claim

    def _claim_next(self) -> Claim | None:
        """Returns None also while Redis cannot be reached: the reaper sends the messages of the companions then."""
        table, name, bulk = context().jobs.table, context().name, serves_bulk()
        try:
            return table.begin_companion(self._last, name, self._message, bulk=bulk, arrival=self.masters.arrival)
        except RedisError as error:
            log.warning("the next job of this master is left to another task: %s", error)
            return None

    def __enter__(self) -> JobChain:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the masters, and let go of the jobs that are held back for them."""
        self.masters.close()
        if not self._last.source:
            return
        try:
            context().jobs.pipe.send_all(context().jobs.table.let_go(self._last))
        except (RedisError, BrokerDown) as failure:
            log.warning("the jobs that were held back begin a little later: %s", failure)


def serves_bulk() -> bool:
    """Return True unless this worker keeps its processes for the interactive lane."""
    return str(Lane.BULK) in app.amqp.queues.consume_from


def holds_much_memory() -> bool:
    """Return True if this process holds more memory now than `worker_max_memory_per_child`, if that is set.

    Celery compares the most that it has ever held: one large picture must not cost each of its pages a download.
    """
    most = app.conf.worker_max_memory_per_child  # KiB
    return bool(most) and resident_bytes() > most * 1024
