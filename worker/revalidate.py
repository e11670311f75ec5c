"""Revalidation: asks the origin whether the masters of stale derivatives have changed."""

from __future__ import annotations

import logging
from typing import Any

from mezcal.derive import version
from mezcal.errors import Failure
from mezcal.ingest.revalidation import Revalidation
from mezcal.jobs import Lane
from mezcal.jobs.transport.celery_pipe import CHORE_SECONDS, REVALIDATE
from mezcal.recipe import Mezzanine, from_json
from worker.app import app, context
from worker.metrics import count_revalidation

log = logging.getLogger(__name__)


@app.task(name=REVALIDATE, time_limit=CHORE_SECONDS)
def revalidate(wanted: dict[str, Any], lane: str = Lane.BULK) -> str:
    """Ask the origin whether the master of a stored derivative, or of a failure, has changed. Act on the answer.

    A derivative is made again in *lane*. An origin that is paused is not asked, and no request is repeated that timed
    out: the derivative stays stale until it is requested again.
    """
    recipe = from_json(wanted)
    if not isinstance(recipe, Mezzanine):
        return "not needed: the key of a thumbnail holds the versions of its frames"
    try:
        outcome = str(_revalidation(recipe).run(recipe, context().store.describe(recipe), Lane(lane)))
        count_revalidation(outcome)
    except Failure as failure:  # the stored derivative stays (stale-if-error, RFC 5861)
        outcome = f"{failure.slug}: {failure.detail}"
        count_revalidation("failed")
    log.info("revalidated", extra={"fields": {"key": recipe.key, "path": recipe.label, "outcome": outcome}})
    return outcome


def _revalidation(recipe: Mezzanine) -> Revalidation:
    ctx = context()
    return Revalidation(ctx.origin.impatient(), ctx.jobs, ctx.store, version(ctx.options_of(recipe)))
