"""The Celery app, and the context of its processes. The import reads no settings and opens nothing."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from celery import Celery, signals

from mezcal.convert import ConversionOptions
from mezcal.errors import ProfileMissing
from mezcal.ingest.denial import Denier
from mezcal.ingest.events import MasterResolver
from mezcal.jobs import Jobs, Lane
from mezcal.jobs.outages import persist
from mezcal.jobs.state.keys import Keys
from mezcal.jobs.state.policy import JobPolicy
from mezcal.jobs.state.table import JobTable
from mezcal.jobs.transport.celery_pipe import WORKER_SECONDS, CeleryPipe, configure, connect
from mezcal.origin import open_origin
from mezcal.origin.archive import FrameOrigin
from mezcal.origin.archive.shared_frames import FrameSharing, SharedFrames
from mezcal.recipe import MEZZANINE, Mezzanine, Thumbnail, from_json, profiles_of
from mezcal.runtime.memory_budget import MIB, MemoryBudget, budget
from mezcal.runtime.parent_death import follow_parent
from mezcal.runtime.processes import PARTNER
from mezcal.runtime.shared_files import SharedFiles
from mezcal.settings import Settings, load
from mezcal.settings.typos import find_typos, given_names
from mezcal.store import open_store
from mezcal.store.housekeeping.full_disk import free_space_for_masters
from mezcal.telemetry import multiprocess, tracing
from mezcal.telemetry.logs import set_up_logs
from worker import stop_flag
from worker.metrics import count_origin_response
from worker.metrics.server import MetricsProcess

if TYPE_CHECKING:
    from mezcal.jobs import Claim
    from mezcal.origin import MasterSource, Origin
    from mezcal.recipe import Recipe
    from mezcal.store import DerivativeStore

log = logging.getLogger(__name__)
app = Celery("mezcal")
app.config_from_object("celeryconfig")  # read when it is first needed
app.conf.include = [
    "worker.tasks",
    "worker.celery_hooks.process_death",
    "worker.celery_hooks.shutdown",
    "worker.chores.stale_walk",
    "worker.previews",
    "worker.revalidate",
    "worker.chunks",
    "worker.chores.trim",
    "worker.chores.origin_probe",
    "worker.chores.days",
    "worker.chores.notices",
    "worker.chores.registration",
    "worker.chores.downstream",
    "worker.chores.denials",
]
app.conf.worker_consumer = "worker.celery_hooks.consumer:Consumer"


@cache
def settings() -> Settings:
    """Read this process' settings once, when they are first needed. Raises `WrongSetting`."""
    return load()


@app.on_after_configure.connect
def _configure(sender: Celery, **_: Any) -> None:
    configure(sender, settings(), WORKER_SECONDS)


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """The objects that the tasks of one worker process share."""

    settings: Settings
    origin: Origin
    store: DerivativeStore
    jobs: Jobs
    masters: MasterResolver
    memory: MemoryBudget
    frames: SharedFrames | None
    name: str
    denier: Denier

    def options_of(self, recipe: Recipe) -> ConversionOptions:
        """Return the options of conversions to *recipe*'s profile.

        Raises `ProfileMissing` if this worker has no such profile, or one of another format.
        """
        profile = recipe.profile if isinstance(recipe, Mezzanine) else MEZZANINE
        if profiles_of(self.settings).get(profile.name) != profile:
            raise ProfileMissing(
                f"the PROFILES_FILE of the worker {self.name} has no profile {profile.name!r} with files "
                f".{profile.extension}: give every API and worker the same file, and start them again"
            )
        return ConversionOptions.of(self.settings, profile.name)

    def origin_of(self, claim: Claim) -> MasterSource:
        """Return the origin of a job's masters: the repository, or the archive by the ticket that a client left.

        If the repository failed another job lately, a request that timed out is not repeated.
        """
        recipe = from_json(claim.recipe)
        if not isinstance(recipe, Thumbnail):
            return self.origin.impatient() if claim.suspect else self.origin
        ticket = persist(lambda: self.jobs.ticket(recipe))
        free_space = free_space_for_masters(self.settings, self.store)
        observer = partial(count_origin_response, "archive")
        return FrameOrigin(self.settings, ticket, observer, free_space, self._sharing(recipe, claim))

    def _sharing(self, recipe: Thumbnail, claim: Claim) -> FrameSharing:
        """Return how the job shares files of frames: those of before a change are not used, and none for a remake."""
        versions = {str(frame.id): frame.version for frame in recipe.frames}
        age = 0.0 if claim.remake else claim.masters_age
        since = 0 if age is None else time.monotonic_ns() - int(age * 1e9)
        return FrameSharing(self.frames, versions, since, evicts=claim.lane is Lane.INTERACTIVE)


