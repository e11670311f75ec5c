"""Deletes all that was made of a master."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mezcal.recipe import Mezzanine

if TYPE_CHECKING:
    from mezcal.jobs import Jobs
    from mezcal.recipe import Recipe
    from mezcal.store import Store


def purge(recipe: Recipe, jobs: Jobs, store: Store) -> bool:
    """Delete *recipe*'s job, its remembered failure and its derivative. Returns True if a derivative was stored.

    The main mezzanine stands for its master: all its pages are deleted, too. Jobs are deleted first, so that a worker
    publishes nothing after the deletion. Raises `BrokerDown` or `StoreDown`: repeat the call then.
    """
    master = recipe if isinstance(recipe, Mezzanine) and recipe.page is None else None
    asked = jobs.pages(master) if master else []
    for asked_for in (recipe, *asked):
        jobs.forget(asked_for)
    stored = store.pages(recipe) if master else []  # a worker has published by now, or never will
    for page in stored:
        jobs.forget(page)
    return sum(store.delete(each) for each in dict.fromkeys((recipe, *asked, *stored))) > 0


def pages_to_remake(recipe: Mezzanine, asked: list[Mezzanine], jobs: Jobs, store: Store) -> list[Mezzanine]:
    """Return the stored pages of *recipe*'s master, which has changed. All else known of its pages is deleted.

    The jobs of the pages that were *asked* for are deleted first, so that no page of the old master is stored later.
    """
    for page in asked:
        jobs.forget(page)
    stored = store.pages(recipe)
    for page in set(asked).difference(stored):
        store.delete(page)  # it may be in the trash
    return stored
