"""What workers do: each task takes small JSON and may run twice."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Any

from celery.exceptions import Retry

from mezcal.derive import JobContext, derive
from mezcal.errors import Failure, Superseded, Unforeseen
from mezcal.jobs import Lane
from mezcal.jobs.guarded_origin import GuardedOrigin
from mezcal.jobs.origin_guard import DELAY_SECONDS, JobDelayed
from mezcal.jobs.outages import persist
from mezcal.jobs.state.leases import Lease
from mezcal.jobs.state.progress import reported
from mezcal.jobs.transport.celery_pipe import CHORE, CHORE_SECONDS, MAKE
from mezcal.recipe import from_json
from worker.app import app, context
from worker.chores import CHORES
from worker.metrics import JobAttempt

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.recipe import Recipe
    from mezcal.store import Stored

log = logging.getLogger(__name__)

RANKS = {Lane.INTERACTIVE: 0, Lane.BULK: 1}  # who is given memory first
MEMORY_PATIENCE = 120.0  # seconds, and no more than a quarter of a job's time: a wait is no job that took too long


class NotMade(Exception):
    """The job's end without a derivative, less what caused it: those texts may hold signed URLs."""

    def __repr__(self) -> str:
        """The reason alone: that is what Flower shows."""
        return str(self)


@app.task(name=MAKE, bind=True, throws=(NotMade,))
def make(self: Any, wanted: dict[str, Any]) -> str:
    """Make one derivative, if it is still wanted and nobody else makes it; how it ended.

    The job table has been told when this returns. For Flower's sake it raises `NotMade` where the job failed,
    `Retry` where it was put off; no message is sent by that: the reaper sends it when it is due.
    """
    recipe = from_json(wanted)
    ctx = context()
    claim = persist(lambda: ctx.table.begin(recipe.key, ctx.name, self.request.id, recipe.kind))
    if claim is None:
        return "nothing to do"
    with Lease(ctx.table, claim).kept() as lease:
        return _report(recipe, lease)


def _report(recipe: Recipe, lease: Lease) -> str:
    """Work on the claimed job and report its end, to Flower with nothing of what caused it."""
    attempt = JobAttempt(recipe, lease.claim)
    try:
        stored = _work(attempt, lease)
    except JobDelayed as delayed:
        lease.delay(delayed.seconds)
        attempt.end("delayed")
        raise _again(delayed.seconds, "there was no place for it: at its origin, or in memory") from None
    except Superseded as failure:
        attempt.end("superseded")
        return failure.slug
    except Failure as failure:
        seconds = lease.fail(failure)
        attempt.end("failed", failure)
        told = f"{failure.slug}: {failure.detail}"
        raise (NotMade(told) if seconds is None else _again(seconds, told)) from None
    lease.finish()
    context().jobs.recent.add(recipe, stored.size)
    attempt.end("made")
    return "made"


def _again(seconds: float, why: str) -> Retry:
    return Retry(why, NotMade(f"again in {seconds:.0f} s: {why}"))


def _work(attempt: JobAttempt, lease: Lease) -> Stored:
    ctx, recipe = context(), attempt.recipe
    origin = GuardedOrigin(ctx.origin_of(recipe), ctx.jobs.origin_guard, lease, recipe.kind)
    claim = lease.claim
    try:
        with (
            reported(ctx.table, claim.key, attempt.progress) as progress,
            ctx.memory.share(RANKS[claim.lane], waiting(lease)) as reserve_memory,
        ):
            job = JobContext(claim.remake, lease.check, reserve_memory, progress)
            return derive(recipe, origin, ctx.store, ctx.choices, job)
    except (Failure, JobDelayed):
        raise
    except Exception as error:
        log.exception("%s failed in a way that nobody thought of", recipe.key)
        raise Unforeseen(f"an unforeseen {type(error).__name__}: the log has the details") from error


def waiting(lease: Lease) -> Callable[[float], None]:
    """What ends the wait of *lease*'s job for memory: its lease, or that it had better make room for another."""
    patience = min(MEMORY_PATIENCE, context().settings.job_time_limit / 4)

    def heed(seconds: float) -> None:
        lease.abandon_if_lost()
        if seconds > patience:
            raise JobDelayed(random.uniform(*DELAY_SECONDS))  # noqa: S311 - jitter

    return heed


@app.task(name=CHORE, time_limit=CHORE_SECONDS)
def chore(name: str) -> str:
    """Do the periodic work *name*; one that fails has its next attempt."""
    if name not in CHORES:  # sent by a worker of another version
        return "unknown"
    CHORES[name].work()
    return "done"
