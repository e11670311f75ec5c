"""Revalidation: asks the origin whether the masters of old derivatives have changed."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from mezcal.derive import version
from mezcal.errors import BadRecipe, Failure, StoreDown
from mezcal.ingest.revalidation import Revalidation
from mezcal.jobs.transport.celery_pipe import CHORE_SECONDS, REVALIDATE
from mezcal.recipe import Mezzanine, from_json
from mezcal.store import LocalStore
from mezcal.store.local.walk import Walk, sidecar_at
from worker.app import app, context
from worker.chores import chore
from worker.metrics import count_revalidation

if TYPE_CHECKING:
    from mezcal.store.local.walk import Found

log = logging.getLogger(__name__)

WALK_SECONDS = 60.0
FOLDERS_MOST = 20_000  # checked in one run: takes some seconds on a local disk


@app.task(name=REVALIDATE, time_limit=CHORE_SECONDS)
def revalidate(wanted: dict[str, Any]) -> str:
    """Ask the origin whether the master of a stored derivative has changed, and act on the answer."""
    recipe = from_json(wanted)
    if not isinstance(recipe, Mezzanine):
        return "not needed: the key of a thumbnail holds the versions of its frames"
    sidecar = context().store.sidecar(recipe)
    if sidecar is None:
        return "nothing is stored"
    try:
        outcome = str(_revalidation().run(recipe, sidecar))
        count_revalidation(outcome)
    except Failure as failure:  # the stored derivative stays (stale-if-error, RFC 5861)
        outcome = f"{failure.slug}: {failure.detail}"
        count_revalidation("failed")
    log.info("revalidated", extra={"fields": {"key": recipe.key, "path": recipe.label, "outcome": outcome}})
    return outcome


def _revalidation() -> Revalidation:
    ctx = context()
    return Revalidation(ctx.origin, ctx.jobs, ctx.store, version(ctx.choices))


@chore(every=WALK_SECONDS)
def walk() -> None:
    """Request the revalidation of old derivatives in the next part of the store: hits that nginx serves request none.

    Remove empty files, which umd-lib/mezcal left when its disk was full: nginx would serve them.
    """
    ctx = context()
    store, state = ctx.store, ctx.jobs.chores
    if not isinstance(store, LocalStore):
        return
    part = Walk(store.root, state.cursor())
    left = ctx.settings.revalidate_per_minute
    for seen in islice(part, FOLDERS_MOST):
        left -= _check(store, seen)
        if left <= 0:
            break
    state.save_cursor(part.cursor)


def _check(store: LocalStore, seen: Found) -> bool:
    """Remove an empty file, or request a revalidation if it is due. Returns True if one was requested."""
    ctx = context()
    if seen.size == 0:
        with suppress(StoreDown):  # a read-only store: the walk goes on
            store.shelf.drop_empty(seen.folder)
    after = ctx.settings.revalidate_after
    if not after or seen.noted is None or seen.noted > time.time() - after:
        return False
    sidecar, recipe = sidecar_at(store.root / seen.folder), None
    with suppress(BadRecipe):
        recipe = from_json(sidecar.recipe) if sidecar is not None else None
    return isinstance(recipe, Mezzanine) and ctx.jobs.request_revalidation(recipe)
