"""The Celery app, and what each of its processes works with."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from celery import signals
from celery.apps import worker as celery_worker

from mezcal.convert import ConversionOptions
from mezcal.ingest.events import Masters
from mezcal.jobs import Jobs
from mezcal.jobs.state.keys import Keys
from mezcal.jobs.state.outages import persist
from mezcal.jobs.state.policy import JobPolicy
from mezcal.jobs.state.table import JobTable
from mezcal.jobs.transport.celery_pipe import WORKER_SECONDS, CeleryPipe, celery_app, connect
from mezcal.origin import open_origin
from mezcal.origin.archive import FrameOrigin
from mezcal.recipe import Thumbnail
from mezcal.runtime.memory_budget import MIB, MemoryBudget, budget
from mezcal.runtime.parent_death import follow_parent
from mezcal.settings import Settings, load
from mezcal.settings.typos import find_typos, given_names
from mezcal.store import open_store
from mezcal.telemetry import multiprocess, tracing
from mezcal.telemetry.logs import set_up_logs
from worker.metrics import count_origin_response
from worker.metrics.server import Scraped

if TYPE_CHECKING:
    from mezcal.origin import Origin
    from mezcal.recipe import Recipe
    from mezcal.store import Store

log = logging.getLogger(__name__)
settings = load()
scraped = Scraped(settings)
app = celery_app(settings, WORKER_SECONDS)
app.set_current()
app.conf.include = [
    "worker.tasks",
    "worker.celery_hooks.process_death",
    "worker.celery_hooks.shutdown",
    "worker.chores.bucket",
    "worker.previews",
    "worker.revalidate",
    "worker.chunks",
    "worker.chores.trim",
]
app.conf.worker_consumer = "worker.celery_hooks.consumer:Consumer"


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What a worker process works with."""

    settings: Settings
    origin: Origin
    store: Store
    table: JobTable
    pipe: CeleryPipe
    jobs: Jobs
    masters: Masters
    choices: ConversionOptions
    memory: MemoryBudget
    name: str

    def origin_of(self, recipe: Recipe) -> Origin:
        """Where *recipe*'s masters come from: the repository, or the archive by a ticket that an asker left."""
        if not isinstance(recipe, Thumbnail):
            return self.origin
        ticket = persist(lambda: self.jobs.ticket(recipe))
        return FrameOrigin(self.settings, ticket, partial(count_origin_response, "archive"), self.store.make_room)


@cache
def context() -> WorkerContext:
    """The ctx of this process, made when first used: after the fork, so that no connection is shared."""
    table = JobTable(connect(settings, WORKER_SECONDS), Keys(settings.key_prefix), JobPolicy.of(settings))
    store = open_store(settings)
    origin = open_origin(settings, partial(count_origin_response, "repository"), store.make_room)
    pipe = CeleryPipe(app, tracing.carried)
    jobs = Jobs(table, pipe)
    return WorkerContext(
        settings=settings,
        origin=origin,
        store=store,
        table=table,
        pipe=pipe,
        jobs=jobs,
        masters=Masters(settings, origin),
        choices=ConversionOptions.of(settings),
        memory=memory(),
        name=f"{socket.gethostname()}:{os.getpid()}",
    )


@cache
def memory() -> MemoryBudget:
    """What the conversions of this worker may hold together; made before the first fork, and shared by all."""
    return MemoryBudget(settings.worker_memory or budget(app.conf.worker_concurrency or 1))


@signals.worker_init.connect
def _set_memory_aside(sender: Any, **_: Any) -> None:
    app.conf.worker_concurrency = sender.concurrency
    memory()  # before the first fork


@signals.setup_logging.connect
def _logs(**_: Any) -> None:
    set_up_logs(settings, "worker")
    celery_worker.safe_say = _say


@signals.celeryd_after_setup.connect
def _tell(**_: Any) -> None:
    """What an operator should know of this worker, once: before, at `worker_init`, there are no logs yet."""
    log.info("conversions may hold %d MB of memory at once", memory().total // MIB)
    for told in find_typos(given_names()):
        log.warning(told)


def _say(message: str, *_: Any) -> None:
    """Celery's word on its shutdown in the form of all lines; from a signal handler, so past all buffers."""
    record = logging.makeLogRecord({"name": "celery", "levelno": logging.INFO, "levelname": "INFO", "msg": message})
    for handler in logging.getLogger().handlers:
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"{handler.format(record)}\n".encode())


@signals.task_prerun.connect
def _begin_task(task: Any, **_: Any) -> None:
    """Say in the logs for whose request this is."""
    tracing.enter(tracing.of_message(task.request))


@signals.task_postrun.connect
def _end_task(**_: Any) -> None:
    tracing.enter(None)


@signals.worker_init.connect
def _main_process(**_: Any) -> None:
    """Share what is counted, before the first process of the pool is forked."""
    multiprocess.share("worker")
    scraped.keep()


@signals.worker_process_init.connect
def _pool_process(**_: Any) -> None:
    """End with the worker, however it ends: an orphan would go on with a job that is another's by now."""
    follow_parent(signal.SIGKILL)
    context.cache_clear()
    context()
    multiprocess.join()
