"""The chore that requests the revalidation of stale derivatives, also of those that nginx serves without the API."""

from __future__ import annotations

import time
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from mezcal.errors import BadRecipe, StoreDown
from mezcal.recipe import Mezzanine, from_json
from mezcal.store.inventory import RemovesEmptyImages
from worker.app import context
from worker.chores import chore

if TYPE_CHECKING:
    from mezcal.store.inventory import Inventory, InventoryItem

WALK_SECONDS = 60.0
ITEMS_MAX = 20_000  # items in one run: some seconds of a local disk, or twenty requests to a bucket


@chore(every=WALK_SECONDS)
def walk() -> None:
    """Request the revalidation of stale derivatives in the next part of the store.

    Remove empty images, which umd-lib/mezcal left when its disk was full: nginx would serve them.
    """
    ctx = context()
    inventory, after = ctx.store.inventory, ctx.settings.revalidate_after
    if not after and not isinstance(inventory, RemovesEmptyImages):
        return
    requests_left, sidecars_left = ctx.settings.revalidate_per_minute, inventory.sidecars_per_walk
    items = inventory.walk(ctx.jobs.chores.cursor())
    for item in islice(items, ITEMS_MAX):
        if item.size == 0 and isinstance(inventory, RemovesEmptyImages):
            with suppress(StoreDown):  # a read-only store: the walk continues
                inventory.remove_empty_image(item.folder)
        if after and _is_older(item, time.time() - after):
            sidecars_left -= 1
            requests_left -= _request_revalidation(inventory, item)
        if requests_left <= 0 or sidecars_left <= 0:
            break
    ctx.jobs.chores.save_cursor(items.cursor)


def _is_older(item: InventoryItem, than: float) -> bool:
    """Returns True if *item* has a sidecar that was written before *than*: a refresh writes it."""
    return item.sidecar_modified is not None and item.sidecar_modified <= than


def _request_revalidation(inventory: Inventory, item: InventoryItem) -> bool:
    """Request the revalidation of *item*. Returns False if it needs none, or is queued already."""
    recipe = None
    with suppress(StoreDown, BadRecipe):
        sidecar = inventory.sidecar(item.folder)
        recipe = from_json(sidecar.recipe) if sidecar is not None else None
    return isinstance(recipe, Mezzanine) and context().jobs.request_revalidation(recipe)
