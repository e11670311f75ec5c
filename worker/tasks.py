"""The tasks that make derivatives and do chores. Each takes small JSON and may run twice."""

from __future__ import annotations

import logging
import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from celery.exceptions import Retry

from mezcal.derive import JobContext, derive
from mezcal.errors import (
    BrokerDown,
    Failure,
    OutOfMemory,
    Superseded,
    Unavailable,
    Unforeseen,
    is_out_of_memory,
)
from mezcal.ingest.registration import size_name
from mezcal.jobs import Lane
from mezcal.jobs.guarded_origin import GuardedOrigin
from mezcal.jobs.origin_guard import DELAY_SECONDS, JobDelayed
from mezcal.jobs.outages import persist
from mezcal.jobs.state.leases import Lease
from mezcal.jobs.state.progress import progress_reported
from mezcal.jobs.state.table import HeldBack
from mezcal.jobs.transport.celery_pipe import CHORE, CHORE_SECONDS, MAKE
from mezcal.recipe import from_json, key_of, known_recipe
from mezcal.runtime.memory_wall import memory_wall
from mezcal.store.outages import wait_for_store
from mezcal.telemetry import tracing
from worker.app import app, context
from worker.chores import CHORES
from worker.companions import JobChain, serves_bulk
from worker.metrics import JobAttempt
from worker.newer_jobs import left_to_newer

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.jobs import Claim
    from mezcal.origin.kept_masters import KeptMasters
    from mezcal.recipe import Recipe
    from mezcal.store import Stored

log = logging.getLogger(__name__)

RANKS = {Lane.INTERACTIVE: 0, Lane.BULK: 1}  # the lower one gets memory first
# Seconds that a job may wait for memory; at most a quarter of JOB_TIME_LIMIT, so that waiting never exceeds the limit.
MEMORY_PATIENCE = 120.0
BULK_PATIENCE = 30.0  # seconds that a bulk job waits for the store before it begins, and is delayed then
OUT_OF_MEMORY = 75  # exit status of a process that ran out of memory: what libraries do after that is not certain
HELD_SECONDS = 1.0  # of one task
HELD_POLL_SECONDS = 0.02  # one script of a tenth of a millisecond, while a process is kept free


class NotMade(Exception):
    """The job ended without a derivative. The cause is left out: its text may hold signed URLs."""

    def __repr__(self) -> str:
        """Return the reason alone, which Flower shows."""
        return str(self)


@app.task(name=MAKE, bind=True, throws=(NotMade, Unavailable))
def make(self: Any, wanted: dict[str, Any] | None = None) -> str:
    """Make one derivative, if it is still wanted and no other worker makes it. Returns how the job ended.

    The message of a bulk job says which is *wanted*. One of the interactive lane does not: the clients of that lane get
    their jobs made by turns. Queued jobs that are made from the same masters follow at once, from the same download.
    The job table has the end when this returns. It raises `NotMade` if the job failed and `Retry` if it is
    delayed, so that Flower shows this. `Retry` sends no message: housekeeping sends one when the job is due. After
    `OutOfMemory` it raises `SystemExit`, and the process is replaced. After an outage of Redis that lasted too long it
    raises `Unavailable`; the reaper queues the job again.
    """
    try:
        claim = _begin(wanted, self.request.id) if wanted else _begin_next(self.request.id)
    except HeldBack:
        context().jobs.pipe.wake()
        return "held back"
    if claim is None or left_to_newer(claim, context().jobs.table):
        return "nothing to do"
    with JobChain(claim, self.request.id) as chain:
        end = _run(claim, chain)
        for companion in chain.companions():
            if not left_to_newer(companion, context().jobs.table):
                _run(companion, chain)
    if isinstance(end, Exception):
        raise end
    return end


def _begin(wanted: dict[str, Any], message: str) -> Claim | None:
    ctx, recipe = context(), known_recipe(wanted)
    key = recipe.key if recipe else key_of(wanted)  # a job of a newer version is begun to be given back
    return persist(lambda: ctx.jobs.table.begin(key, ctx.name, message, bulk=serves_bulk()))


def _begin_next(message: str) -> Claim | None:
    """Claim the job whose turn it is. While all that are queued are held back, this process waits for another client.

    Raises `HeldBack` after `HELD_SECONDS`, so that a worker that stops need not wait for long.
    """
    ctx, deadline = context(), time.monotonic() + HELD_SECONDS
    while True:
        try:
            return persist(lambda: ctx.jobs.table.begin_next(ctx.name, message, bulk=serves_bulk()))
        except HeldBack:
            if time.monotonic() > deadline:
                raise
            time.sleep(HELD_POLL_SECONDS)


