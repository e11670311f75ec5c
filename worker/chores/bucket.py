"""Chores of an object store. They run in a pool process: its requests would hold up the event loop."""

from __future__ import annotations

import time
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from mezcal.errors import BadRecipe, StoreDown
from mezcal.recipe import Mezzanine, from_json
from mezcal.store.s3 import S3Store
from worker.app import context
from worker.chores import chore

if TYPE_CHECKING:
    from mezcal.store import StoredEntry

EXPIRE_SECONDS = 60.0
WALK_SECONDS = 60.0
LISTED_MOST = 20_000  # names listed in one run: twenty requests
HEADS_MOST = 500  # old objects checked in one run, with a request each; old thumbnails need no revalidation


@chore(every=EXPIRE_SECONDS)
def expire() -> None:
    """Delete what lay in the trash for PIN_SECONDS, and uploads that were never completed."""
    context().store.expire()


@chore(every=WALK_SECONDS)
def walk_bucket() -> None:
    """Request the revalidation of old derivatives in the next part of the bucket.

    A refresh copies an object onto itself. So the time in the listing is that of the last refresh.
    """
    ctx = context()
    store, settings = ctx.store, ctx.settings
    if not isinstance(store, S3Store) or not settings.revalidate_after:
        return
    after = ctx.jobs.chores.cursor()
    left, looks, seen, ended = settings.revalidate_per_minute, HEADS_MOST, 0, True
    for entry in islice(store.entries(after), LISTED_MOST):
        if left <= 0 or looks <= 0:
            ended = False
            break
        after, seen = entry.name, seen + 1
        if entry.modified < time.time() - settings.revalidate_after:
            looks -= 1
            left -= _request(entry)
    ctx.jobs.chores.save_cursor("" if ended and seen < LISTED_MOST else after)


def _request(entry: StoredEntry) -> bool:
    """Request the revalidation of a mezzanine. Returns True if one was requested."""
    recipe = None
    with suppress(StoreDown, BadRecipe):
        sidecar = entry.sidecar()
        recipe = from_json(sidecar.recipe) if sidecar is not None else None
    return isinstance(recipe, Mezzanine) and context().jobs.request_revalidation(recipe)
