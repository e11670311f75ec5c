"""Queues a job again as soon as its pool process has died. The main process of the worker does this."""

from __future__ import annotations

import logging
from typing import Any

from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery import signals
from redis import RedisError

from mezcal.errors import Failure, TimedOut
from mezcal.jobs import Lane, Message
from mezcal.jobs.transport.celery_pipe import MAKE
from mezcal.recipe import from_json
from worker.app import context
from worker.metrics import count_lost_attempt

log = logging.getLogger(__name__)


@signals.task_failure.connect
def _process_ended(task_id: str, exception: BaseException, args: list[Any], sender: Any = None, **_: Any) -> None:
    """Queue the job again, or end it as failed. If Redis is down, the reaper does it when the lease expires."""
    if getattr(sender, "name", None) != MAKE or not isinstance(exception, (WorkerLostError, TimeLimitExceeded)):
        return
    try:
        recipe = from_json(args[0])
        record = context().jobs.table.read(recipe.key)
        outcome = "timed-out" if isinstance(exception, TimeLimitExceeded) else "process-died"
        count_lost_attempt(recipe, record.lane if record else Lane.BULK, outcome)
        message = report_death(recipe.key, task_id, exception)
        if message is not None:
            context().jobs.pipe.send(message)
    except (RedisError, Failure) as error:
        log.warning("a job is queued again when its lease runs out: %s", error)


def report_death(key: str, task_id: str, exception: BaseException) -> Message | None:
    """Record in the job table that the process of the job *key* ended. Returns the message to send, if any."""
    table = context().jobs.table
    log.error("the process that made %s ended: %s", key, exception)
    if isinstance(exception, TimeLimitExceeded):
        table.process_killed(key, task_id, TimedOut("it could not be stopped in time, and its process was ended"))
        return None
    return table.process_died(key, task_id)
