"""The chore that requests the revalidation of stale derivatives, also of those that nginx serves without the API."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from mezcal.derive import version
from mezcal.errors import Failure, StoreDown
from mezcal.ingest.revalidation import is_outdated
from mezcal.origin import MasterStatus
from mezcal.recipe import Mezzanine, from_json
from mezcal.store.inventory import RemovesEmptyImages
from worker.app import context
from worker.chores import chore

if TYPE_CHECKING:
    from mezcal.settings import Settings
    from mezcal.store import Sidecar
    from mezcal.store.inventory import Inventory, InventoryItem

WALK_SECONDS = 60.0
WORK_SECONDS = 10.0  # of one run: some thousand comparisons with files, so a million images are compared in half a day
ITEMS_MAX = 20_000  # items in one run: some seconds of a local disk, or twenty requests to a bucket


@chore(every=WALK_SECONDS)
def walk() -> None:
    """Request the revalidation of stale derivatives in the next part of the store.

    Remove empty images, which umd-lib/mezcal left when its disk was full: nginx would serve them.
    """
    ctx = context()
    inventory, after = ctx.store.inventory, _shortest_fresh_seconds(ctx.settings)
    if not after and not isinstance(inventory, RemovesEmptyImages):
        return
    requests_left, sidecars_left = ctx.settings.revalidate_per_minute, inventory.sidecars_per_walk
    ends = time.monotonic() + WORK_SECONDS
    items = inventory.walk(ctx.jobs.chores.cursor())
    for item in islice(items, ITEMS_MAX):
        if item.size == 0 and isinstance(inventory, RemovesEmptyImages):
            with suppress(StoreDown):  # a read-only store: the walk continues
                inventory.remove_empty_image(item)
        if after and _is_older(item, time.time() - after):
            sidecars_left -= 1
            requests_left -= _request_revalidation(inventory, item)
        if requests_left <= 0 or sidecars_left <= 0 or time.monotonic() > ends:
            break
    ctx.jobs.chores.save_cursor(items.cursor)


def _shortest_fresh_seconds(settings: Settings) -> float:
    """Returns for how long an image of any origin counts as fresh; 0 means always."""
    return min(filter(None, (origin.settings.unasked_fresh_seconds for origin in settings.origins)), default=0)


def _is_older(item: InventoryItem, than: float) -> bool:
    """Returns True if *item* has a sidecar that was written before *than*: a refresh writes it."""
    return item.sidecar_modified is not None and item.sidecar_modified <= than


def _request_revalidation(inventory: Inventory, item: InventoryItem) -> bool:
    """Request the revalidation of *item*. Returns False if it needs none, or is queued already."""
    recipe = None
    with suppress(Failure):
        recipe = _changed_or_unknown(inventory, item)
    return recipe is not None and context().jobs.request_revalidation(recipe)


def _changed_or_unknown(inventory: Inventory, item: InventoryItem) -> Mezzanine | None:
    """Returns the recipe of *item* if a worker has to ask the origin about it, or to make it again.

    A file of a folder is compared here: most are unchanged, and a message for each would take longer.
    """
    ctx, sidecar = context(), inventory.sidecar(item)
    recipe = from_json(sidecar.recipe) if sidecar is not None else None
    origin = ctx.settings.origin_of(recipe.path) if isinstance(recipe, Mezzanine) else None
    if sidecar is None or origin is None or not isinstance(recipe, Mezzanine):
        return None
    after = origin.settings.unasked_fresh_seconds
    if not after or not _is_older(item, time.time() - after):
        return None
    if origin.settings.has_folder_origin and _is_unchanged(recipe, sidecar):
        ctx.store.refresh(recipe, replace(sidecar, fresh=time.time()))
        return None
    return recipe


def _is_unchanged(recipe: Mezzanine, sidecar: Sidecar) -> bool:
    ctx = context()
    status = ctx.origin.revalidate(recipe.path, sidecar.master_etag, sidecar.master_last_modified)
    return status is MasterStatus.UNCHANGED and not is_outdated(sidecar, version(ctx.options_of(recipe)))
