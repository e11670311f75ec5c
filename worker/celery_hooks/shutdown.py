"""Stops a worker after a signal: running jobs may finish within DRAIN_SECONDS, then they go back to the queue."""

from __future__ import annotations

import logging
import os
import signal
import threading
from contextlib import suppress
from typing import Any

from celery import signals
from celery.worker import state
from redis import RedisError

from mezcal.errors import Failure
from mezcal.jobs.transport.celery_pipe import MAKE
from mezcal.telemetry.spans import flush
from worker import stop_flag
from worker.app import context, settings

log = logging.getLogger(__name__)

# Seconds after which Celery certainly takes no more messages: its loop checks once a second. A job that is given back
# sooner may come to this worker again, and would be ended with it.
TAKES_NO_MORE = 2.0
SPANS_SECONDS = 2.0  # for a receiver that does not answer; others take milliseconds


@signals.worker_shutting_down.connect
def _begin(how: str = "Warm", **_: Any) -> None:
    """Have running tasks begin no further jobs, and bound the time that Celery waits for them.

    No process is forked from here on, so a thread is safe.
    """
    stop_flag.note_stop()
    if how == "Warm":
        threading.Thread(target=_end_after_drain, name="drain", daemon=True).start()


@signals.worker_process_shutdown.connect
def _end_pool_process(exitcode: int, **_: Any) -> None:
    """End this pool process now. It would sleep for a second, in which Celery may kill it, and end the same way.

    It runs no `atexit`, so the last spans are sent here.
    """
    flush(SPANS_SECONDS)
    os._exit(exitcode)


def _end_after_drain() -> None:
    """Give back what still runs after DRAIN_SECONDS, and end this worker."""
    seconds = max(settings().drain_seconds, TAKES_NO_MORE)
    threading.Event().wait(seconds)
    requests = list(state.active_requests | state.reserved_requests)  # Celery may not know yet that a task has begun
    given_back = sum(map(give_back, requests))
    log.warning("%d jobs did not end within %g s: they go back to the queue", given_back, seconds)
    for request in requests:
        with suppress(ProcessLookupError, TypeError):
            os.kill(request.worker_pid, signal.SIGKILL)
    with suppress(Failure):
        context().store.sweep()
    os._exit(0)  # the pool would wait for the killed processes


def give_back(request: Any) -> bool:
    """Queue the job of *request* again; the process that still works on it loses its lease.

    Returns False if the request has no running job.
    """
    if request.name != MAKE:
        return False
    ctx = context()
    try:
        lost = ctx.jobs.table.give_back(request.id)
        if lost is not None:
            ctx.jobs.pipe.send_all(lost.messages)
    except (RedisError, Failure) as error:
        log.warning("a job is queued again when its lease runs out: %s", error)
        return False
    return lost is not None
