"""Several jobs from one download: docs/decisions/one-download.md."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from redis import RedisError

from mezcal.errors import BrokerDown
from mezcal.jobs import Lane
from mezcal.origin.kept_masters import KeptMasters
from mezcal.recipe import from_json
from worker.app import app, context

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from mezcal.jobs import Claim

log = logging.getLogger(__name__)


class Download:
    """The masters of the job *first*, which stay open for its companions: queued jobs that are made from the same ones.

    All of them run in one task, whose message has the id *message*.
    """

    def __init__(self, first: Claim, message: str) -> None:
        self.masters = KeptMasters(context().origin_of(from_json(first.recipe)), keep=bool(first.source))
        self.began = time.monotonic()
        self._last, self._message = first, message

    def companions(self) -> Iterator[Claim]:
        """Claim one companion after the other, as long as the masters are open.

        While Redis cannot be reached there are none: the reaper sends their messages.
        """
        table, name = context().jobs.table, context().name
        while self.masters.any_open:
            try:
                claim = table.begin_companion(
                    self._last, name, self._message, bulk=serves_bulk(), arrival=self.masters.arrival
                )
            except RedisError as error:
                log.warning("the next job of this master is left to another task: %s", error)
                return
            if claim is None:
                return
            self._last = claim
            yield claim

    def __enter__(self) -> Download:
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
