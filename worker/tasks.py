"""What workers do: each task takes small JSON and may run twice."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from mezcal.derive import derive
from mezcal.errors import Failure, Superseded, Unforeseen
from mezcal.jobs import MAKE
from mezcal.jobs.broker import CHORE
from mezcal.jobs.gate import GuardedOrigin, PutOff
from mezcal.jobs.lease import Lease, persist
from mezcal.jobs.progress import shown
from mezcal.recipe import from_json
from worker.app import app, here
from worker.chores import CHORES

if TYPE_CHECKING:
    from mezcal.recipe import Recipe

log = logging.getLogger(__name__)


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
        with shown(bench.table, claim.key) as progress:
            derive(
                *(recipe, origin, bench.store, bench.choices),
                guard=lease.check,
                remake=claim.remake,
                progress=progress,
            )
    except (Failure, PutOff):
        raise
    except Exception as error:
        log.exception("%s failed in a way that nobody thought of", recipe.key)
        raise Unforeseen(f"an unforeseen {type(error).__name__}: the log has the details") from error


@app.task(name=CHORE)
def chore(name: str) -> str:
    """Do the periodic work *name*; one that fails has its next turn."""
    if name not in CHORES:  # sent by a worker of another version
        return "unknown"
    CHORES[name].work()
    return "done"
