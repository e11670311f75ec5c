"""Derivatives that people like to look at: the newest, the largest, and small pictures of them.

All of it is bounded and expires; nothing hangs on it but the operator's page.
"""

from __future__ import annotations

import json
import logging
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any, cast

from redis import RedisError

if TYPE_CHECKING:
    from mezcal.jobs.state.table import JobTable
    from mezcal.recipe import Recipe

log = logging.getLogger(__name__)

LARGEST_KEPT = 100  # more than are shown: some of them are deleted or evicted
KEPT = 90 * 86_400  # seconds
PREVIEW_KEPT = 86_400  # seconds; it is made again where somebody still looks
ASKED_AGAIN = 60  # seconds for which a preview that was asked for is waited for
NONE = "none"  # stands for the preview of a picture that cannot have one


def note_size(table: JobTable, recipe: Recipe, size: int) -> None:
    """Note that *recipe*'s derivative has *size* bytes; that it is not told while Redis is away harms nobody."""
    pipe = table.redis.pipeline(transaction=False)
    pipe.zadd(table.keys.largest, {json.dumps(recipe.as_json(), sort_keys=True): size})
    pipe.zremrangebyrank(table.keys.largest, 0, -LARGEST_KEPT - 1)
    pipe.expire(table.keys.largest, KEPT)
    pipe.delete(table.keys.preview(recipe.key))  # of what was there before
    try:
        pipe.execute()
    except RedisError as error:
        log.debug("the size of %s is not noted: %s", recipe.key, error)


def largest(table: JobTable) -> list[dict[str, Any]]:
    """The recipes of the largest derivatives made, the largest first; some may be gone. Raises `RedisError`."""
    found = cast("list[str]", table.redis.zrange(table.keys.largest, 0, -1, desc=True))
    return [json.loads(recipe) for recipe in found]


def gone(table: JobTable, recipes: list[Recipe]) -> None:
    """Forget the sizes of *recipes*, which are no longer stored. Raises `RedisError`."""
    if recipes:
        table.redis.zrem(table.keys.largest, *(json.dumps(one.as_json(), sort_keys=True) for one in recipes))


def previews(table: JobTable, recipes: list[Recipe]) -> dict[str, str | None]:
    """What is known of the preview of each, by key: Base64, `NONE`, "" while it is made, None. Raises `RedisError`."""
    if not recipes:
        return {}
    found = cast("list[str | None]", table.redis.mget([table.keys.preview(recipe.key) for recipe in recipes]))
    return {recipe.key: told for recipe, told in zip(recipes, found, strict=True)}


def wanted_first(table: JobTable, recipe: Recipe) -> bool:
    """Whether nobody has asked for *recipe*'s preview lately; whoever is told so has it made. Raises `RedisError`."""
    return bool(table.redis.set(table.keys.preview(recipe.key), "", nx=True, ex=ASKED_AGAIN))


def keep_preview(table: JobTable, recipe: Recipe, jpeg: bytes | None) -> None:
    """Keep *recipe*'s preview, or that there can be none. Raises `RedisError`."""
    told = b64encode(jpeg).decode() if jpeg is not None else NONE
    table.redis.set(table.keys.preview(recipe.key), told, ex=PREVIEW_KEPT)


def preview(table: JobTable, key: str) -> bytes | None:
    """The preview of the derivative *key* as JPEG, None if there is none. Raises `RedisError`."""
    told = cast("str | None", table.redis.get(table.keys.preview(key)))
    return b64decode(told) if told and told != NONE else None
