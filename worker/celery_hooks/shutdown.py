"""The end of a worker that is told to stop: what runs may finish for DRAIN_SECONDS, then it goes back."""

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
from mezcal.recipe import from_json
from worker.app import context, settings

log = logging.getLogger(__name__)

# Seconds after which Celery surely takes no more tasks: its loop looks up once a second. What goes back sooner may come
# to this very worker, which would be ended with it.
TAKES_NO_MORE = 2.0


@signals.worker_shutting_down.connect
def _begin(how: str = "Warm", **_: Any) -> None:
    """Celery waits for running tasks without end; we do not. No process is forked from here on."""
    if how == "Warm":
        threading.Thread(target=_watch, name="drain", daemon=True).start()


def _watch() -> None:
    seconds = max(settings().drain_seconds, TAKES_NO_MORE)
    threading.Event().wait(seconds)
    known = list(state.active_requests | state.reserved_requests)  # of one just begun Celery may not have heard
    back = sum(map(give_back, known))
    log.warning("%d jobs did not end within %g s: they go back to the queue", back, seconds)
    for request in known:
        with suppress(ProcessLookupError, TypeError):
            os.kill(request.worker_pid, signal.SIGKILL)
    with suppress(Failure):
        context().store.sweep()
    os._exit(0)  # the pool would wait for what was killed


def give_back(request: Any) -> bool:
    """Queue the job of *request* again, which fences off the process that still works on it; False if none does."""
    if request.name != MAKE:
        return False
    ctx = context()
    try:
        message = ctx.table.give_back(from_json(request.args[0]).key, request.id)
        if message is not None:
            ctx.pipe.send(message.recipe, message.lane, from_json(message.recipe).label)
    except (RedisError, Failure) as error:
        log.warning("a job waits for the end of its lease: %s", error)
        return False
    return message is not None
