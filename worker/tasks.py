"""What workers do: each task takes small JSON and may run twice."""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, Any

from mezcal.derive import derive
from mezcal.errors import BrokerDown, Failure, Superseded, Unforeseen
from mezcal.jobs import MAKE, SPREAD, Lane
from mezcal.jobs.broker import CHORE
from mezcal.jobs.gate import DEFER_SECONDS, GuardedOrigin, PutOff
from mezcal.jobs.lease import Lease, persist
from mezcal.jobs.progress import shown
from mezcal.recipe import from_json
from worker.app import app, here
from worker.chores import CHORES

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.recipe import Recipe

log = logging.getLogger(__name__)

RANKS = {Lane.INTERACTIVE: 0, Lane.BULK: 1}  # who is given memory first
MEMORY_PATIENCE = 120.0  # seconds: a wait for memory must not become a job that took too long


@app.task(name=MAKE, bind=True)
def make(self: Any, wanted: dict[str, Any]) -> str:
    """Make one derivative, if it is still wanted and nobody else makes it; how it ended, for Flower."""
    recipe = from_json(wanted)
    bench = here()
    claim = persist(lambda: bench.table.begin(recipe.key, bench.name, self.request.id, recipe.kind))
    if claim is None:
        return "nothing to do"
    with Lease(bench.table, claim).kept() as lease:
        return _report(recipe, lease)


def _report(recipe: Recipe, lease: Lease) -> str:
    """Work on the claimed job and report its end."""
    began = time.monotonic()
    try:
        _work(recipe, lease)
    except PutOff as put_off:
        lease.defer(put_off.seconds)
        outcome = str(put_off)
    except Superseded as failure:
        outcome = failure.slug
    except Failure as failure:
        lease.fail(failure)
        outcome = f"{failure.slug}: {failure.detail}"
    else:
        lease.finish()
        outcome = "made"
    log.info(
        "%s %s lane=%s attempt=%d seconds=%.3f %s",
        recipe.key,
        recipe.label,
        lease.claim.lane,
        lease.claim.attempt,
        time.monotonic() - began,
        outcome,
    )
    return outcome


def _work(recipe: Recipe, lease: Lease) -> None:
    bench = here()
    origin = GuardedOrigin(bench.origin_of(recipe), bench.gate, lease, recipe.kind)
    claim = lease.claim
    try:
        with (
            shown(bench.table, claim.key) as progress,
            bench.memory.share(RANKS[claim.lane], waiting(lease)) as room,
        ):
            derive(
                *(recipe, origin, bench.store, bench.choices),
                guard=lease.check,
                remake=claim.remake,
                progress=progress,
                room=room,
            )
    except (Failure, PutOff):
        raise
    except Exception as error:
        log.exception("%s failed in a way that nobody thought of", recipe.key)
        raise Unforeseen(f"an unforeseen {type(error).__name__}: the log has the details") from error


def waiting(lease: Lease) -> Callable[[float], None]:
    """What ends the wait of *lease*'s job for memory: its lease, or that it had better make room for another."""

    def heed(seconds: float) -> None:
        lease.abandon_if_lost()
        if seconds > MEMORY_PATIENCE:
            raise PutOff(random.uniform(*DEFER_SECONDS))  # noqa: S311 - jitter

    return heed


@app.task(name=SPREAD)
def spread(name: str) -> int:
    """Queue the jobs of one chunk in the bulk lane; how many were not queued yet."""
    bench = here()
    chunk = persist(lambda: bench.chunks.take(name))
    if chunk is None:
        return 0
    recipes = [from_json(wanted) for wanted in chunk.recipes]
    verdicts = persist(lambda: bench.table.ensure_all(recipes, Lane.BULK, changed=chunk.changed))
    wanted = [recipe.as_json() for recipe, verdict in zip(recipes, verdicts, strict=True) if verdict == "publish"]
    try:
        bench.pipe.send_all(wanted, Lane.BULK)
    except BrokerDown as error:  # the reaper sends what was not
        log.warning("%d messages are sent later: %s", len(wanted), error)
    if "full" not in verdicts:
        persist(lambda: bench.chunks.done(name))
    return len(wanted)


@app.task(name=CHORE)
def chore(name: str) -> str:
    """Do the periodic work *name*; one that fails has its next turn."""
    if name not in CHORES:  # sent by a worker of another version
        return "unknown"
    CHORES[name].work()
    return "done"
