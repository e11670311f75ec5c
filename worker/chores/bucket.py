"""What keeps an object store in order, from a pool process: asking it takes time that the event loop has not."""

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
LISTED_MOST = 20_000  # names looked at in one turn: twenty requests
HEADS_MOST = 500  # old objects looked at in one turn, a request each: thumbnails are old and need nothing


@chore(every=EXPIRE_SECONDS)
def expire() -> None:
    """Remove for good what was evicted, and uploads that nobody will complete."""
    context().store.expire()


@chore(every=WALK_SECONDS)
def walk_bucket() -> None:
    """Have what is old in the next part of the bucket revalidated, whether or not anybody asks for it.

    An object's time is that of its last refresh, which is a copy onto itself: so the listing alone tells its age.
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
            left -= _asked_for(entry)
    ctx.jobs.chores.save_cursor("" if ended and seen < LISTED_MOST else after)


def _asked_for(entry: StoredEntry) -> bool:
    recipe = None
    with suppress(StoreDown, BadRecipe):
        sidecar = entry.sidecar()
        recipe = from_json(sidecar.recipe) if sidecar is not None else None
    return isinstance(recipe, Mezzanine) and context().jobs.request_revalidation(recipe)
