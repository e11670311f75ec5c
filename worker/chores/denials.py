"""Chores that remove what was denied, and keep the copy of the denials."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from mezcal.errors import Failure, StoreDown
from mezcal.ingest.denial import TakeDown
from worker.app import context
from worker.chores import chore

if TYPE_CHECKING:
    from worker.app import WorkerContext

REMOVE_SECONDS = 2.0
COPY_SECONDS = 30.0


def _due(ctx: WorkerContext) -> bool:
    """Return True after a denial. A walk that died, or that the broker has forgotten, left its note in the store."""
    return ctx.jobs.denials.removal_requested() or _is_noted(ctx)


def _is_noted(ctx: WorkerContext) -> bool:
    with suppress(StoreDown):  # other chores are due, too
        return ctx.store.inventory.removal() is not None
    return False


@chore(every=REMOVE_SECONDS, due=_due)
def remove_denied() -> None:
    """Remove what is stored and denied, after a denial. A walk that fails is repeated."""
    ctx = context()
    ctx.jobs.denials.begin_removal()
    try:
        TakeDown(ctx.denier.denials, ctx.jobs, ctx.store).remove_denied()
    except Failure:
        ctx.jobs.denials.request_removal()
        raise


@chore(every=COPY_SECONDS)
def copy_denials() -> None:
    """Copy the denials to Redis, or back to a store that has none."""
    ctx = context()
    TakeDown(ctx.denier.denials, ctx.jobs, ctx.store).restore()
