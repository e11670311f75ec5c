"""What was requested of a master besides its mezzanine. An event of the master applies to it, even while it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mezcal.recipe import MEZZANINE, Mezzanine, Profile

if TYPE_CHECKING:
    from redis import Redis

    from mezcal.jobs.state.keys import Keys
    from mezcal.recipe import Recipe


def note(recipe: Recipe, keys: Keys, client: Redis, seconds: int) -> None:
    """Record *recipe* for *seconds* from now if it is a page or has another profile than the mezzanine.

    Called before its job is queued, so that an event misses no job that may run.
    """
    if isinstance(recipe, Mezzanine) and not recipe.is_main:
        client.sadd(name := keys.others(recipe.main().key), _as_text(recipe))
        client.expire(name, seconds)


def known(masters: list[Mezzanine], keys: Keys, client: Redis) -> list[list[Mezzanine]]:
    """Return for each master the other derivatives that were asked for while a job or failure of them may be known.

    Raises `redis.RedisError`.
    """
    pipe = client.pipeline(transaction=False)
    for master in masters:
        pipe.smembers(keys.others(master.main().key))
    found = zip(masters, pipe.execute(), strict=True)
    return [[_from_text(master, text) for text in texts] for master, texts in found]


def _as_text(recipe: Mezzanine) -> str:
    """Returns the page, the file name of the profile, or both: `3`, `pyramid.tif`, `3 pyramid.tif`."""
    page = [] if recipe.page is None else [str(recipe.page)]
    return " ".join(page if recipe.profile == MEZZANINE else [*page, recipe.file_name])


def _from_text(master: Mezzanine, text: str) -> Mezzanine:
    page, _, name = text.partition(" ") if text[0].isdecimal() and "." not in text.partition(" ")[0] else ("", "", text)
    return Mezzanine(master.path, int(page) if page else None, Profile.of_file(name) if name else MEZZANINE)
