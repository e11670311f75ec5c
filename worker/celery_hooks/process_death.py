"""Queues a job again as soon as its pool process has died. The main process of the worker does this."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery import signals
from redis import RedisError

from mezcal.errors import Failure, TimedOut
from mezcal.jobs.transport.celery_pipe import MAKE
from mezcal.recipe import from_json
from worker.app import context
from worker.metrics import count_lost_attempt

if TYPE_CHECKING:
    from mezcal.jobs import LostAttempt

log = logging.getLogger(__name__)


@signals.task_failure.connect
def _process_ended(task_id: str, exception: BaseException, sender: Any = None, **_: Any) -> None:
    """Queue the job again, or end it as failed. If Redis is down, the reaper does it when the lease expires."""
    if getattr(sender, "name", None) != MAKE or not isinstance(exception, (WorkerLostError, TimeLimitExceeded)):
        return
    try:
        lost = report_death(task_id, exception)
        if lost is None:
            return
        outcome = "timed-out" if isinstance(exception, TimeLimitExceeded) else "process-died"
        count_lost_attempt(from_json(lost.recipe), lost.lane, outcome)
        context().jobs.pipe.send_all(lost.messages)
    except (RedisError, Failure) as error:
        log.warning("a job is queued again when its lease runs out: %s", error)


def report_death(task_id: str, exception: BaseException) -> LostAttempt | None:
    """Record in the job table that the process of this task ended. Returns None if the task has no running job."""
    table = context().jobs.table
    if isinstance(exception, TimeLimitExceeded):
        failure = TimedOut("it could not be stopped in time, and its process was ended")
        lost = table.process_killed(task_id, failure)
    else:
        lost = table.process_died(task_id)
    log.error("the process that made %s ended: %s", lost.key if lost else "nothing", exception)
    return lost
