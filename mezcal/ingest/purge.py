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

    The mezzanine of the main picture stands for its master: its pages and other profiles are deleted, too. Jobs are
    deleted first, so that a worker publishes nothing after the deletion. Raises `BrokerDown` or `StoreDown`: repeat the
    call then.
    """
    master = recipe if isinstance(recipe, Mezzanine) and recipe.is_main else None
    asked = jobs.others(master) if master else []
    for asked_for in (recipe, *asked):
        jobs.forget(asked_for)
    stored = store.others(recipe) if master else []  # a worker has published by now, or never will
    for other in stored:
        jobs.forget(other)
    return sum(store.delete(each) for each in dict.fromkeys((recipe, *asked, *stored))) > 0


def others_to_remake(recipe: Mezzanine, asked: list[Mezzanine], jobs: Jobs, store: Store) -> list[Mezzanine]:
    """Return the other stored derivatives of *recipe*'s master, which has changed. All else known of it is deleted.

    The jobs of the derivatives that were *asked* for are deleted first, so that none of the old master is stored later.
    """
    known = {*asked, recipe.main()} - {recipe}
    for other in known:
        jobs.forget(other)
    stored = store.others(recipe)
    for other in known.difference(stored):
        store.delete(other)  # it may be in the trash
    return stored
