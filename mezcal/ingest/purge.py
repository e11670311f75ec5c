"""Deletes all that was made of a master."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mezcal.recipe import MEZZANINE, Mezzanine

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.jobs import Jobs
    from mezcal.recipe import Recipe
    from mezcal.store import Store


def purge(recipe: Recipe, jobs: Jobs, store: Store) -> bool:
    """Delete *recipe*'s job, its remembered failure and its derivative. Returns True if a derivative was stored.

    The mezzanine of the main picture stands for its master: its pages and other profiles are deleted, too. That of a
    page stands for the page: its other profiles are deleted. Jobs are deleted first, so that a worker publishes nothing
    after the deletion. Caches downstream are notified, even if nothing was stored: it may have been evicted here and
    not there. Raises `BrokerDown` or `StoreDown`: repeat the call then.
    """
    if isinstance(recipe, Mezzanine) and recipe.profile == MEZZANINE:
        return _purge(recipe, jobs, store, lambda other: recipe.page in {None, other.page})
    return _purge(recipe, jobs, store)


def purge_profile(recipe: Mezzanine, jobs: Jobs, store: Store) -> bool:
    """Do the same, but leave the derivatives of the master that have another profile than *recipe*."""
    if recipe.page is None:
        return _purge(recipe, jobs, store, lambda other: other.profile == recipe.profile)
    return _purge(recipe, jobs, store)


def _purge(recipe: Recipe, jobs: Jobs, store: Store, goes: Callable[[Mezzanine], bool] | None = None) -> bool:
    """Purge *recipe*, and the other derivatives of its master for which *goes* returns True."""
    master = recipe if isinstance(recipe, Mezzanine) and goes else None
    asked = list(filter(goes, jobs.others(master))) if master else []
    for asked_for in (recipe, *asked):
        jobs.forget(asked_for)
    stored = list(filter(goes, store.others(recipe))) if master else []  # a worker has published, or never will
    for other in stored:
        jobs.forget(other)
    named = list(dict.fromkeys((recipe, *asked, *stored)))
    jobs.downstream.announce(named)  # they are notified even if this process ends before it says that they are deleted
    deleted = sum(store.delete(each) for each in named)
    jobs.notify_downstream(named)
    return deleted > 0


def others_to_remake(
    recipe: Mezzanine, wanted: list[Mezzanine], asked: list[Mezzanine], jobs: Jobs, store: Store
) -> list[Mezzanine]:
    """Return the other derivatives to be made of *recipe*'s master, which is new or has changed.

    Those are the *wanted* ones and all that are stored. All else known of the master is deleted. The jobs of the
    derivatives that were *asked* for are deleted first, so that none of the old master is stored later.
    """
    known = {*asked, recipe.main()}.difference([recipe, *wanted])
    for other in known:
        jobs.forget(other)
    stored = store.others(recipe)
    absent = known.difference(stored)
    for other in absent:
        store.delete(other)  # it may be in the trash
    jobs.notify_downstream(absent)  # of the stored ones they are notified when they are made again
    return list(dict.fromkeys([*wanted, *stored]))
