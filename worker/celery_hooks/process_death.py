"""What becomes of a job whose process ended under it: told at once, by the worker's main process."""

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
    """Queue the job again, or give it up; what cannot be told now, the end of its lease tells."""
    if getattr(sender, "name", None) != MAKE or not isinstance(exception, (WorkerLostError, TimeLimitExceeded)):
        return
    try:
        recipe = from_json(args[0])
        record = context().table.read(recipe.key)
        count_lost_attempt(
            recipe, record.lane if record else Lane.BULK, "timed-out" if _too_long(exception) else "process-died"
        )
        message = told(recipe.key, task_id, exception)
        if message is not None:
            context().pipe.send(message.recipe, message.lane, from_json(message.recipe).label)
    except (RedisError, Failure) as error:
        log.warning("a job waits for the end of its lease: %s", error)


def told(key: str, task_id: str, exception: BaseException) -> Message | None:
    """Tell the job table; the message to be sent."""
    table = context().table
    log.error("the process that made %s ended: %s", key, exception)
    if _too_long(exception):
        table.process_killed(key, task_id, TimedOut("it could not be stopped in time, and its process was ended"))
        return None
    return table.process_died(key, task_id)


def _too_long(exception: BaseException) -> bool:
    return isinstance(exception, TimeLimitExceeded)
