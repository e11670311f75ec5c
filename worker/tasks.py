"""What workers do: each task takes small JSON and may run twice."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from billiard.exceptions import SoftTimeLimitExceeded

from mezcal.derive import derive
from mezcal.errors import Failure, Superseded, TimedOut
from mezcal.jobs import MAKE
from mezcal.jobs.lease import Lease, persist
from mezcal.recipe import from_json
from worker.app import app, here

if TYPE_CHECKING:
    from mezcal.recipe import Recipe

log = logging.getLogger(__name__)


@app.task(name=MAKE)
def make(wanted: dict[str, Any]) -> str:
    """Make one derivative, if it is still wanted and nobody else makes it; how it ended, for Flower."""
    recipe = from_json(wanted)
    bench = here()
    claim = persist(lambda: bench.table.begin(recipe.key, bench.name))
    if claim is None:
        return "nothing to do"
    with Lease(bench.table, claim).kept() as lease:
        return _report(recipe, lease)


def _report(recipe: Recipe, lease: Lease) -> str:
    """Work on the claimed job and report its end."""
    began = time.monotonic()
    try:
        _work(recipe, lease)
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
    try:
        derive(recipe, bench.origin, bench.store, bench.choices, guard=lease.check, remake=lease.claim.remake)
    except SoftTimeLimitExceeded as error:
        raise TimedOut(f"it took longer than {bench.settings.job_time_limit} s") from error
    except Failure:
        raise
    except Exception as error:
        log.exception("%s failed in a way that nobody thought of", recipe.key)
        raise Failure(f"an unforeseen {type(error).__name__}: the log has the details") from error
