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
    whole = isinstance(recipe, Mezzanine) and recipe.page is None
    asked = jobs.pages(recipe) if whole else []
    for one in (recipe, *asked):
        jobs.forget(one)
    stored = store.pages(recipe) if whole else []  # what ran has published by now, or never will
    for one in stored:
        jobs.forget(one)
    return sum(store.delete(one) for one in dict.fromkeys((recipe, *asked, *stored))) > 0
