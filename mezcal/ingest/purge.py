"""Forgetting what was made of a master, so that nothing of it comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mezcal.recipe import Mezzanine

if TYPE_CHECKING:
    from mezcal.jobs import Jobs
    from mezcal.recipe import Recipe
    from mezcal.store import Store


def purge(recipe: Recipe, jobs: Jobs, store: Store) -> bool:
    """Forget *recipe*: its job, its remembered failure, its derivative; whether one was stored.

    The main mezzanine stands for its master: all pages of it are forgotten, too. Jobs are forgotten first, so
    that one that runs publishes nothing after the deletion. Raises `BrokerDown` or `StoreDown`; do it again then.
    """
    master = recipe if isinstance(recipe, Mezzanine) and recipe.page is None else None
    asked = jobs.pages(master) if master else []
    for one in (recipe, *asked):
        jobs.forget(one)
    stored = store.pages(recipe) if master else []  # what ran has published by now, or never will
    for one in stored:
        jobs.forget(one)
    return sum(store.delete(one) for one in dict.fromkeys((recipe, *asked, *stored))) > 0


def pages_to_renew(recipe: Mezzanine, asked: list[Mezzanine], jobs: Jobs, store: Store) -> list[Mezzanine]:
    """The stored pages of *recipe*'s master, which has changed; what else was known of its pages is forgotten.

    Of those that were *asked* for, whoever makes one is fenced off first, so that no page of the old master is
    stored afterwards.
    """
    for one in asked:
        jobs.forget(one)
    stored = store.pages(recipe)
    for one in set(asked).difference(stored):
        store.delete(one)  # it may have been put aside by an eviction
    return stored