def _run(claim: Claim, chain: JobChain) -> str | NotMade | Retry:
    """Run one claimed job. Returns what Flower shows of it: a text, or the exception that says why it was not made."""
    of_task = None if claim.is_companion else tracing.current()
    tracing.set_current(tracing.from_message(claim.headers) or of_task)
    try:
        with Lease(context().jobs.table, claim, chain.began).kept() as lease:
            return _report(JobAttempt(from_json(claim.recipe), claim).trace(), lease, chain.masters)
    finally:
        _wake_next_of_origin(claim)


def _wake_next_of_origin(claim: Claim) -> None:
    """Have the next job of the same origin begun, if a message was used up while this origin had no place for it."""
    ctx = context()
    if claim.lane is Lane.INTERACTIVE and ctx.jobs.table.policy.several:
        with suppress(BrokerDown):  # the reaper sends its message
            ctx.jobs.pipe.wake()


def _report(attempt: JobAttempt, lease: Lease, masters: KeptMasters) -> str | NotMade | Retry:
    """Make the derivative and record the job's end. The returned exception does not contain the cause."""
    recipe = attempt.recipe
    try:
        stored = _work(attempt, lease, masters)
    except JobDelayed as delayed:
        lease.delay(delayed.seconds)
        attempt.end("delayed")
        return _again(delayed.seconds, "its origin, or the memory of this worker, has no place for it now")
    except Superseded as failure:
        attempt.end("superseded")
        return failure.slug
    except Failure as failure:
        seconds = lease.fail(failure)
        attempt.end("failed", failure)
        if isinstance(failure, OutOfMemory):
            log.warning("this process is replaced: %s", failure.detail)
            raise SystemExit(OUT_OF_MEMORY) from None  # billiard reports it, then ends the process
        reason = f"{failure.slug}: {failure.detail} ({recipe.label})"
        return NotMade(reason) if seconds is None else _again(seconds, reason)
    _report_outside(recipe, replaced=attempt.claim.remake)  # before the end of the job: it is repeated if we die here
    lease.finish()
    context().jobs.recent.add(recipe, stored.size)
    attempt.end("made")
    return f"made {recipe.label}"


def _report_outside(recipe: Recipe, *, replaced: bool) -> None:
    """Have others notified of the derivative of *recipe*, which is in place now."""
    ctx = context()
    if size_name(recipe, ctx.settings):
        persist(lambda: ctx.jobs.registrations.add([recipe]))
    if replaced:
        persist(lambda: ctx.jobs.notify_downstream([recipe]))


def _again(seconds: float, reason: str) -> Retry:
    return Retry(reason, NotMade(f"next attempt in {seconds:.0f} s: {reason}"))


def _work(attempt: JobAttempt, lease: Lease, masters: KeptMasters) -> Stored:
    ctx, recipe = context(), attempt.recipe
    origin = GuardedOrigin(masters, ctx.jobs.origin_guard, lease)
    claim = lease.claim
    try:
        if claim.lane is Lane.BULK:  # clients are told at once; the jobs of this lane would all be delayed, one by one
            wait_for_store(ctx.store, lease.wait, BULK_PATIENCE)
        with (
            progress_reported(ctx.jobs.table, claim.key, attempt.progress) as progress,
            ctx.memory.share(RANKS[claim.lane], waiting(lease)) as reserve,
            memory_wall(reserve) as reserve_memory,
        ):
            ctx.denier.check_now(recipe)

            def guard() -> None:
                lease.renew_or_raise()
                ctx.denier.check_now(recipe)

            job = JobContext(claim.remake, guard, reserve_memory, progress, lease.wait, lease.await_confirmation)
            return derive(recipe, origin, ctx.store, ctx.options_of(recipe), job)
    except (Failure, JobDelayed):
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise OutOfMemory(f"memory or descriptors are used up ({type(error).__name__})") from error
        log.exception("%s failed in a way that is not provided for", recipe.key)
        raise Unforeseen(f"an unforeseen {type(error).__name__}: the log has the details") from error


def waiting(lease: Lease) -> Callable[[float], None]:
    """Return a function that ends the job's wait for memory: when its lease is lost, or when it waited too long."""
    patience = min(MEMORY_PATIENCE, context().settings.job_time_limit / 4)

    def check(seconds: float) -> None:
        lease.abandon_if_lost()
        if seconds > patience:
            raise JobDelayed(random.uniform(*DELAY_SECONDS))  # noqa: S311 - jitter

    return check


@app.task(name=CHORE, time_limit=CHORE_SECONDS)
def run_chore(name: str) -> str:
    """Do the chore *name*. After a failure it runs again at its next interval. Returns the result for Flower."""
    if name not in CHORES:  # sent by a worker of another version
        return "unknown"
    try:
        CHORES[name].work()
    except Failure as failure:
        log.warning("the chore %s is not done: %s", name, failure.detail)
        return failure.slug
    return "done"