@cache
def context() -> WorkerContext:
    """Return the context of this process, made when first used: after the fork, so that no connection is shared."""
    given = settings()
    table = JobTable(connect(given, WORKER_SECONDS), Keys(given.redis_prefix), JobPolicy.of(given))
    store = open_store(given)
    origin = open_origin(given, count_origin_response, free_space_for_masters(given, store))
    return WorkerContext(
        settings=given,
        origin=origin,
        store=store,
        jobs=Jobs(table, CeleryPipe(app, tracing.message_headers)),
        masters=MasterResolver(given, origin.impatient()),
        memory=memory(),
        frames=frames(),
        name=f"{socket.gethostname()}:{os.getpid()}",
        denier=Denier(store, given.denied_status),
    )


@cache
def memory() -> MemoryBudget:
    """Return the memory budget of this worker's conversions. It is made before the first fork, so that all share it.

    A worker with a partner shares the budget that both inherited.
    """
    return MemoryBudget.inherited() or MemoryBudget(
        settings().worker_memory or budget(app.conf.worker_concurrency or 1)
    )


@cache
def frames() -> SharedFrames | None:
    """Return the files of frames that this worker's processes share. They are made before the first fork."""
    files = SharedFiles.inherited() or SharedFiles.create(settings())
    return SharedFrames(files) if files is not None else None


def has_partner() -> bool:
    """Return True if this is the second of two workers: the first reports for both."""
    return PARTNER in os.environ


@cache
def metrics_process() -> MetricsProcess:
    """Return the process that serves METRICS_PORT."""
    return MetricsProcess(settings())


def serve_metrics() -> None:
    """Start the process that serves METRICS_PORT, if it should run and does not."""
    if not has_partner():
        metrics_process().keep_running()


@signals.setup_logging.connect
def _set_up_logs(**_: Any) -> None:
    set_up_logs(settings(), "interactive" if has_partner() else "worker")  # the names of their parts


@signals.worker_init.connect
def _before_first_fork(sender: Any, **_: Any) -> None:
    """Make what the main process shares with its pool."""
    app.conf.worker_concurrency = sender.concurrency
    memory()
    frames()
    stop_flag.share()
    multiprocess.start_sharing("worker")
    serve_metrics()


@signals.celeryd_after_setup.connect
def _log_start(**_: Any) -> None:
    """Log once what an operator should know of this worker. At `worker_init` the logs are not set up yet."""
    if has_partner():
        return
    log.info("conversions may hold %d MB of memory at once", memory().total // MIB)
    for warning in find_typos(given_names()):
        log.warning(warning)


@signals.task_prerun.connect
def _begin_task(task: Any, **_: Any) -> None:
    """Add the client's request id to the log lines of *task*."""
    tracing.set_current(tracing.from_message(task.request))


@signals.task_postrun.connect
def _end_task(**_: Any) -> None:
    tracing.set_current(None)


@signals.worker_process_init.connect
def _pool_process(**_: Any) -> None:
    """Set up a pool process. It ends with the worker, because another worker takes over its job."""
    follow_parent(signal.SIGKILL)
    context.cache_clear()
    context()
    multiprocess.register_process()
