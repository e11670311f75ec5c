"""The pages of a master that were requested. An event of the master applies to them, even while they are being made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mezcal.recipe import Mezzanine

if TYPE_CHECKING:
    from redis import Redis

    from mezcal.jobs.state.keys import Keys
    from mezcal.recipe import Recipe

KEPT = 366 * 86_400  # seconds: longer than any job or failure is remembered


def note(recipe: Recipe, keys: Keys, client: Redis) -> None:
    """Record *recipe* if it is a page. Called before its job is queued, so that an event misses no job that may run."""
    if isinstance(recipe, Mezzanine) and recipe.page is not None:
        client.sadd(name := keys.pages(Mezzanine(recipe.path).key), recipe.page)
        client.expire(name, KEPT)


def known(masters: list[Mezzanine], keys: Keys, client: Redis) -> list[list[Mezzanine]]:
    """Return for each master the mezzanines of single pages that were asked for within a year.

    Raises `redis.RedisError`.
    """
    pipe = client.pipeline(transaction=False)
    for master in masters:
        pipe.smembers(keys.pages(Mezzanine(master.path).key))
    found = zip(masters, pipe.execute(), strict=True)
    return [[Mezzanine(master.path, int(page)) for page in pages] for master, pages in found]
